"""Published checkpoint files into our networks: every name and shape must fit, or it is bad input."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import CRITICAL, getLogger
from pathlib import Path
from typing import Any

import torch

from unocclude.errors import InputError, UnoccludeError
from unocclude.networks.files import check_folder, read_state


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
    load_checked(network, state)


def load_checked(network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
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
def checked_loading(folder: Path, what: str) -> Iterator[None]:
    """Turn what transformers and diffusers raise for a folder that holds no `what` into InputError of one line, and
    say nothing."""
    check_folder(folder)
    try:
        with quiet():
            yield
    except UnoccludeError:
        raise
    except Exception as error:  # they check little: a wrong type in a configuration may fail anywhere
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{folder} does not hold a {what}: {reason}") from error


def dtype_for(device: str) -> torch.dtype:
    """What networks run in on a device: half precision on a GPU."""
    return torch.float16 if device.startswith("cuda") else torch.float32


def prepare_pipeline(pipeline: Any, device: str) -> Any:
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
    with checked_loading(folder, what):
        model, info = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True, **options)
    if info["missing_keys"]:
        raise InputError(f"{folder} does not hold a {what}: it lacks {min(info['missing_keys'])}")
    return model.eval()
