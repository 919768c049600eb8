"""Load published checkpoints. All names and shapes must match, or InputError is raised."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import CRITICAL, getLogger
from pathlib import Path
from typing import Any

import torch

from unocclude.errors import InputError, UnoccludeError
from unocclude.networks.files import check_folder, read_state


def check_names(path: str | Path, state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Size]) -> None:
    """Raise InputError, naming `path`, unless the state dict has exactly the expected names and shapes.

    `num_batches_tracked` of batch norms may be missing: only training uses it, and converted or old files lack it.
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
    """Load a published state dict into `network`; raises InputError unless all names and shapes match."""
    state = read_state(path)
    check_names(path, state, {name: value.shape for name, value in network.state_dict().items()})
    load_checked(network, state)


def load_checked(network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Load a state dict whose names and shapes were checked with `check_names`."""
    left = network.load_state_dict(state, strict=False)
    assert not left.unexpected_keys and all(name.endswith(".num_batches_tracked") for name in left.missing_keys)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers and diffusers."""
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
def checked_loading(folder: Path, what: str) -> Iterator[None]:
    """Check a folder, then load a `what` from it silently in the with block.

    Converts exceptions of transformers and diffusers to InputError.
    """
    check_folder(folder)
    try:
        with quiet():
            yield
    except UnoccludeError:
        raise
    except Exception as error:  # the libraries check little: a wrong type in a configuration can raise anything
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{folder} does not hold a {what}: {reason}") from error


def dtype_for(device: str) -> torch.dtype:
    """The dtype for networks on a device: half precision on a GPU, else single precision."""
    return torch.float16 if device.startswith("cuda") else torch.float32


def prepare_pipeline(pipeline: Any, device: str) -> Any:
    """Disable the progress bar of a diffusers pipeline and, on a GPU, enable model CPU offload."""
    pipeline.set_progress_bar_config(disable=True)
    if device.startswith("cuda"):
        pipeline.enable_model_cpu_offload()
    return pipeline


def load_pretrained(kind: Any, folder: Path, what: str, **options: Any) -> Any:
    """Load a transformers or diffusers model of class `kind` from a folder, for inference.

    Uses the half-precision weights (`.fp16`) if the folder has no others. Raises InputError if the folder has no such
    model or lacks some weights, which would be initialised randomly.
    """
    files = [path.name for pattern in ("*.safetensors*", "*.bin*") for path in folder.glob(pattern)]
    if files and all(".fp16." in name for name in files):
        options["variant"] = "fp16"
    with checked_loading(folder, what):
        model, info = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True, **options)
    if info["missing_keys"]:
        raise InputError(f"{folder} does not hold a {what}: it lacks {min(info['missing_keys'])}")
    return model.eval()
