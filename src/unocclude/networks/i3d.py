"""I3D: Inception-v1 inflated to three dimensions (Carreira, Zisserman, CVPR 2017), the feature extractor of FVD.

Names and shapes are those of the PyTorch port piergiaj/pytorch-i3d (commit 05783d1), which the common FVD code and its
`i3d_pretrained_400.pt` use (SongweiGe/TATS, commit 1aa93e1).
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

SMALLEST_LENGTH = 9
"""Minimum number of frames; with fewer, the last layers have less than two time steps to average."""
SIZE = 224


def _pad_same(x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """Pad with zeros so that the output has size ceil(size / stride), the odd one at the end (TensorFlow's "SAME")."""
    pads: list[int] = []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        lacking = max(k - (size % s or s), 0)
        pads = [lacking // 2, lacking - lacking // 2, *pads]
    return functional.pad(x, pads)


class _Pool(nn.Module):
    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.max_pool3d(_pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class _Unit(nn.Module):
    """Convolution, batch norm and ReLU; without `eps` just a convolution with bias, for the logits."""

    def __init__(self, before: int, after: int, kernel: int = 1, stride: int = 1, eps: float | None = None):
        super().__init__()
        self.conv3d = nn.Conv3d(before, after, kernel, stride, bias=eps is None)
        self.bn = None if eps is None else nn.BatchNorm3d(after, eps=eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv3d(_pad_same(x, self.conv3d.kernel_size, self.conv3d.stride))
        return x if self.bn is None else functional.relu(self.bn(x))


class _Mixed(nn.Module):
    """Inception block of four branches: 1x1; 1x1 and 3x3, twice; pooling and 1x1."""

    def __init__(self, before: int, b0: int, b1a: int, b1b: int, b2a: int, b2b: int, b3b: int, eps: float):
        super().__init__()
        self.b0 = _Unit(before, b0, eps=eps)
        self.b1a, self.b1b = _Unit(before, b1a, eps=eps), _Unit(b1a, b1b, 3, eps=eps)
        self.b2a, self.b2b = _Unit(before, b2a, eps=eps), _Unit(b2a, b2b, 3, eps=eps)
        self.b3a, self.b3b = _Pool((3, 3, 3), (1, 1, 1)), _Unit(before, b3b, eps=eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], 1)


_STEPS: tuple[tuple[str, type[nn.Module], tuple[Any, ...]], ...] = (
    ("Conv3d_1a_7x7", _Unit, (3, 64, 7, 2)),
    ("MaxPool3d_2a_3x3", _Pool, ((1, 3, 3), (1, 2, 2))),
    ("Conv3d_2b_1x1", _Unit, (64, 64, 1, 1)),
    ("Conv3d_2c_3x3", _Unit, (64, 192, 3, 1)),
    ("MaxPool3d_3a_3x3", _Pool, ((1, 3, 3), (1, 2, 2))),
    ("Mixed_3b", _Mixed, (192, 64, 96, 128, 16, 32, 32)),
    ("Mixed_3c", _Mixed, (256, 128, 128, 192, 32, 96, 64)),
    ("MaxPool3d_4a_3x3", _Pool, ((3, 3, 3), (2, 2, 2))),
    ("Mixed_4b", _Mixed, (480, 192, 96, 208, 16, 48, 64)),
    ("Mixed_4c", _Mixed, (512, 160, 112, 224, 24, 64, 64)),
    ("Mixed_4d", _Mixed, (512, 128, 128, 256, 24, 64, 64)),
    ("Mixed_4e", _Mixed, (512, 112, 144, 288, 32, 64, 64)),
    ("Mixed_4f", _Mixed, (528, 256, 160, 320, 32, 128, 128)),
    ("MaxPool3d_5a_2x2", _Pool, ((2, 2, 2), (2, 2, 2))),
    ("Mixed_5b", _Mixed, (832, 256, 160, 320, 32, 128, 128)),
    ("Mixed_5c", _Mixed, (832, 384, 192, 384, 48, 128, 128)),
)


class I3D(nn.Module):
    """Class scores of clips (N, 3, T, 224, 224), -1 to 1, T at least 9: (N, classes), averaged over time.

    eps: of the batch norms. The FVD code uses 1e-5, piergiaj's port 1e-3; published FVD figures use the former.
    """

    def __init__(self, classes: int = 400, eps: float = 1e-5):
        super().__init__()
        for name, kind, sizes in _STEPS:
            self.add_module(name, kind(*sizes) if kind is _Pool else kind(*sizes, eps=eps))
        self.logits = _Unit(1024, classes)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name, _, _ in _STEPS:
            x = self.get_submodule(name)(x)
        x = functional.avg_pool3d(x, (2, SIZE // 32, SIZE // 32), stride=1)
        return self.logits(x).mean((2, 3, 4))
