"""Temporal windows: long clips are split into overlapping windows whose predictions are blended."""

from collections.abc import Callable, Iterable, Sequence

import torch


def split_windows(count: int, length: int, stride: int) -> list[range]:
    """Ranges of `length` frames, `stride` apart, that cover `count` frames; the last one ends with the clip.

    Just one range, of `count` frames, if the clip is not longer than `length`.
    """
    if count <= length:
        return [range(count)]
    starts = [*range(0, count - length, stride), count - length]
    return [range(start, start + length) for start in starts]


def uniform_weights(length: int) -> torch.Tensor:
    """Equal weights for all frames of a window, (length,) float32."""
    return torch.ones(length)


def triangular_weights(length: int) -> torch.Tensor:
    """Weights that increase with the distance from the window's ends, (length,) float32."""
    steps = torch.arange(1, length + 1, dtype=torch.float32)
    return torch.minimum(steps, steps.flip(0))


def blend(
    predict: Callable[[range], torch.Tensor],
    count: int,
    parts: Sequence[range],
    weights: Callable[[int], torch.Tensor] = triangular_weights,
) -> torch.Tensor:
    """Weighted mean of the windows' predictions per frame: (1, count, ...) from (1, len(part), ...) each.

    A frame that only one window covers is returned bit for bit.
    """
    return blend_answers(map(predict, parts), count, parts, weights)


def blend_answers(
    answers: Iterable[torch.Tensor],
    count: int,
    parts: Sequence[range],
    weights: Callable[[int], torch.Tensor] = triangular_weights,
) -> torch.Tensor:
    """`blend` for an iterable of predictions in the windows' order; only one is held in memory at a time."""
    shares = [weights(len(part)) for part in parts]
    total = torch.zeros(count)
    for part, share in zip(parts, shares, strict=True):
        total[part.start : part.stop] += share
    blended: torch.Tensor | None = None
    for part, share, answer in zip(parts, shares, answers, strict=True):
        if len(parts) == 1:
            return answer
        if blended is None:
            blended = answer.new_zeros(1, count, *answer.shape[2:])
        of_all = (share / total[part.start : part.stop]).to(answer).view(1, -1, *[1] * (answer.ndim - 2))
        blended[:, part.start : part.stop] += of_all * answer
    assert blended is not None
    return blended
