"""A small U-Net that is fast on a CPU, the architecture of recall's shape prior."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn


class UNet(nn.Module):
    """Maps planes (N, inputs, H, W) and numbers (N, numbers) to (N, outputs, H, W); H, W divisible by 2 ** len(widths).

    It works at half resolution: planes are pixel-unshuffled at the input and shuffled at the output. Each level has two
    3x3 convolutions with batch norm; downsampling by stride, upsampling by nearest neighbour. The numbers are added to
    the first layer as a bias. Self-attention at the lowest level connects distant parts of an object.
    """

    def __init__(self, inputs: int, outputs: int, numbers: int = 0, widths: Sequence[int] = (32, 64, 96, 128)):
        super().__init__()
        self.inputs = inputs
        pairs = list(pairwise(widths))
        self.first = nn.Conv2d(4 * inputs, widths[0], 3, 1, 1)
        self.numbers = nn.Linear(numbers, widths[0]) if numbers else None
        self.stem = nn.Sequential(nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True), *_layer(widths[0], widths[0]))
        self.down = nn.ModuleList(_pair(narrow, wide, stride=2) for narrow, wide in pairs)
        self.bottom = _Attention(widths[-1])
        self.up = nn.ModuleList(_pair(narrow + wide, narrow) for narrow, wide in reversed(pairs))
        self.head = nn.Conv2d(widths[0], 4 * outputs, 1)

    def forward(self, planes: torch.Tensor, numbers: torch.Tensor | None = None) -> torch.Tensor:
        x = self.first(nn.functional.pixel_unshuffle(planes, 2))
        if self.numbers is not None and numbers is not None:
            x = x + self.numbers(numbers)[..., None, None]
        levels = [self.stem(x)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = self.bottom(levels.pop())
        for up in self.up:
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = up(torch.cat([x, levels.pop()], 1))
        return nn.functional.pixel_shuffle(self.head(x), 2)


def _layer(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _pair(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*_layer(inputs, outputs, stride), *_layer(outputs, outputs))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norm = nn.BatchNorm2d(width)
        self.into = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, width, h, w = x.shape
        q, k, v = self.into(self.norm(x)).view(n, 3, self.heads, width // self.heads, h * w).transpose(-1, -2).unbind(1)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        answer: torch.Tensor = x + self.out(mixed.transpose(-1, -2).reshape(n, width, h, w))
        return answer
