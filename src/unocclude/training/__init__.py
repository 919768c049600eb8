"""Training: one loop (`loop`), and a recipe a network: data, model and loss."""

import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from unocclude.errors import InputError

if TYPE_CHECKING:
    from unocclude.training.loop import LoopOptions
    from unocclude.training.recipe import Recipe

RECIPES = {
    "shape-prior": "unocclude.training.shape_prior:ShapePrior",
    "tgvac-frame": "unocclude.training.tgvac:Frame",
    "tgvac-motion": "unocclude.training.tgvac:Motion",
    "vae": "unocclude.training.vae:VAE",
    "cogvideox": "unocclude.training.cogvideox:CogVideoX",
    "flux-fill": "unocclude.training.flux_fill:FluxFill",
    "vas-mask": "unocclude.training.diffusion_vas:Mask",
    "vas-mask-depth": "unocclude.training.diffusion_vas:MaskDepth",
    "vas-content": "unocclude.training.diffusion_vas:Content",
    "vas-one-stage": "unocclude.training.diffusion_vas:OneStage",
    "videomae": "unocclude.training.videomae:VideoMAE",
    "3d-unet": "unocclude.training.diffusion_vas:UNet3D",
}
"""Every recipe by name, as module:class; none is imported before it is asked for."""


def get_recipe(name: str) -> "type[Recipe]":
    """The recipe of a name; raises InputError where there is none, or torch and accelerate are not installed."""
    if name not in RECIPES:
        raise InputError(f"there is no recipe {name}; there are {', '.join(RECIPES)}")
    module, _, kind = RECIPES[name].partition(":")
    try:
        found: type[Recipe] = getattr(import_module(module), kind)
    except ModuleNotFoundError as error:
        raise InputError(f"training needs {error.name}; install it with pip install 'unocclude[training]'") from error
    return found


def read_config(path: Path, recipe: "type[Recipe]") -> "tuple[Any, LoopOptions]":
    """The tables [recipe] and [loop] of a TOML file; raises InputError, one line, for what is wrong in it."""
    from unocclude.training.loop import LoopOptions

    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give a TOML file with [recipe] and [loop]"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    if unknown := content.keys() - {"recipe", "loop"}:
        raise InputError(f"{path}: unknown table or key {min(unknown)}; there are [recipe] and [loop]")
    try:
        return recipe.Options(**content.get("recipe", {})), LoopOptions(**content.get("loop", {}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}") from None
