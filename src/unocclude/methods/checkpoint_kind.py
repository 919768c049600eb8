"""What a trained checkpoint is: `kind.json`, which training writes beside the network.

Published checkpoints have no such file; each method knows what its own published checkpoint is.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from unocclude.errors import InputError
from unocclude.networks.configuration import read_json

FILE = "kind.json"

Condition = Literal["visible", "depth", "frames", "objects", "amodal"]
"""A clip that the network sees: visible masks, pseudo-depth, RGB frames, the visible object on white, amodal masks."""


class CheckpointKind(BaseModel):
    """The kind and the conditions of a checkpoint.

    recipe: the recipe that trained it. methods: the methods that run it. conditions: the clips it sees beside the
    noise, in the order of its input channels. target: what it predicts, amodal masks or the whole object on white.
    one_step: whether it predicts in one step, without noise. tokens: the CLIP embeddings that a frame attends to, its
    own or those of all frames. size: (width, height) of the training images. frames: per training clip. crop: how they
    were framed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str
    methods: tuple[str, ...]
    conditions: tuple[Condition, ...]
    target: Literal["amodal", "wholes"]
    one_step: bool = False
    tokens: Literal["own", "all"] = "own"
    size: tuple[int, int] | None = None
    frames: int | None = None
    crop: str = ""

    def write(self, folder: Path) -> None:
        """Write `kind.json` into the folder of a checkpoint."""
        (folder / FILE).write_text(json.dumps(self.model_dump(exclude_none=True), indent=1) + "\n")


def read_kind(folder: Path) -> CheckpointKind | None:
    """What a checkpoint says it is; None if it says nothing. Raises InputError if `kind.json` is not valid."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return CheckpointKind.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}; train or fetch the checkpoint again") from None


def check_method(folder: Path, method: str) -> None:
    """Raise InputError if the checkpoint in `folder` says that another method runs it."""
    kind = read_kind(folder)
    if kind is not None and method not in kind.methods:
        raise InputError(
            f"{folder} is a checkpoint of recipe {kind.recipe}, which method {method} does not run; "
            f"use --method {' or '.join(kind.methods)}"
        )
