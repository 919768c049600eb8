"""InstaOrderNet: which of two masks occludes the other, and which is nearer (Lee, Park, CVPR 2022).

Names, shapes and arithmetic are those of the published `resnet50_cls` with five input channels and two heads
(POSTECH-CVLab/InstaOrder, commit dd88ece): torchvision's ResNet-50, its stride in the 3x3 convolutions.
"""

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import max_pool2d, relu

from unocclude.networks.files import read_state
from unocclude.networks.loading import check_names, load_checked

DEPTHS = (3, 4, 6, 3)
PREFIX = "module."
"""Prefix of all names in the published file."""


class _Bottleneck(nn.Module):
    def __init__(self, before: int, width: int, stride: int, reshaped: bool):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample = (
            nn.Sequential(nn.Conv2d(before, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))
            if reshaped
            else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class InstaOrderNet(nn.Module):
    """Logits of occlusion (N, 2) and depth (N, 3) for pairs of masks a, b in an image.

    Input (N, 5, H, W): mask a, mask b, both 0 or 1, and R, G, B, normalised. Occlusion: b occludes a, a occludes b,
    each with a sigmoid. Depth, a softmax: a nearer, a farther, equal. width: channels of the first stage, 64 as
    published.
    """

    def __init__(self, width: int = 64):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(5, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        before = width
        for stage, depth in enumerate(DEPTHS):
            inner = width << stage
            blocks = []
            for k in range(depth):
                blocks.append(_Bottleneck(before, inner, 2 if stage and not k else 1, reshaped=not k))
                before = 4 * inner
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc_occ, self.fc_depth = nn.Linear(before, 2), nn.Linear(before, 3)
        self.eval()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = max_pool2d(relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(len(DEPTHS)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        x = x.mean((2, 3))
        return self.fc_occ(x), self.fc_depth(x)


def load(path: str | Path) -> InstaOrderNet:
    """Load the network from a published file, {step, state_dict, optimizer}; its width is inferred.

    Raises InputError unless names and shapes match exactly.
    """
    state = read_state(path, "state_dict")
    first = state.get(f"{PREFIX}conv1.weight", torch.empty(0))
    network = InstaOrderNet(len(first) or 64)
    check_names(path, state, {PREFIX + name: value.shape for name, value in network.state_dict().items()})
    load_checked(network, {name.removeprefix(PREFIX): value for name, value in state.items()})
    return network
