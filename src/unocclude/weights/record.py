"""Record what was fetched into a checkpoint's folder, and verify the files.

The hash of a file is PINNED (in the table, from a primary source), only REMEMBERED (stated by the hub when the file was
fetched), or unknown.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from unocclude.media.files import write_bytes
from unocclude.names import is_inside
from unocclude.weights.checkpoint import UNKNOWN, Checkpoint, Part

RECORD = "fetched.json"
MAX_BYTES = 16 << 20
"""Maximum size of a record."""
PINNED, REMEMBERED = "pinned", "remembered"

Tell = Callable[[str], None]


def _inside(name: str) -> str:
    """Validate a path relative to the checkpoint's folder."""
    if not is_inside(name):
        raise ValueError("leaves the folder")
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _File(_Strict):
    bytes: int = Field(ge=0)
    hash: str = Field(pattern=rf"^(sha256:[0-9a-f]{{64}}|blob:[0-9a-f]{{40}}|{UNKNOWN})$")


class _Source(_Strict):
    folder: Annotated[str, AfterValidator(lambda name: name and _inside(name))]
    repository: str | None = None
    revision: str
    licence: str
    gated: bool
    files: dict[Annotated[str, AfterValidator(_inside)], _File]


class _Record(_Strict):
    sources: dict[str, _Source]


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a checkpoint's folder, by source: repository, revision, licence, gated, and files.

    Each file has "bytes" and "hash" ("sha256:..." or git's "blob:..."). Empty if there is no valid record.
    """
    return _read(folder) or {}


def add_to_record(folder: Path, source: str, took: dict[str, Any]) -> None:
    """Add a source to the record of a folder."""
    sources = {**read_record(folder), source: took}
    write_bytes(folder / RECORD, json.dumps({"sources": sources}, indent=1).encode())


def _read(folder: Path) -> dict[str, Any] | None:
    """The sources of the record; empty if there is no record, None if it is invalid."""
    path = folder / RECORD
    if not path.exists():
        return {}
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return None
        content = _Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return content.model_dump(exclude_none=True)["sources"]


def verify(checkpoint: Checkpoint, folder: Path, tell: Tell) -> bool:
    """Whether a checkpoint is complete and undamaged.

    Reads every file that was fetched or whose hash is pinned. tell: called with the faults or, if there are none, with
    the status of each file's hash.
    """
    wrong = [f"lacks {pattern}" for _, lacking in checkpoint.missing(folder) for pattern in lacking]
    sources = _read(folder)
    if sources is None:
        wrong.append(f"{RECORD} is not as this tool writes it")
    known: dict[str, str] = {}
    for path, part, said in _files(checkpoint, folder, sources or {}):
        name = path.relative_to(folder).as_posix()
        pin = part.pin(path.name) if part else ""
        known[name] = hash_status(pin, said)
        if fault := _fault(path, pin, said):
            wrong.append(fault)
    fetched = sum(len(source["files"]) for source in (sources or {}).values())
    if wrong:
        again = f"`unocclude weights fetch {checkpoint.id} --again` downloads it again"
        tell(f"{checkpoint.id}: {'; '.join(dict.fromkeys(wrong))}; {again}")
        return False
    if fetched:
        tell(f"{checkpoint.id}: {fetched} file{'s' * (fetched > 1)} as fetched")
    else:
        rest = "other hashes" if known else "hashes"
        tell(f"{checkpoint.id}: complete; it was not fetched by this tool, so its {rest} are unknown")
    for name, how in known.items():
        tell(f"  {name}: hash {how}")
    return True


def hash_status(pin: str, said: dict[str, Any]) -> str:
    """The status of a file's hash: pinned, remembered or unknown."""
    if pin:
        return PINNED if len(pin) == 64 else f"{PINNED} (its first {len(pin)} digits)"
    return REMEMBERED if said.get("hash", UNKNOWN) != UNKNOWN else UNKNOWN


def _files(
    checkpoint: Checkpoint, folder: Path, sources: dict[str, Any]
) -> list[tuple[Path, Part | None, dict[str, Any]]]:
    """The files to verify: those that were fetched, and others with pinned hashes."""
    parts = {part.source: part for part in checkpoint.parts}
    found: dict[Path, tuple[Part | None, dict[str, Any]]] = {}
    for part in checkpoint.parts:
        for name, _ in part.sha256:
            if (path := folder / part.name / name).is_file():
                found[path] = (part, {})
    for source, took in sources.items():
        for name, said in took["files"].items():
            path = folder / took["folder"] / name
            earlier = found.get(path, (None, {}))[0]  # fetched from another address, before that was pinned
            # files of another --revision are compared with the record, not with the pin
            own = parts.get(source) or earlier
            left = own is not None and bool(own.revision) and took["revision"] not in (own.revision, UNKNOWN)
            found[path] = (None if left else own, said)
    return [(path, part, said) for path, (part, said) in found.items()]


def _fault(path: Path, pin: str, said: dict[str, Any]) -> str:
    """Describe what is wrong with a file; "" if nothing is."""
    if not path.is_file():
        return f"lacks {path.name}"
    size = path.stat().st_size
    if said and size != said["bytes"]:
        return f"{path.name} has {size} bytes, expected {said['bytes']}"
    stated = said.get("hash", UNKNOWN)
    if stated != UNKNOWN and digest(path, stated.partition(":")[0]) != stated:
        return f"{path.name} is damaged"
    if pin and not has_hash(path, pin):
        return f"{path.name} is not the file whose hash is pinned"
    return ""


def has_hash(path: Path, pin: str) -> bool:
    """Whether the SHA-256 of a file begins with `pin`."""
    return digest(path, "sha256").startswith(f"sha256:{pin}")


def digest(path: Path, kind: str) -> str:
    """The hash of a file in the hub's format: SHA-256, or git's blob hash, which the hub gives for small files."""
    value = hashlib.sha256() if kind == "sha256" else hashlib.sha1(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            value.update(block)
    return f"{kind}:{value.hexdigest()}"
