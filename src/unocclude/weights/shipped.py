"""Networks that come with the package, as ONNX files beside the code that uses them."""

from functools import lru_cache
from importlib import resources
from typing import Any


@lru_cache(maxsize=8)
def session(package: str, name: str) -> Any:
    """An ONNX Runtime session for the file `name` in `package`, with one CPU thread, because frames already run in
    parallel."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    model = resources.files(package).joinpath(name).read_bytes()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
