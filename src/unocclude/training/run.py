"""Run a training from its configuration to its OUT folder."""

import json
import os
from pathlib import Path
from typing import Any

from unocclude.layout import TRAIN_FILE
from unocclude.outfolder import OutFolder, resolved
from unocclude.training import get_recipe, read_config
from unocclude.types import Progress
from unocclude.version import __version__


def run_training(
    name: str, config: Path, out: Path, *, resume: bool, overwrite: bool, progress: Progress
) -> dict[str, Any]:
    """Train recipe `name` and return the content of train.json.

    Raises InputError for a bad recipe, configuration or OUT.
    """
    recipe = get_recipe(name)
    options, loop = read_config(config, recipe)
    identity = {"verb": "train", "recipe": name, "options": options.model_dump(), "loop": loop.model_dump()}
    given = [str(value) for part in (options, loop) for value in part.model_dump().values()]
    inputs: list[str | Path] = [config, *(value for value in given if value and Path(value).exists())]
    if int(os.environ.get("RANK", 0)):  # one of several processes (accelerate, torchrun): the first owns the folder
        from unocclude.training.loop import train

        return train(recipe(options, loop.seed), loop, resolved(out), progress)
    folder = OutFolder(out, identity, resume=resume, overwrite=overwrite, result=TRAIN_FILE, inputs=inputs)
    if not folder.finished:
        from unocclude.training.loop import train

        try:
            folder.claim()
            result = train(recipe(options, loop.seed), loop, folder.path, progress)
            folder.finish({"tool": f"unocclude {__version__}", **result})
        finally:
            folder.release()
    content: dict[str, Any] = json.loads((folder.path / TRAIN_FILE).read_text())
    return content
