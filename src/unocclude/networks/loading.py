"""Published checkpoint files into our networks: every name and shape must fit, or it is bad input."""

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from unocclude.errors import InputError


def read_state(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors by name in a file that `torch.save` wrote, on the CPU; nothing in it is executed.

    Raises InputError where the file is none.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no PyTorch weight file that can be read safely; fetch it again") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path} does not hold tensors by name; give the published state dict")
    return dict(state)


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
    left = network.load_state_dict(state, strict=False)
    assert not left.unexpected_keys and all(name.endswith(".num_batches_tracked") for name in left.missing_keys)


@contextmanager
def reading(folder: Path, what: str) -> Iterator[None]:
    """Turn what transformers raises for a folder that holds no `what` into InputError of one line, and say nothing."""
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{folder} does not hold a {what} of transformers: {reason}") from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def load_pretrained(kind: Any, folder: Path, what: str, **options: Any) -> Any:
    """A model of class `kind` of transformers from a folder in its format, for inference.

    Raises InputError where the folder holds none, or lacks some of its weights: they would be drawn at random.
    """
    with reading(folder, what):
        model, info = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True, **options)
    if info["missing_keys"]:
        raise InputError(f"{folder} does not hold a {what}: it lacks {min(info['missing_keys'])}")
    return model.eval()
