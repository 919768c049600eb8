"""The networks that ship with the package; MODEL_CARD.md says what made them."""

from functools import lru_cache
from importlib import resources
from typing import Any


@lru_cache(maxsize=4)
def session(name: str) -> Any:
    """ONNX Runtime's session of a file in this folder, on one CPU thread: frames run in parallel already."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    model = resources.files(__name__).joinpath(name).read_bytes()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
