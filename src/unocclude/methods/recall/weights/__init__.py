"""The networks that come with the package; model_cards/recall/ in the repository documents their training."""

from functools import lru_cache
from importlib import resources
from typing import Any


@lru_cache(maxsize=4)
def session(name: str) -> Any:
    """An ONNX Runtime session for a file in this folder, with one CPU thread, because frames already run in
    parallel."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    model = resources.files(__name__).joinpath(name).read_bytes()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
