"""Architectures that neither diffusers nor transformers has, under the published checkpoints' own names.

Importing a module of this room imports torch; import it inside the function that needs it.
"""

import importlib.util

from unocclude.errors import InputError


def device_for(what: str, device: str = "auto", *, transformers: bool = False, extra: str = "evaluation") -> str:
    """The torch device to use: "auto" is cuda where torch finds one, else cpu.

    Raises InputError where torch, or transformers if asked for, is not installed; `what` says who needs it, `extra`
    with which extra of ours it comes.
    """
    for package in ("torch", "transformers") if transformers else ("torch",):
        if importlib.util.find_spec(package) is None:
            raise InputError(f"{what} needs {package}; install it with pip install 'unocclude[{extra}]'")
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
