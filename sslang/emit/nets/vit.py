"""Vision transformer on timm's, with the fixed positions and initial draw of MoCo v3."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn


def vit(
    *,
    resolution: int,
    patch: int,
    width: int,
    depth: int,
    heads: int,
    mlp_ratio: float = 4.0,
    position: Literal["sincos", "learned"] = "sincos",
    init: Literal["mocov3", "timm"] = "mocov3",
    drop_path: float = 0.0,
    channels: int = 3,
) -> nn.Module:
    """Square images [B, channels, resolution, resolution] to the final-norm cls [B, width].

    State-dict keys are timm's. `position` "sincos" is a buffer, so nothing trains or averages
    it. `init` "mocov3" follows Chen et al. 2021 (arXiv:2104.02057), appendix and code; "timm"
    is timm's default (truncated normal 0.02).
    """
    net = VisionTransformer(
        img_size=resolution,
        patch_size=patch,
        in_chans=channels,
        num_classes=0,
        global_pool="token",
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=mlp_ratio,
        drop_path_rate=drop_path,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    )
    if position == "sincos":
        rows, columns = net.patch_embed.grid_size
        fixed = torch.cat([torch.zeros(1, width), sincos_positions(rows, columns, width)])
        del net.pos_embed
        net.register_buffer("pos_embed", fixed.unsqueeze(0))
    if init == "mocov3":
        _initialise_mocov3(net)
    return net


def sincos_positions(rows: int, columns: int, width: int) -> Tensor:
    """Fixed positions [rows * columns, width], row by row.

    Quarters of the width: sin and cos of the row, sin and cos of the column, each times
    10000^(-4i/width), i = 0 .. width/4 - 1. (For a square grid these are MoCo v3's numbers.)
    """
    assert width % 4 == 0, "sin-cos positions need a width divisible by 4"
    quarter = width // 4
    frequency = 1.0 / 10000.0 ** (torch.arange(quarter, dtype=torch.float32) / quarter)
    row = torch.arange(rows, dtype=torch.float32).repeat_interleave(columns)
    column = torch.arange(columns, dtype=torch.float32).repeat(rows)
    angles = [torch.outer(row, frequency), torch.outer(column, frequency)]
    return torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], dim=1)


@torch.no_grad()
def _initialise_mocov3(net: VisionTransformer) -> None:
    """Xavier uniform, with q, k and v each a matrix of its own; biases 0; cls std 1e-6."""
    for name, module in net.named_modules():
        if not isinstance(module, nn.Linear):
            continue
        fan_out, fan_in = module.weight.shape
        if name.endswith("qkv"):
            fan_out //= 3
        _xavier_uniform_(module, fan_in, fan_out)
    projection = net.patch_embed.proj
    assert isinstance(projection, nn.Conv2d) and net.cls_token is not None
    _xavier_uniform_(projection, projection.weight[0].numel(), net.embed_dim)
    nn.init.normal_(net.cls_token, std=1e-6)


def _xavier_uniform_(layer: nn.Linear | nn.Conv2d, fan_in: int, fan_out: int) -> None:
    bound = math.sqrt(6.0 / (fan_in + fan_out))
    nn.init.uniform_(layer.weight, -bound, bound)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
