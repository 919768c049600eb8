"""The description of a published checkpoint: its source, its folder and its files."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from unocclude.errors import InputError

VARIABLE = "UNOCCLUDE_WEIGHTS"
UNKNOWN = "unknown"
"""Value of a field that no primary source states."""


def home() -> Path:
    """The folder of all checkpoints: `$UNOCCLUDE_WEIGHTS`, else `unocclude/weights` in the platform's cache."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        cache = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        cache = "~/Library/Caches"
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "unocclude" / "weights"


@dataclass(frozen=True)
class Part:
    """One sub-folder of a checkpoint, or the folder itself if `name` is "".

    files: glob patterns of the required files; `a|b` means either, with a preferred. The first pattern is fetched last,
    so that it marks a complete download. source: a repository (huggingface.co/OWNER/NAME), the URL of a file, or a
    description of where to find it. also: patterns of additional files. licence: as stated by the source. mirrors:
    repositories to use if the source was withdrawn. gated: whether its terms must be accepted; None if unknown.
    optional: whether the checkpoint works without it. revision: the commit to fetch; "" for the newest. sha256: hashes,
    or their first digits, by file name. revision and sha256 are pinned only if a primary source states them.
    """

    name: str
    files: tuple[str, ...]
    source: str
    also: tuple[str, ...] = ()
    licence: str = UNKNOWN
    mirrors: tuple[str, ...] = ()
    gated: bool | None = None
    optional: bool = False
    revision: str = ""
    sha256: tuple[tuple[str, str], ...] = ()

    def pin(self, name: str) -> str:
        """The pinned hash of a file, or its first digits; "" if there is none."""
        return dict(self.sha256).get(name, "")

    def missing(self, folder: Path) -> list[str]:
        """Patterns of required files that are missing."""
        folder = folder / self.name
        return [files for files in self.files if not any(any(folder.glob(pattern)) for pattern in files.split("|"))]

    @property
    def repositories(self) -> tuple[str, ...]:
        """The source and its mirrors on the hub, as OWNER/NAME."""
        found = (re.match(r"huggingface\.co/([\w.-]+/[\w.-]+)", source) for source in (self.source, *self.mirrors))
        return tuple(match[1] for match in found if match)

    @property
    def address(self) -> str:
        """The URL of the file, if the source is one; else ""."""
        if self.repositories or not PurePosixPath(self.source).suffix or re.search(r"[\s,]", self.source):
            return ""
        return self.source if "://" in self.source else f"https://{self.source}"


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint: its id, its purpose and its parts."""

    id: str
    purpose: str
    parts: tuple[Part, ...]

    def missing(self, folder: Path) -> list[tuple[Part, list[str]]]:
        """The required parts that are incomplete in `folder`, with the patterns of missing files."""
        return [(part, lack) for part in self.parts if not part.optional and (lack := part.missing(folder))]

    @property
    def fetched(self) -> bool:
        """Whether `unocclude weights fetch` can download it."""
        return all(part.repositories or part.address for part in self.parts)

    def check(self, folder: Path) -> None:
        """Raise InputError, saying what is missing and how to get it, unless `folder` is complete."""
        wanted = [
            f"{_said(part, lacking)} ({part.source})" + (f" into {part.name}/" if part.name else "")
            for part, lacking in self.missing(folder)
        ]
        if wanted:
            state = "is incomplete" if folder.is_dir() else "is missing"
            fetch = (
                f"; `unocclude weights fetch {self.id}` does that"
                if self.fetched and folder == home() / self.id
                else ""
            )
            raise InputError(
                f"{self.purpose} needs the checkpoint {self.id}; {folder} {state}: put {'; '.join(wanted)} there{fetch}"
            )


def _said(part: Part, lacking: list[str]) -> str:
    """Describe the missing files of a part; only the first file if all are missing."""
    if len(part.files) > 3 and lacking == list(part.files):
        return f"{lacking[0]} and its other files"
    return " and ".join(pattern.replace("|", " or ") for pattern in lacking)
