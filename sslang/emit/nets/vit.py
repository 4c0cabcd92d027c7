"""Vision transformer on timm's, with the positions and initial draws of MoCo v3 and DINO."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, cast

import torch
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from sslang.emit.nets.masks import scattered
from sslang.emit.nets.paths import dropped, rate_at
from sslang.emit.nets.positions import interpolated, sincos_positions
from sslang.ops.nets.transformers import drops_of_blocks


class DroppedBlock(Block):
    """timm's block with its keys, whose branches are dropped by numbers that are given."""

    def forward(
        self,
        x: Tensor,
        attn_mask: Tensor | None = None,
        rate: float = 0.0,
        drops: Tensor | None = None,
    ) -> Tensor:
        """Tokens [B, N, width] to the same. `drops` [B, 2] are for attention and MLP, at `rate`."""
        attended = self.attn(self.norm1(x), attn_mask=attn_mask)
        x = x + (attended if drops is None else dropped(attended, rate, drops[:, 0]))
        out: Tensor = self.mlp(self.norm2(x))
        return x + (out if drops is None else dropped(out, rate, drops[:, 1]))


def _applied(
    blocks: nn.Sequential, x: Tensor, drop_path: float, drops: Tensor | None, mask: Tensor | None
) -> Tensor:
    """The blocks on tokens [B, N, width]; paths are dropped by `drops` [B, 2 * depth], if any."""
    for at, block in enumerate(blocks):
        if drops is None:
            x = block(x, mask)
        else:
            rate = rate_at(at, len(blocks), drop_path)
            x = block(x, mask, rate, drops[:, 2 * at : 2 * at + 2])
    return x


