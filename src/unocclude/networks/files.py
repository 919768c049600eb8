"""Reading the files of a checkpoint. They come from elsewhere: nothing in them runs, and what they say is checked."""

import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from unocclude.errors import InputError
from unocclude.networks.configuration import check_configurations, shards

SCRIPT = "constants.pkl"
"""What a TorchScript archive holds, and a file of `torch.save` does not."""


def read_state(path: str | Path, entry: str | None = None) -> dict[str, torch.Tensor]:
    """The tensors by name in a file that `torch.save` wrote, on the CPU; nothing in it is executed.

    entry: under which name of the file they are, where a training run saved them beside other things. Raises InputError
    where the file is none.
    """
    state = read_torch_file(path)
    if entry is not None:
        state = state.get(entry) if isinstance(state, Mapping) else None
    return _tensors(path, state, "give the published state dict")


def read_torch_file(path: str | Path) -> Any:
    """Tensors and plain data in a file that `torch.save` wrote, on the CPU; raises InputError where there is more."""
    refuse_torchscript(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of protocols: a file that cannot be read is refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file may fail anywhere in there
        raise InputError(f"{path} is no PyTorch weight file that can be read safely; fetch it again") from error


def read_lightning(path: Path) -> dict[str, torch.Tensor]:
    """The tensors by name of a PyTorch Lightning checkpoint, on the CPU, read from disk when used. What else such a
    file holds (callbacks, hyperparameters) may be of any class: none is looked up, stand-ins are made of it.

    Raises InputError where the file is none.
    """
    refuse_torchscript(path)
    try:
        unknown = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(_StandIn, name) for name in unknown]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        state = content["state_dict"]
    except Exception as error:  # a broken file may fail anywhere in there
        raise InputError(f"{path} is no Lightning checkpoint that can be read safely; fetch it again") from error
    return _tensors(path, state, "give the published checkpoint")


class _StandIn:
    """For a class or function that a pickle names: whatever it is called with, it gives an empty dictionary, which
    torch's reader then fills."""

    def __new__(cls, *_: Any, **__: Any) -> "OrderedDict[Any, Any]":  # type: ignore[misc]
        return OrderedDict()


def refuse_torchscript(path: str | Path) -> None:
    """Raise InputError for a TorchScript archive: it is a program, and loading it begins to run it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return  # no zip, or a broken one: the reader says so
    if any(PurePosixPath(name).name == SCRIPT for name in names):
        raise InputError(f"{path} is a TorchScript archive, which is a program; give a file of weights alone")


def _tensors(path: str | Path, state: Any, advice: str) -> dict[str, torch.Tensor]:
    """A state, checked to be tensors by name, none larger than what the file holds of it."""
    if type(state) not in (dict, OrderedDict) or not all(map(_is_plain, dict.values(state))):
        raise InputError(f"{path} does not hold tensors by name; {advice}")
    if not all(isinstance(name, str) for name in dict.keys(state)):
        raise InputError(f"{path} does not hold tensors by name; {advice}")
    for name, value in dict.items(state):
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise InputError(f"{path}: {name!r} is said to be larger than what the file holds of it; fetch it again")
    return dict(state)


def _is_plain(value: Any) -> bool:
    return (
        type(value) in (torch.Tensor, torch.nn.Parameter)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def read_weights(folder: Path, stem: str) -> dict[str, torch.Tensor]:
    """The tensors by name of a model saved by diffusers or transformers, whole or in shards: safetensors before
    pickles, full precision before half (`.fp16`).

    Raises InputError where there are none.
    """
    for variant in ("", ".fp16"):
        for suffix in ("safetensors", "bin"):
            index = folder / f"{stem}.{suffix}.index{variant}.json"
            whole = folder / f"{stem}{variant}.{suffix}"
            if whole.is_file():
                return read_tensors(whole)
            if index.is_file():
                return {name: value for shard in shards(index) for name, value in read_tensors(folder / shard).items()}
    raise InputError(f"{folder} holds no {stem}.safetensors (nor .fp16.safetensors, .bin); fetch the checkpoint again")


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors by name in a safetensors file or one that `torch.save` wrote."""
    if path.suffix != ".safetensors":
        return read_state(path)
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # a broken file may fail anywhere in there
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{path} cannot be read as safetensors: {reason}; fetch it again") from error


def check_folder(folder: Path) -> None:
    """Raise InputError where transformers and diffusers, which read pickles with `weights_only`, should not see a
    folder at all: see `check_configurations`, or its weights are a program."""
    check_configurations(folder)
    for path in sorted(folder.glob("*.bin")):
        refuse_torchscript(path)
