"""Download and verify published checkpoints.

Uses huggingface_hub, which continues interrupted downloads and respects HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE. The
revision, licence, sizes and hashes that the hub states are recorded next to the files (`record`).
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import quote

from unocclude.errors import InputError, UnoccludeError
from unocclude.weights import UNKNOWN, Part, get_checkpoint, home
from unocclude.weights import record as records
from unocclude.weights.download import KEPT, download
from unocclude.weights.record import add_to_record, digest, has_hash

VARIANTS = (".fp16.", ".bf16.", ".non_ema.", ".ema.")
"""Marks in the names of alternative weight files, which are used only if there are no others."""

OFFLINE = "HF_HUB_OFFLINE is set, so nothing is fetched; unset it, or copy the files there"

Tell = Callable[[str], None]


def fetch(id: str, tell: Tell, *, revision: str | None = None, again: bool = False, bars: bool = False) -> Path:
    """Download the missing parts of a checkpoint and return its folder.

    tell: called with a line of text at each step. revision: a commit, branch or tag instead of the pinned commit or the
    newest; pinned hashes are then not checked. again: also download parts that are present. bars: show progress bars.

    Raises InputError if the id is unknown, the checkpoint must be downloaded manually, or its terms must be accepted
    first; UnoccludeError if the hub cannot be reached or the disk is full.
    """
    checkpoint, folder = get_checkpoint(id), home() / id
    for part in checkpoint.parts:
        if not (part.repositories or part.address):
            raise InputError(
                f"{id} cannot be fetched automatically; get {' and '.join(part.files)} from {part.source} into {folder}"
            )
    for part in checkpoint.parts:
        if not again and revision is None and not part.missing(folder):
            tell(f"{id}: {part.source} is already present")
            continue
        if _left(part, revision):
            tell(f"{part.source}: --revision {revision} instead of the pinned {part.revision[:12]}, hashes unchecked")
        took = (
            _from_hub(part, folder, revision, again, bars, tell)
            if part.repositories
            else _from_address(part, folder, revision, tell)
        )
        add_to_record(folder, part.source, {"folder": part.name, **took})
    checkpoint.check(folder)
    return folder


def verify(id: str, tell: Tell) -> bool:
    """Whether an installed checkpoint is complete and undamaged; see `record.verify`."""
    return records.verify(get_checkpoint(id), home() / id, tell)


def choose_files(part: Part, names: Iterable[str]) -> list[str]:
    """Choose the files of a part among those of a repository; the file that marks it as complete comes last.

    The first alternative of a pattern that exists is used, so safetensors are preferred to pickles. Raises InputError
    if a required file is missing.
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
    """Match as `Path.glob` does: an asterisk does not match a slash."""
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _from_hub(part: Part, folder: Path, revision: str | None, again: bool, bars: bool, tell: Tell) -> dict[str, Any]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    repository, info = _ask(part, revision or part.revision or None, tell)
    siblings = {sibling.rfilename: sibling for sibling in info.siblings}
    names = choose_files(part, siblings)
    folder = folder / part.name
    size = sum(siblings[name].size or 0 for name in names)
    here = sum(path.stat().st_size for name in names if (path := folder / name).is_file())
    _check_space(folder, 0 if again else size - here)
    tell(f"{repository} at {info.sha[:12]}: {len(names)} files, {size / 1e6:,.1f} MB, into {folder}")
    (enable_progress_bars if bars else disable_progress_bars)()
    for k, name in enumerate(names, 1):
        with _plainly(repository):
            hf_hub_download(repository, name, revision=info.sha, local_dir=folder, force_download=again)
        if not _left(part, revision):
            _check_pin(part, folder / name, name)
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
    """The first repository of a part that exists, and its description from the hub."""
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
    """Convert exceptions of huggingface_hub to one-line errors; RepositoryNotFoundError is passed on."""
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
    """The hash of a file as stated by the hub."""
    if sibling.lfs is not None:
        return f"sha256:{sibling.lfs.sha256}"
    return f"blob:{sibling.blob_id}" if sibling.blob_id else UNKNOWN


def _check_space(folder: Path, needed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UnoccludeError(
            f"{folder} has {free / 1e9:.1f} GB left, {needed / 1e9:.1f} GB are needed; free space or set "
            "UNOCCLUDE_WEIGHTS"
        )


def _from_address(part: Part, folder: Path, revision: str | None, tell: Tell) -> dict[str, Any]:
    """Download one file that is not on the hub, continuing an interrupted download."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise UnoccludeError(OFFLINE)
    address = part.address
    if revision and part.revision:
        address = address.replace(part.revision, quote(revision, safe=""))
    path = folder / part.name / part.address.rpartition("/")[2]
    half = path.with_name(f"{path.name}.incomplete")
    tell(f"{address} into {path.parent}")
    download(address, half)
    if not _left(part, revision):
        _check_pin(part, half, path.name)
    half.replace(path)
    return {
        "revision": revision if revision and part.revision else part.revision or UNKNOWN,
        "licence": part.licence,
        "gated": False,
        "files": {path.name: {"bytes": path.stat().st_size, "hash": digest(path, "sha256")}},
    }


def _left(part: Part, revision: str | None) -> bool:
    """Whether a revision other than the pinned one is requested."""
    return bool(part.revision) and revision not in (None, part.revision)


def _check_pin(part: Part, path: Path, name: str) -> None:
    """Remove the file and raise UnoccludeError if it does not have its pinned hash."""
    if (pin := part.pin(name)) and not has_hash(path, pin):
        path.unlink()
        raise UnoccludeError(f"{part.source}: {name} is damaged or another file, its hash is not {pin}; try again")
