"""Published checkpoint files into our networks: every name and shape must fit, or it is bad input."""

import json
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import CRITICAL, getLogger
from pathlib import Path
from typing import Any, ClassVar

import torch

from unocclude.errors import InputError


def read_state(path: str | Path, entry: str | None = None) -> dict[str, torch.Tensor]:
    """The tensors by name in a file that `torch.save` wrote, on the CPU; nothing in it is executed.

    entry: under which name of the file they are, where a training run saved them beside other things. Raises InputError
    where the file is none.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no PyTorch weight file that can be read safely; fetch it again") from error
    if entry is not None:
        state = state.get(entry) if isinstance(state, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path} does not hold tensors by name; give the published state dict")
    return dict(state)


def read_lightning(path: Path) -> dict[str, torch.Tensor]:
    """The tensors by name of a PyTorch Lightning checkpoint, on the CPU, read from disk when used. What else such a
    file holds (callbacks, hyperparameters) may be of any class: stand-ins are made of it, nothing in it is executed.

    Raises InputError where the file is none.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=_Inert, mmap=True)
        state = content["state_dict"]
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError,
            pickle.UnpicklingError, zipfile.BadZipFile) as error:  # fmt: skip
        raise InputError(f"{path} is no Lightning checkpoint that can be read; fetch it again") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path} does not hold tensors by name; give the published checkpoint")
    return dict(state)


class _StandIn(dict):
    """For what is not looked up, whatever a pickle does to it: it is made, filled, called."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(self, *_: Any, **__: Any):
        super().__init__()

    def __call__(self, *_: Any, **__: Any) -> "_StandIn":
        return self

    append = extend = __setstate__ = __call__


class _Inert:
    """As a module `pickle` whose reader knows tensors and what they are made of, and no other class or function."""

    class Unpickler(pickle.Unpickler):
        KNOWN: ClassVar[dict[str, set[str]]] = {
            "collections": {"OrderedDict"},
            "torch": {"FloatStorage", "HalfStorage", "BFloat16Storage", "DoubleStorage", "LongStorage", "IntStorage",
                      "BoolStorage", "float32", "float16", "bfloat16", "float64", "int64", "int32", "bool"},
            "torch._utils": {"_rebuild_tensor_v2", "_rebuild_parameter"},
        }  # fmt: skip

        def find_class(self, module: str, name: str) -> Any:
            return super().find_class(module, name) if name in self.KNOWN.get(module, ()) else _StandIn

    load = pickle.load


def read_json(path: Path) -> dict[str, Any]:
    """A configuration file; raises InputError where it is none."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no configuration that can be read; fetch the checkpoint again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no configuration: it holds a {type(content).__name__}")
    return content


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
                shards = sorted(set(read_json(index).get("weight_map", {}).values()))
                return {name: value for shard in shards for name, value in read_tensors(folder / shard).items()}
    raise InputError(f"{folder} holds no {stem}.safetensors (nor .fp16.safetensors, .bin); fetch the checkpoint again")


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors by name in a safetensors file or one that `torch.save` wrote."""
    if path.suffix != ".safetensors":
        return read_state(path)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as safetensors: {error}; fetch it again") from error


def check_names(path: str | Path, state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Size]) -> None:
    """Raise InputError, naming `path`, unless the state has exactly the expected names and shapes.

    Batch norms' `num_batches_tracked` may be absent: only training counts, and converted or old files lack it.
    """
    lacking = {name for name in expected.keys() - state.keys() if not name.endswith(".num_batches_tracked")}
    unknown = state.keys() - expected.keys()
    wrong = [name for name in expected.keys() & state.keys() if state[name].shape != expected[name]]
    if lacking:
        reason = f"it lacks {min(lacking)}"
    elif unknown:
        reason = f"it has {min(unknown)}"
    elif wrong:
        name = min(wrong)
        reason = f"{name} is {tuple(state[name].shape)}, expected {tuple(expected[name])}"
    else:
        return
    raise InputError(f"{path} is another network's checkpoint: {reason}")


def load(network: torch.nn.Module, path: str | Path) -> None:
    """Load a published state dict into `network`, strictly; raises InputError where it does not fit."""
    state = read_state(path)
    check_names(path, state, {name: value.shape for name, value in network.state_dict().items()})
    fill(network, state)


def fill(network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Give `network` a state whose names and shapes were checked."""
    left = network.load_state_dict(state, strict=False)
    assert not left.unexpected_keys and all(name.endswith(".num_batches_tracked") for name in left.missing_keys)


@contextmanager
def quiet() -> Iterator[None]:
    """Neither transformers nor diffusers says anything."""
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    of_diffusers = getLogger("diffusers")
    level = of_diffusers.level
    of_diffusers.setLevel(CRITICAL + 1)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        of_diffusers.setLevel(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def reading(folder: Path, what: str) -> Iterator[None]:
    """Turn what transformers and diffusers raise for a folder that holds no `what` into InputError of one line, and
    say nothing."""
    try:
        with quiet():
            yield
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{folder} does not hold a {what}: {reason}") from error


def precision_on(device: str) -> torch.dtype:
    """What networks run in on a device: half precision on a GPU."""
    return torch.float16 if device.startswith("cuda") else torch.float32


def placed(pipeline: Any, device: str) -> Any:
    """A diffusers pipeline, ready to run: it shows no bar, and on a GPU its parts wait in main memory in turn."""
    pipeline.set_progress_bar_config(disable=True)
    if device.startswith("cuda"):
        pipeline.enable_model_cpu_offload()
    return pipeline


def load_pretrained(kind: Any, folder: Path, what: str, **options: Any) -> Any:
    """A model of class `kind` of transformers or diffusers from a folder in its format, for inference; in half
    precision where the folder holds that alone (`.fp16`).

    Raises InputError where the folder holds none, or lacks some of its weights: they would be drawn at random.
    """
    files = [path.name for pattern in ("*.safetensors*", "*.bin*") for path in folder.glob(pattern)]
    if files and all(".fp16." in name for name in files):
        options["variant"] = "fp16"
    with reading(folder, what):
        model, info = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True, **options)
    if info["missing_keys"]:
        raise InputError(f"{folder} does not hold a {what}: it lacks {min(info['missing_keys'])}")
    return model.eval()
