"""Read the files of a checkpoint. They are untrusted: their content is validated, and no code in them is run."""

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
"""A member of TorchScript archives that files of `torch.save` do not have."""


def read_state(path: str | Path, entry: str | None = None) -> dict[str, torch.Tensor]:
    """Read a state dict that `torch.save` wrote, on the CPU, without running code.

    entry: the key of the state dict, if the file has other entries. Raises InputError if the file has no state dict.
    """
    state = read_torch_file(path)
    if entry is not None:
        state = state.get(entry) if isinstance(state, Mapping) else None
    return _tensors(path, state, "give the published state dict")


def read_torch_file(path: str | Path) -> Any:
    """Read tensors and plain data that `torch.save` wrote, on the CPU; raises InputError if there is anything else."""
    refuse_torchscript(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; unreadable files are refused anyway
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        raise InputError(f"{path} is not a PyTorch weight file that can be read safely; fetch it again") from error


def read_lightning(path: Path) -> dict[str, torch.Tensor]:
    """Read the state dict of a PyTorch Lightning checkpoint, memory-mapped, on the CPU.

    Other entries (callbacks, hyperparameters) may be of any class. Classes are never imported; placeholders replace
    them. Raises InputError if the file is not such a checkpoint.
    """
    refuse_torchscript(path)
    try:
        unknown = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(_StandIn, name) for name in unknown]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        state = content["state_dict"]
    except Exception as error:  # a damaged file can raise anything
        raise InputError(f"{path} is not a Lightning checkpoint that can be read safely; fetch it again") from error
    return _tensors(path, state, "give the published checkpoint")


class _StandIn:
    """Placeholder for any class or function in a pickle: returns an empty dictionary, which torch's reader fills."""

    def __new__(cls, *_: Any, **__: Any) -> "OrderedDict[Any, Any]":  # type: ignore[misc]
        return OrderedDict()


def refuse_torchscript(path: str | Path) -> None:
    """Raise InputError for a TorchScript archive: it is a program, and loading it runs code."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return  # not a zip, or a damaged one: reading it raises the error
    if any(PurePosixPath(name).name == SCRIPT for name in names):
        raise InputError(f"{path} is a TorchScript archive, which is a program; give a file that has only weights")


def _tensors(path: str | Path, state: Any, advice: str) -> dict[str, torch.Tensor]:
    """Check that `state` maps names to tensors, none larger than its data in the file."""
    if type(state) not in (dict, OrderedDict) or not all(map(_is_plain, dict.values(state))):
        raise InputError(f"{path} does not hold tensors by name; {advice}")
    if not all(isinstance(name, str) for name in dict.keys(state)):
        raise InputError(f"{path} does not hold tensors by name; {advice}")
    for name, value in dict.items(state):
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise InputError(f"{path}: {name!r} claims to be larger than its data in the file; fetch it again")
    return dict(state)


def _is_plain(value: Any) -> bool:
    return (
        type(value) in (torch.Tensor, torch.nn.Parameter)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def read_weights(folder: Path, stem: str) -> dict[str, torch.Tensor]:
    """Read the state dict of a diffusers or transformers model, in one file or in shards.

    Prefers safetensors to pickles, and full precision to half (`.fp16`). Raises InputError if there are no weights.
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
    """Read the state dict in a safetensors file or a file of `torch.save`."""
    if path.suffix != ".safetensors":
        return read_state(path)
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # a damaged file can raise anything
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{path} cannot be read as safetensors: {reason}; fetch it again") from error


def check_folder(folder: Path) -> None:
    """Raise InputError if transformers and diffusers must not read a folder.

    They read pickles with `weights_only`, but a folder is refused if its configurations are unsafe (see
    `check_configurations`) or its weights are a TorchScript archive.
    """
    check_configurations(folder)
    for path in sorted(folder.glob("*.bin")):
        refuse_torchscript(path)
