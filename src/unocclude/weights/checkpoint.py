"""What is known of a published checkpoint: where it comes from and lies, and what must be there."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from unocclude.errors import InputError

VARIABLE = "UNOCCLUDE_WEIGHTS"
UNKNOWN = "unknown"
"""What no primary source was seen to say."""


def home() -> Path:
    """Where checkpoints lie: `$UNOCCLUDE_WEIGHTS`, else `unocclude/weights` in the platform's cache."""
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
    """What lies in one sub-folder of a checkpoint, or, named "", in the folder itself.

    files: what must be there, as glob patterns; `a|b` where either does, the first before the second. The first is what
    comes last when they are fetched. source: where to get it, a repository (huggingface.co/OWNER/NAME) or a file's
    address or, in words, where a person finds it. also: patterns of what comes along. licence: as the source states it.
    mirrors: repositories to turn to where the source was withdrawn. gated: whether its terms must be accepted there;
    None is unknown. optional: done without where it is absent. revision: the commit that is fetched, "" for the newest
    there. sha256: hashes, or their first digits, by file name. Both as a primary source states them; a file without is
    fetched as it comes.
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
        """The hash of a file, or its first digits, as known beforehand; "" is unknown."""
        return dict(self.sha256).get(name, "")

    def missing(self, folder: Path) -> list[str]:
        """Patterns of the files that are not there."""
        folder = folder / self.name
        return [files for files in self.files if not any(any(folder.glob(pattern)) for pattern in files.split("|"))]

    @property
    def repositories(self) -> tuple[str, ...]:
        """The source and its mirrors on the hub, as OWNER/NAME."""
        found = (re.match(r"huggingface\.co/([\w.-]+/[\w.-]+)", source) for source in (self.source, *self.mirrors))
        return tuple(match[1] for match in found if match)

    @property
    def address(self) -> str:
        """The address of the file itself; "" where the source is none."""
        if self.repositories or not PurePosixPath(self.source).suffix or re.search(r"[\s,]", self.source):
            return ""
        return self.source if "://" in self.source else f"https://{self.source}"


@dataclass(frozen=True)
class Checkpoint:
    """One row of the table: an id, what it is for, and its parts."""

    id: str
    purpose: str
    parts: tuple[Part, ...]

    def missing(self, folder: Path) -> list[tuple[Part, list[str]]]:
        """The parts that are needed and lack something in `folder`, and what."""
        return [(part, lack) for part in self.parts if not part.optional and (lack := part.missing(folder))]

    @property
    def fetched(self) -> bool:
        """Whether `unocclude weights fetch` can get it."""
        return all(part.repositories or part.address for part in self.parts)

    def check(self, folder: Path) -> None:
        """Raise InputError, saying how to get what, unless all parts are in `folder`."""
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
    """The files that a part lacks, in words; of one that is not there at all only the first."""
    if len(part.files) > 3 and lacking == list(part.files):
        return f"{lacking[0]} and what comes with it"
    return " and ".join(pattern.replace("|", " or ") for pattern in lacking)
