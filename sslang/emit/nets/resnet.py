"""ResNet: torchvision's blocks and keys, any width, other stems and norms, pooled output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from sslang.emit.nets.convolutions import replace_convolutions
from sslang.emit.nets.draws import fan_in_truncated, variance_scaling
from sslang.emit.nets.norms import GroupedBatchNorm2d
from sslang.emit.nets.preactivation import PreactivationResNet

Stem = Literal["imagenet", "small", "patch"]

_DEPTHS: dict[int, tuple[type[BasicBlock | Bottleneck], tuple[int, ...]]] = {
    10: (BasicBlock, (1, 1, 1, 1)),
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}
_STEMS: dict[str, tuple[int, int, bool]] = {  # kernel, stride, whether a max-pool follows
    "imagenet": (7, 2, True),
    "small": (3, 1, False),
    "patch": (5, 1, False),
}


class PooledResNet(ResNet):
    """torchvision's ResNet less `fc`: the same keys, so that torchvision loads it."""

    def __init__(
        self,
        stem: tuple[nn.Module, nn.Module],
        block: type[BasicBlock | Bottleneck],
        planes: Sequence[int],
        blocks: Sequence[int],
        norm: Callable[[int], nn.Module],
    ) -> None:
        nn.Module.__init__(self)  # torchvision's own fixes 64 channels, 3 inputs and its stem
        self._norm_layer = norm
        self.inplanes, self.dilation, self.groups, self.base_width = planes[0], 1, 1, 64
        self.conv1, self.maxpool = stem
        self.bn1 = norm(planes[0])
        self.relu = nn.ReLU(inplace=True)
        self.layers = len(blocks)
        for n, count in enumerate(blocks):
            layer = self._make_layer(block, planes[n], count, stride=2 if n else 1)
            self.add_module(f"layer{n + 1}", layer)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, h, w] to pooled features [B, D]."""
        return torch.flatten(self.avgpool(self.grid(x)), 1)

    def record(self, x: Tensor) -> dict[str, Tensor]:
        """The fields `pooled` [B, D] and `grid` [B, h', w', D]."""
        grid = self.grid(x)
        return {"pooled": torch.flatten(self.avgpool(grid), 1), "grid": grid.permute(0, 2, 3, 1)}

    def grid(self, x: Tensor) -> Tensor:
        """Images [B, C, h, w] to the feature grid [B, D, h', w'] before pooling."""
        out: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for n in range(self.layers):
            out = self.get_submodule(f"layer{n + 1}")(out)
        return out


def resnet(
    *,
    depth: int,
    width: float = 1.0,
    stem: Stem = "imagenet",
    zero_init_residual: bool = False,
    norm: Literal["batch", "group"] | None = "batch",
    norm_groups: int = 16,
    weight_standardized: bool = False,
    stages: int = 4,
    preactivation: bool = False,
    init: Literal["kaiming", "variance_scaling", "truncated_fan_in"] = "kaiming",
    channels: int = 3,
) -> nn.Module:
    """A ResNet (He et al. 2016) of depth 10, 18, 34, 50, 101 or 152; images to [B, D].

    `width` multiplies every number of channels; after `stages` stages D is 64, 128, 256 or
    512 * width, four times that from depth 50 on. `stem` "small" is a 3x3 convolution of
    stride 1 without max-pool (32 px images), "patch" a 5x5 one. Without a `norm` the
    convolutions have biases.
    """
    block, blocks = _DEPTHS[depth]
    planes = [round(n * width) for n in (64, 128, 256, 512)]
    entry = _stem(stem, channels, planes[0])
    net: nn.Module
    if preactivation:
        bottleneck = block is Bottleneck
        makes = _norm(norm, norm_groups)
        net = PreactivationResNet(entry, planes, blocks[:stages], bottleneck=bottleneck, norm=makes)
    else:
        makes = _norm(norm, norm_groups) or nn.Identity
        net = PooledResNet(entry, block, planes, blocks[:stages], makes)
    if weight_standardized or norm is None:
        replace_convolutions(net, standardized=weight_standardized, bias=norm is None)
    if norm is not None:
        _initialise(net, zero_init_residual, _DRAWS[init])
    return net


def _stem(stem: Stem, channels: int, width: int) -> tuple[nn.Module, nn.Module]:
    """The first convolution and the max-pool or what stands in its place."""
    kernel, stride, pool = _STEMS[stem]
    conv = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
    return conv, nn.MaxPool2d(3, stride=2, padding=1) if pool else nn.Identity()


def _norm(norm: str | None, groups: int) -> Callable[[int], nn.Module] | None:
    if norm is None:
        return None
    return GroupedBatchNorm2d if norm == "batch" else partial(nn.GroupNorm, groups)


def _kaiming(weight: Tensor) -> None:
    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


_DRAWS: dict[str, Callable[[Tensor], object]] = {
    "kaiming": _kaiming,
    "variance_scaling": variance_scaling,
    "truncated_fan_in": fan_in_truncated,
}


def _initialise(net: nn.Module, zero_init_residual: bool, draw: Callable[[Tensor], object]) -> None:
    """Weights of convolutions by `draw`; on request each block's last scale 0.

    Without a norm there is none of this: torch's own draw, as in Greedy InfoMax's code, keeps
    the sum of many residual branches small.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            draw(module.weight)
        elif zero_init_residual and isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
        elif zero_init_residual and isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
