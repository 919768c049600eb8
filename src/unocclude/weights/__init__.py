"""Published checkpoints: the table of them (`table`), their folders and their files.

A checkpoint is in the folder of its id under `$UNOCCLUDE_WEIGHTS` or, if that is not set, under the platform's cache.
Only the module `hub` accesses the network.
"""

from pathlib import Path

from unocclude.errors import InputError
from unocclude.weights.checkpoint import UNKNOWN, VARIABLE, Checkpoint, Part, home
from unocclude.weights.table import CHECKPOINTS

__all__ = [
    "CHECKPOINTS",
    "UNKNOWN",
    "VARIABLE",
    "Checkpoint",
    "Part",
    "get_checkpoint",
    "home",
    "is_present",
    "part_file",
    "resolve_checkpoint",
]


def get_checkpoint(id: str) -> Checkpoint:
    """Get a checkpoint by id; raises InputError, listing the known ids, if there is none."""
    if id not in CHECKPOINTS:
        raise InputError(f"unknown checkpoint {id!r}; known are {', '.join(CHECKPOINTS)}")
    return CHECKPOINTS[id]


def is_present(id: str) -> bool:
    """Whether all required parts of a known checkpoint are installed."""
    return not CHECKPOINTS[id].missing(home() / id)


def resolve_checkpoint(id_or_dir: str | Path, need: str | None = None) -> Path:
    """Find the folder of a checkpoint and check that it is complete.

    id_or_dir: an id of `CHECKPOINTS`, or a folder. need: the id of the checkpoint whose parts the folder must contain;
    without it the content of a folder is not checked.

    Raises InputError, saying what is missing and where to put it.
    """
    if str(id_or_dir) in CHECKPOINTS:
        folder = home() / id_or_dir
        CHECKPOINTS[str(id_or_dir)].check(folder)
    else:
        folder = Path(id_or_dir).expanduser()
        if not folder.is_dir():
            known = ", ".join(CHECKPOINTS)
            raise InputError(f"weights {id_or_dir}: neither a folder nor a known checkpoint; known are {known}")
    if need is not None:
        CHECKPOINTS[need].check(folder)
    return folder


def part_file(folder: Path, pattern: str) -> Path:
    """The file in `folder` that matches a pattern of `Part.files`; the first by name if several do."""
    found = sorted(path for alternative in pattern.split("|") for path in folder.glob(alternative))
    if not found:
        raise InputError(f"{folder}: no {pattern.replace('|', ' or ')} there")
    return found[0]
