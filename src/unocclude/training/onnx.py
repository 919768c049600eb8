"""Export of a trained network to ONNX, so that it runs without torch."""

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
    """Write `network` to `path` atomically. The first dimension of every input stays dynamic.

    example: one tensor per input. inputs, outputs: their names in the ONNX graph.
    """
    batch = torch.export.Dim("batch")
    shapes: tuple[Any, ...] = tuple({0: batch} for _ in example)
    doubled = tuple(
        torch.cat([tensor, tensor]) for tensor in example
    )  # the exporter would turn a batch of one into a constant
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it reports that torchvision is missing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside the exporter
            program = torch.onnx.export(
                network.cpu().eval(), doubled, dynamo=True, input_names=list(inputs), output_names=list(outputs),
                dynamic_shapes=shapes, verbose=False,
            )  # fmt: skip
    finally:
        logger.setLevel(level)
    assert program is not None
    write_bytes(path, program.model_proto.SerializeToString())
    return path
