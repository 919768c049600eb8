"""Architectures that neither diffusers nor transformers has, with the parameter names of the published checkpoints.

Its modules import torch, so import them inside the function that needs them.
"""

import importlib.util

from unocclude.errors import InputError


def device_for(what: str, device: str = "auto", *, transformers: bool = False, extra: str = "evaluation") -> str:
    """The torch device to use; "auto" is cuda if available, else cpu.

    Raises InputError if torch, or transformers if required, is not installed. what: name of the caller for the message.
    extra: the extra of this package that installs it.
    """
    for package in ("torch", "transformers") if transformers else ("torch",):
        if importlib.util.find_spec(package) is None:
            raise InputError(f"{what} needs {package}; install it with pip install 'unocclude[{extra}]'")
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
