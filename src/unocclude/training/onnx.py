"""A trained network as ONNX, for running without torch."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from unocclude.media.files import write_bytes


def write_onnx(
    network: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    path: Path,
) -> Path:
    """Write `network` to `path`, whole or not at all; the first dimension of every input may differ later."""
    batch = torch.export.Dim("batch")
    shapes: tuple[Any, ...] = tuple({0: batch} for _ in example)
    doubled = tuple(torch.cat([tensor, tensor]) for tensor in example)  # a batch of one would become a constant
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # that there is no torchvision
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's about itself
            program = torch.onnx.export(
                network.cpu().eval(), doubled, dynamo=True, input_names=list(inputs), output_names=list(outputs),
                dynamic_shapes=shapes, verbose=False,
            )  # fmt: skip
    finally:
        logger.setLevel(level)
    assert program is not None
    write_bytes(path, program.model_proto.SerializeToString())
    return path