class ClassTokenTransformer(VisionTransformer):
    """timm's transformer with its keys, for square images of any size that patches tile."""

    @property
    def drops(self) -> int:
        return drops_of_blocks(len(self.blocks))

    def forward(  # type: ignore[override]  # timm's masks have no use here
        self,
        x: Tensor,
        drop_path: float = 0.0,
        drops: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Images [B, C, s, s] to the final-norm class token [B, width].

        Given `drops` [B, 2 * depth], branches are dropped at rates that grow from 0 to
        `drop_path`, as `torch.linspace` has them (timm, DINO).
        """
        return self._normed(x, drop_path, drops, keep)[:, 0]

    def record(
        self,
        x: Tensor,
        drop_path: float = 0.0,
        drops: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """`cls` and `pooled` [B, width], `patches` [B, h w, width], `grid` [B, h, w, width].

        The attention sees the patches of which `keep` [B, h w] is true alone; in the places of the
        others `patches` is 0, and `pooled` is the mean over those that are kept.
        """
        tokens = self._normed(x, drop_path, drops, keep)
        patches = tokens[:, 1:]
        if keep is not None:
            mean = patches.sum(1) / keep.sum(1, keepdim=True).clamp_min(1)
            return {"cls": tokens[:, 0], "patches": patches, "pooled": mean}
        side = math.isqrt(patches.shape[1])
        grid = patches.reshape(len(x), side, side, patches.shape[-1])
        return {"cls": tokens[:, 0], "patches": patches, "grid": grid, "pooled": patches.mean(1)}

    def _normed(
        self, x: Tensor, drop_path: float, drops: Tensor | None, keep: Tensor | None
    ) -> Tensor:
        """All tokens after the last norm, the class token first: [B, 1 + N, width]."""
        x = self._tokens(x)
        if keep is not None:
            return scattered(lambda t, m: self._blocks(t, drop_path, drops, m), x, keep)
        return self._blocks(x, drop_path, drops, None)

    def _blocks(
        self, x: Tensor, drop_path: float, drops: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        out: Tensor = self.norm(_applied(self.blocks, x, drop_path, drops, mask))
        return out

    def _tokens(self, x: Tensor) -> Tensor:
        """The class token and the embedded patches, with positions: [B, 1 + N, width]."""
        assert self.cls_token is not None and self.pos_embed is not None
        side = x.shape[-1] // self.patch_embed.patch_size[0]
        patches = self.patch_embed(x)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches], dim=1)
        return tokens + interpolated(self.pos_embed, side)


def vit(
    *,
    resolution: int,
    patch: int,
    width: int,
    depth: int,
    heads: int,
    mlp_ratio: float = 4.0,
    position: Literal["sincos", "learned"] = "sincos",
    init: Literal["mocov3", "dino", "timm", "mae"] = "mocov3",
    channels: int = 3,
) -> nn.Module:
    """Square images [B, channels, s, s] to the final-norm class token [B, width].

    `resolution` is the s whose positions are built; for another s they are interpolated.
    State-dict keys are timm's. `position` "sincos" is a buffer, so nothing trains or averages
    it. `init` "mocov3" follows Chen et al. 2021 (arXiv:2104.02057), appendix and code; "dino"
    Caron et al. 2021, code; "timm" is timm's default: as DINO's, but the class token's standard
    deviation is 1e-6; "mae" He et al. 2022, code.
    """
    net = ClassTokenTransformer(
        img_size=resolution,
        patch_size=patch,
        in_chans=channels,
        num_classes=0,
        global_pool="token",
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=mlp_ratio,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        block_fn=DroppedBlock,
    )
    net.patch_embed.strict_img_size = False
    if position == "sincos":
        rows, columns = net.patch_embed.grid_size
        fixed = torch.cat([torch.zeros(1, width), sincos_positions(rows, columns, width)])
        del net.pos_embed
        net.register_buffer("pos_embed", fixed.unsqueeze(0))
    if init == "mocov3":
        _initialise_mocov3(net)
    if init == "dino":
        _initialise_dino(net)
    if init == "mae":
        _initialise_mae(net)
    return net


class Transformer(nn.Module):
    """Blocks on tokens, their positions added first, and a last norm."""

    positions: Tensor | None

    def __init__(self, blocks: Sequence[Block], positions: Tensor | None, *, trained: bool) -> None:
        super().__init__()
        if trained and positions is not None:
            self.positions = nn.Parameter(positions)
        else:
            self.register_buffer("positions", positions)
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(blocks[0].norm1.normalized_shape, eps=1e-6)

    @property
    def drops(self) -> int:
        return drops_of_blocks(len(self.blocks))

    def forward(self, x: Tensor, drop_path: float = 0.0, drops: Tensor | None = None) -> Tensor:
        """[B, N, width] to the same. `drops` [B, 2 * depth] are as `ClassTokenTransformer`'s."""
        if self.positions is not None:
            x = x + self.positions
        out: Tensor = self.norm(_applied(self.blocks, x, drop_path, drops, None))
        return out


def transformer(
    *,
    tokens: int,
    width: int,
    depth: int,
    heads: int,
    mlp_ratio: float = 4.0,
    position: Literal["sincos", "learned"] | None = "sincos",
    init: Literal["mae", "dino"] = "mae",
) -> nn.Module:
    """Tokens [B, N, width] to the same, by timm's blocks; MAE's decoder (He et al., 2022).

    `position` "sincos" is a buffer for a square grid; "learned" begins as `init` draws it.
    """
    norm = cast(type[nn.Module], partial(nn.LayerNorm, eps=1e-6))
    blocks = [
        DroppedBlock(width, heads, mlp_ratio=mlp_ratio, qkv_bias=True, norm_layer=norm)
        for _ in range(depth)
    ]
    table = None
    if position == "sincos":
        side = math.isqrt(tokens)
        table = sincos_positions(side, side, width).unsqueeze(0)
    elif position == "learned":
        table = nn.init.trunc_normal_(torch.empty(1, tokens, width), std=0.02)
    net = Transformer(blocks, table, trained=position == "learned")
    _draw_linears(net, _xavier if init == "mae" else _truncated)
    return net


def _xavier(weight: Tensor) -> None:
    nn.init.xavier_uniform_(weight)


def _truncated(weight: Tensor) -> None:
    nn.init.trunc_normal_(weight, std=0.02)


@torch.no_grad()
def _draw_linears(net: nn.Module, draw: Callable[[Tensor], None]) -> None:
    for module in net.modules():
        if isinstance(module, nn.Linear):
            draw(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@torch.no_grad()
def _initialise_mae(net: VisionTransformer) -> None:
    """Xavier uniform for linears (q, k and v one matrix) and the projection; class token 0.02."""
    _draw_linears(net, _xavier)
    projection = net.patch_embed.proj
    assert isinstance(projection, nn.Conv2d) and net.cls_token is not None
    _xavier(projection.weight.view(projection.weight.shape[0], -1))
    nn.init.normal_(net.cls_token, std=0.02)
    if isinstance(net.pos_embed, nn.Parameter):
        nn.init.trunc_normal_(net.pos_embed, std=0.02)


@torch.no_grad()
def _initialise_dino(net: VisionTransformer) -> None:
    """Truncated normal (std 0.02, cut at +-2) for linears, class token and learned positions.

    Biases 0; the patch projection keeps `nn.Conv2d`'s draw.
    """
    _draw_linears(net, _truncated)
    assert net.cls_token is not None
    nn.init.trunc_normal_(net.cls_token, std=0.02)
    if isinstance(net.pos_embed, nn.Parameter):
        nn.init.trunc_normal_(net.pos_embed, std=0.02)


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
