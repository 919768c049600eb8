"""LPIPS: a distance of deep features, calibrated on human judgements (Zhang et al., CVPR 2018).

Names, shapes and arithmetic are those of the package `lpips`, version 0.1 of its weights
(richzhang/PerceptualSimilarity, commit 082bb24), with torchvision's AlexNet or VGG-16 as features.
"""

from pathlib import Path
from typing import Literal

import torch
from torch import nn

from unocclude.networks.files import read_state
from unocclude.networks.loading import check_names

Net = Literal["alex", "vgg"]
SMALLEST = 32
"""Minimum image side in pixels; AlexNet's last features would be empty below 31."""


def _alexnet() -> list[nn.Module]:
    """`features` of torchvision's AlexNet without its last pooling (Krizhevsky 2014)."""
    return [
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    ]


def _vgg16() -> list[nn.Module]:
    """`features` of torchvision's VGG-16 without its last pooling (Simonyan, Zisserman 2014, configuration D)."""
    layers: list[nn.Module] = []
    before = 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers += [nn.MaxPool2d(2, 2)] if layers else []
        for _ in range(count):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
    return layers


# the end of each stage: after the ReLU of the last layer that is compared
_NETS = {"alex": (_alexnet, (2, 5, 8, 10, 12)), "vgg": (_vgg16, (4, 9, 16, 23, 30))}
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class _Slices(nn.Module):
    """Features in five stages, `slice1` to `slice5`; layers keep their numbers in torchvision's `features`."""

    def __init__(self, net: Net):
        super().__init__()
        make, ends = _NETS[net]
        layers = make()
        for i, (start, end) in enumerate(zip((0, *ends), ends, strict=False), 1):
            stage = nn.Sequential()
            for k in range(start, end):
                stage.add_module(str(k), layers[k])
            self.add_module(f"slice{i}", stage)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        stages = []
        for stage in self.children():
            x = stage(x)
            stages.append(x)
        return stages


class _Scaling(nn.Module):
    """Normalisation from -1..1 to the input range of torchvision's networks."""

    shift: torch.Tensor
    scale: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(_SHIFT)[None, :, None, None])
        self.register_buffer("scale", torch.tensor(_SCALE)[None, :, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.shift) / self.scale


class _Linear(nn.Module):
    """One weight per channel; the unused dropout makes the parameter's published name `model.1.weight`."""

    def __init__(self, channels: int):
        super().__init__()
        self.model = nn.Sequential(nn.Dropout(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)


class LPIPS(nn.Module):
    """d(x, y) = Σ_l mean over places of Σ_c w_lc (x̂_lc - ŷ_lc)², x̂ features of unit length over channels (Zhang et
    al. 2018, equation 1); inputs (N, 3, H, W), -1 to 1, at least 32 pixels a side; (N,)."""

    def __init__(self, net: Net = "alex"):
        super().__init__()
        self.scaling_layer = _Scaling()
        self.net = _Slices(net)
        stages = list(self.net.children())
        widths = [
            next(m for m in reversed(list(s.children())) if isinstance(m, nn.Conv2d)).out_channels for s in stages
        ]
        for i, width in enumerate(widths):
            self.add_module(f"lin{i}", _Linear(width))
        # the published module registers them twice
        self.lins = nn.ModuleList(self.get_submodule(f"lin{i}") for i in range(len(widths)))
        self.eval()

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        total = x.new_zeros(len(x))
        for lin, a, b in zip(self.lins, self._features(x), self._features(y), strict=True):
            total = total + lin((a - b) ** 2).mean((1, 2, 3))
        return total

    def _features(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10) for f in self.net(self.scaling_layer(x))]


def load(features: str | Path, linear: str | Path, net: Net = "alex") -> LPIPS:
    """Load LPIPS from the two published files.

    features: torchvision's AlexNet or VGG-16; the classifier is ignored. linear: `alex.pth` or `vgg.pth`, v0.1. Raises
    InputError if a name or shape does not match.
    """
    model = LPIPS(net)
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    published = {name: f"features.{name.split('.', 2)[2]}" for name in shapes if name.startswith("net.")}
    trunk = {k: v for k, v in read_state(features).items() if not k.startswith("classifier.")}
    check_names(features, trunk, {published[name]: shapes[name] for name in published})
    weights = read_state(linear)
    check_names(linear, weights, {k: v for k, v in shapes.items() if k.startswith("lin") and not k.startswith("lins.")})
    own = {name: trunk[published[name]] for name in published} | weights
    left = model.load_state_dict(own, strict=False)
    assert not left.unexpected_keys and all(k.startswith(("scaling_layer.", "lins.")) for k in left.missing_keys)
    return model
