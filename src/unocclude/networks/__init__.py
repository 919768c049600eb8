"""Architectures that neither diffusers nor transformers has, with the parameter names of the published checkpoints.

Its modules import torch, so import them inside the function that needs them.
"""

import importlib.util

from unocclude.errors import InputError


def require_packages(what: str, *packages: str, extra: str) -> None:
    """Raise InputError if a package is not installed, without importing it.

    what: name of the caller for the message. extra: the extra of this package that installs it.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise InputError(f"{what} needs {package}; install it with pip install 'unocclude[{extra}]'")


def device_for(what: str, device: str = "auto", *, transformers: bool = False, extra: str = "evaluation") -> str:
    """The torch device to use; "auto" is cuda if available, else cpu.

    Raises InputError if torch, or transformers if required, is not installed; see `require_packages`.
    """
    require_packages(what, *(("torch", "transformers") if transformers else ("torch",)), extra=extra)
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
