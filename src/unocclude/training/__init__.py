"""Training: one loop (`loop`) for all networks; a recipe holds the data, model and loss of one network."""

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
    "mask-network": "unocclude.training.mask_network:MaskNetwork",
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
"""Recipes by name, as module:class. They are imported on demand."""


def get_recipe(name: str) -> "type[Recipe]":
    """The recipe class of this name; raises InputError if it is unknown or a package it needs is missing."""
    if name not in RECIPES:
        raise InputError(f"unknown recipe {name}; known are {', '.join(RECIPES)}")
    module, _, kind = RECIPES[name].partition(":")
    try:
        found: type[Recipe] = getattr(import_module(module), kind)
    except ModuleNotFoundError as error:
        raise InputError(f"training needs {error.name}; install it with pip install 'unocclude[training]'") from error
    return found


def read_config(path: Path, recipe: "type[Recipe]") -> "tuple[Any, LoopOptions]":
    """Read the tables [recipe] and [loop] of a TOML file; raises InputError, one line, if it is not valid."""
    from unocclude.training.loop import RENAMED, LoopOptions

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
    if old := content.get("loop", {}).keys() & RENAMED.keys():
        raise InputError(f"{path}: loop.{min(old)} is now called {RENAMED[min(old)]}")
    try:
        return recipe.Options(**content.get("recipe", {})), LoopOptions(**content.get("loop", {}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}") from None
