"""Swin Transformer (Liu et al., ICCV 2021) for a fixed image size, with the parameter names of Microsoft's checkpoints.

transformers has it too, but with separate query, key and value matrices.
"""

import torch
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention

PATCH = 4


class _Attention(nn.Module):
    """Attention within square windows, with a learned relative position bias."""

    def __init__(self, width: int, heads: int, window: int):
        super().__init__()
        self.heads, self.window = heads, window
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x: (N, windows, positions, width); mask: (windows or 1, positions, positions), added to the logits."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        bias = mask[:, None] + self._bias()
        y = scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.proj(y.transpose(2, 3).flatten(3))

    def _bias(self) -> torch.Tensor:
        """The relative position bias, (heads, positions, positions)."""
        along = torch.arange(self.window, device=self.relative_position_bias_table.device)
        y, x = (axis.flatten() for axis in torch.meshgrid(along, along, indexing="ij"))
        rows, columns = (axis[:, None] - axis + self.window - 1 for axis in (y, x))
        return self.relative_position_bias_table[rows * (2 * self.window - 1) + columns].permute(2, 0, 1)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, window: int, shift: int):
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1, self.attn = nn.LayerNorm(width), _Attention(width, heads, window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (N, side, side, width)"""
        side, shift = x.shape[1], self.shift
        y = self._windows(torch.roll(self.norm1(x), (-shift, -shift), (1, 2)))
        y = self.attn(y, self._mask(side, x))
        there = side // self.window
        y = y.unflatten(2, (self.window, -1)).unflatten(1, (there, there)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
        x = x + torch.roll(y, (shift, shift), (1, 2))
        return x + self.mlp["fc2"](gelu(self.mlp["fc1"](self.norm2(x))))

    def _windows(self, x: torch.Tensor) -> torch.Tensor:
        """Partition (N, side, side, width) into windows (N, windows, positions, width)."""
        x = x.unflatten(2, (-1, self.window)).unflatten(1, (-1, self.window)).transpose(2, 3)
        return x.flatten(3, 4).flatten(1, 2)

    def _mask(self, side: int, x: torch.Tensor) -> torch.Tensor:
        """-100 between positions that are adjacent only because of the cyclic shift; (windows or 1, positions,
        positions)."""
        if not self.shift:
            return x.new_zeros(1, 1, 1)
        at = torch.arange(side, device=x.device)
        strip = (at >= side - self.window).long() + (at >= side - self.shift)
        parts = self._windows((3 * strip[:, None] + strip)[None, ..., None])[0, ..., 0]
        return (parts[:, :, None] != parts[:, None]).to(x) * -100


class _Merging(nn.Module):
    """Patch merging: four neighbours become one position with twice the width."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        neighbours = [x[:, dy::2, dx::2] for dx in (0, 1) for dy in (0, 1)]
        return self.reduction(self.norm(torch.cat(neighbours, -1)))


class _Stage(nn.Module):
    def __init__(self, side: int, width: int, depth: int, heads: int, window: int, last: bool):
        super().__init__()
        shift = window // 2 if side > window else 0
        window = min(window, side)
        self.blocks = nn.ModuleList(_Block(width, heads, window, shift if k % 2 else 0) for k in range(depth))
        self.downsample = None if last else _Merging(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class Swin(nn.Module):
    """Features (N, positions, `features`) of images (N, 3, side, side); by default Swin-L with windows of 12.

    side: in pixels, such that each stage divides into windows. width: of the first stage, doubled at each further one.
    """

    def __init__(
        self,
        side: int,
        width: int = 192,
        depths: tuple[int, ...] = (2, 2, 18, 2),
        heads: tuple[int, ...] = (6, 12, 24, 48),
        window: int = 12,
    ):
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH, PATCH), "norm": nn.LayerNorm(width)})
        self.layers = nn.ModuleList(
            _Stage(side // PATCH >> k, width << k, depths[k], heads[k], window, last=k == len(depths) - 1)
            for k in range(len(depths))
        )
        self.features = width << len(depths) - 1
        self.norm = nn.LayerNorm(self.features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch_embed["norm"](self.patch_embed["proj"](x).permute(0, 2, 3, 1))
        for stage in self.layers:
            x = stage(x)
        return self.norm(x.flatten(1, 2))
