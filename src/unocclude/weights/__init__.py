"""Published checkpoints: which there are (`table`), where they lie, what each needs.

A checkpoint lies in the folder of its id under `$UNOCCLUDE_WEIGHTS`, or under the platform's cache where that is not
set. Nothing here looks anything up on a hub; `hub` does, when asked.
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
    "have",
    "home",
    "known",
    "part_file",
    "resolve_checkpoint",
]


def known(id: str) -> Checkpoint:
    """A row of the table; raises InputError naming the ids there are."""
    if id not in CHECKPOINTS:
        raise InputError(f"unknown checkpoint {id!r}; known are {', '.join(CHECKPOINTS)}")
    return CHECKPOINTS[id]


def have(id: str) -> bool:
    """Whether all parts of a known checkpoint are at home."""
    return not CHECKPOINTS[id].missing(home() / id)


def resolve_checkpoint(id_or_dir: str | Path, need: str | None = None) -> Path:
    """The folder of a checkpoint, all of whose parts are there.

    id_or_dir: an id of `CHECKPOINTS`, or a folder. need: the id of the checkpoint whose parts that folder must hold;
    without it the folder is taken as it is.

    Raises InputError, one line that says what is missing and where to put it.
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
    """The one file in `folder` that a pattern of `Part.files` names; the first by name where several do."""
    found = sorted(path for alternative in pattern.split("|") for path in folder.glob(alternative))
    if not found:
        raise InputError(f"{folder}: no {pattern.replace('|', ' or ')} there")
    return found[0]
