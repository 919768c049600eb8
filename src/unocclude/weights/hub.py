"""Fetching published checkpoints, and comparing what lies here with what the hub said of it.

Through huggingface_hub, which goes on with downloads that were interrupted and heeds HF_ENDPOINT, HF_TOKEN and
HF_HUB_OFFLINE. What the hub says at that time (revision, licence, sizes, hashes) is kept in RECORD beside the files.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from unocclude.errors import InputError, UnoccludeError
from unocclude.media.files import write_bytes
from unocclude.weights import UNKNOWN, Part, home, known

RECORD = "fetched.json"
VARIANTS = (".fp16.", ".bf16.", ".non_ema.", ".ema.")
"""In names of files that hold the same weights once more; taken only where there are no others."""

OFFLINE = "HF_HUB_OFFLINE is set, so nothing is fetched; unset it, or copy the files there"
KEPT = "what is there stays; try again later"

Tell = Callable[[str], None]


def fetch(id: str, tell: Tell, *, revision: str | None = None, again: bool = False, bars: bool = False) -> Path:
    """Download what of a checkpoint is not at home, and return its folder.

    tell: is given a line on every step. revision: a commit, branch or tag of its repository, instead of the newest.
    again: download also what is there. bars: show progress bars.

    Raises InputError for an id that is unknown, has to be got by hand, or whose terms must be accepted first;
    UnoccludeError where the hub cannot be reached or the disk is too small.
    """
    checkpoint, folder = known(id), home() / id
    for part in checkpoint.parts:
        if not (part.repositories or part.address):
            raise InputError(f"{id} cannot be fetched: get {' and '.join(part.files)} from {part.source} into {folder}")
    for part in checkpoint.parts:
        if not again and revision is None and not part.missing(folder):
            tell(f"{id}: {part.source} is there")
            continue
        took = (
            _from_hub(part, folder, revision, again, bars, tell)
            if part.repositories
            else _from_address(part, folder, tell)
        )
        sources = record(folder)
        sources[part.source] = {"folder": part.name, **took}
        write_bytes(folder / RECORD, json.dumps({"sources": sources}, indent=1).encode())
    checkpoint.check(folder)
    return folder


def record(folder: Path) -> dict[str, Any]:
    """What was fetched into a checkpoint's folder, by source: repository, revision, licence, gated, and of every file
    its bytes and hash ("sha256:..." or git's "blob:..."); empty where nothing was."""
    try:
        return dict(json.loads((folder / RECORD).read_text())["sources"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def verify(id: str, tell: Tell) -> bool:
    """Whether a checkpoint at home is whole; `tell` is given what is wrong, or that all is well.

    Every file that was fetched is read and compared with the size and hash that the hub stated.
    """
    checkpoint, folder = known(id), home() / id
    wrong = [f"lacks {pattern}" for _, lacking in checkpoint.missing(folder) for pattern in lacking]
    sources = record(folder)
    for source in sources.values():
        for name, said in source["files"].items():
            path = folder / source["folder"] / name
            if not path.is_file():
                wrong.append(f"lacks {name}")
            elif path.stat().st_size != said["bytes"]:
                wrong.append(f"{name} has {path.stat().st_size} bytes, expected {said['bytes']}")
            elif said["hash"] != UNKNOWN and _hash(path, said["hash"].partition(":")[0]) != said["hash"]:
                wrong.append(f"{name} is damaged")
    count = sum(len(source["files"]) for source in sources.values())
    if wrong:
        tell(f"{id}: {'; '.join(dict.fromkeys(wrong))}; `unocclude weights fetch {id} --again` downloads it anew")
    elif count:
        tell(f"{id}: {count} file{'s' * (count > 1)} as fetched")
    else:
        tell(f"{id}: complete; it was not fetched by this tool, so its hashes are unknown")
    return not wrong


def choose(part: Part, names: Iterable[str]) -> list[str]:
    """Which of a repository's files belong to a part, what marks it as complete last.

    Of a pattern's alternatives the first that is there counts: safetensors before pickles. Raises InputError where a
    file that is needed is not among them.
    """
    names, chosen = sorted(names), []
    for pattern in (*part.files[1:], *part.also, part.files[0]):
        found: list[str] = []
        for alternative in pattern.split("|"):
            found = found or _plain([name for name in names if _matches(name, alternative)])
        if not found and pattern in part.files:
            raise InputError(f"{part.source} does not hold {pattern.replace('|', ' or ')}; is it another repository?")
        chosen += found
    return list(dict.fromkeys(chosen[::-1]))[::-1]


def _plain(names: list[str]) -> list[str]:
    return [name for name in names if not any(mark in name for mark in VARIANTS)] or names


def _matches(name: str, pattern: str) -> bool:
    """As `Path.glob` has it: an asterisk does not reach over a slash."""
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _from_hub(part: Part, folder: Path, revision: str | None, again: bool, bars: bool, tell: Tell) -> dict[str, Any]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    repository, info = _ask(part, revision, tell)
    siblings = {sibling.rfilename: sibling for sibling in info.siblings}
    names = choose(part, siblings)
    folder = folder / part.name
    size = sum(siblings[name].size or 0 for name in names)
    here = sum(path.stat().st_size for name in names if (path := folder / name).is_file())
    _check_space(folder, 0 if again else size - here)
    tell(f"{repository} at {info.sha[:12]}: {len(names)} files, {size / 1e6:,.1f} MB, into {folder}")
    (enable_progress_bars if bars else disable_progress_bars)()
    for k, name in enumerate(names, 1):
        with _plainly(repository):
            hf_hub_download(repository, name, revision=info.sha, local_dir=folder, force_download=again)
        if not bars:
            tell(f"{k}/{len(names)} {name}")
    return {
        "repository": repository,
        "revision": info.sha,
        "licence": _licence(info),
        "gated": bool(info.gated),
        "files": {name: {"bytes": (folder / name).stat().st_size, "hash": _stated(siblings[name])} for name in names},
    }


def _ask(part: Part, revision: str | None, tell: Tell) -> tuple[str, Any]:
    """The first of a part's repositories that exists, and what the hub says of it."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    for repository in part.repositories:
        try:
            with _plainly(repository):
                return repository, HfApi().model_info(repository, revision=revision, files_metadata=True)
        except RepositoryNotFoundError:
            tell(f"{repository} is not on the hub (any more)")
    raise UnoccludeError(
        f"{' and '.join(part.repositories)} cannot be found on the hub; was it withdrawn, or is it private?"
    )


@contextmanager
def _plainly(repository: str) -> Iterator[None]:
    """What huggingface_hub raises as one plain line; that there is no such repository goes through."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise InputError(
            f"{repository} is gated: accept its terms at {constants.ENDPOINT}/{repository}, then log in with "
            "`hf auth login` or set HF_TOKEN"
        ) from error
    except RepositoryNotFoundError:
        raise
    except RevisionNotFoundError as error:
        raise InputError(f"{repository} has no such revision; leave out --revision for the newest") from error
    except OfflineModeIsEnabled as error:
        raise UnoccludeError(
            "HF_HUB_OFFLINE is set, so nothing is fetched; unset it, or copy the files there"
        ) from error
    except (HTTPError, OSError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UnoccludeError(
            f"{repository} could not be fetched from {constants.ENDPOINT}: {reason}; {KEPT}"
        ) from error


def _licence(info: Any) -> str:
    stated = (tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:"))
    return next(stated, UNKNOWN)


def _stated(sibling: Any) -> str:
    """The hash that the hub states of a file."""
    if sibling.lfs is not None:
        return f"sha256:{sibling.lfs.sha256}"
    return f"blob:{sibling.blob_id}" if sibling.blob_id else UNKNOWN


def _hash(path: Path, kind: str) -> str:
    """A file's hash as the hub states it: sha256, or, of small files, git's own of a blob."""
    digest = hashlib.sha256() if kind == "sha256" else hashlib.sha1(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return f"{kind}:{digest.hexdigest()}"


def _check_space(folder: Path, needed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UnoccludeError(
            f"{folder} has {free / 1e9:.1f} GB left, {needed / 1e9:.1f} GB are needed; set UNOCCLUDE_WEIGHTS"
        )


def _from_address(part: Part, folder: Path, tell: Tell) -> dict[str, Any]:
    """One file that is not on the hub. Where it was interrupted the download goes on."""
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise UnoccludeError(OFFLINE)
    path = folder / part.name / part.address.rpartition("/")[2]
    half = path.with_name(f"{path.name}.incomplete")
    path.parent.mkdir(parents=True, exist_ok=True)
    done = half.stat().st_size if half.exists() else 0
    try:
        asked = Request(part.address, headers={"Range": f"bytes={done}-"} if done else {})
        with urlopen(asked, timeout=30) as answer, half.open("ab" if answer.status == 206 else "wb") as file:
            tell(f"{part.source} into {path.parent}")
            shutil.copyfileobj(answer, file, 1 << 20)
            expected = int(answer.headers.get("Content-Length") or 0) + (done if answer.status == 206 else 0)
    except (OSError, HTTPException) as error:
        raise UnoccludeError(
            f"{part.source} could not be fetched: {error}; what is there stays, try again later"
        ) from error
    if expected and half.stat().st_size < expected:
        raise UnoccludeError(f"{part.source} came but in part; {KEPT}")
    stated = re.search(r"-([0-9a-f]{8})\.pth$", path.name)  # torchvision names its files by their hash
    digest = _hash(half, "sha256")
    if stated and not digest.startswith(f"sha256:{stated[1]}"):
        half.unlink()
        raise UnoccludeError(f"{part.source} came damaged, its hash is not {stated[1]}...; try again")
    half.replace(path)
    return {
        "revision": UNKNOWN,
        "licence": part.licence,
        "gated": False,
        "files": {path.name: {"bytes": path.stat().st_size, "hash": digest}},
    }
