"""ResNet: torchvision's blocks and keys, any width, two stems, pooled output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from sslang.emit.nets.norms import GroupedBatchNorm2d

_DEPTHS: dict[int, tuple[type[BasicBlock | Bottleneck], tuple[int, ...]]] = {
    10: (BasicBlock, (1, 1, 1, 1)),
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class PooledResNet(ResNet):
    """torchvision's ResNet less `fc`: the same keys, so that torchvision loads it."""

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: Sequence[int],
        width: float,
        stem: Literal["imagenet", "small"],
        zero_init_residual: bool,
        channels: int,
    ) -> None:
        nn.Module.__init__(self)  # torchvision's own fixes 64 channels, 3 inputs and its stem
        planes = [round(n * width) for n in (64, 128, 256, 512)]
        self._norm_layer = GroupedBatchNorm2d
        self.inplanes, self.dilation, self.groups, self.base_width = planes[0], 1, 1, 64
        small = stem == "small"
        kernel, stride, padding = (3, 1, 1) if small else (7, 2, 3)
        self.conv1 = nn.Conv2d(channels, planes[0], kernel, stride, padding, bias=False)
        self.bn1 = GroupedBatchNorm2d(planes[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, planes[0], layers[0])
        self.layer2 = self._make_layer(block, planes[1], layers[1], stride=2)
        self.layer3 = self._make_layer(block, planes[2], layers[2], stride=2)
        self.layer4 = self._make_layer(block, planes[3], layers[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self._initialise(zero_init_residual)

    def _initialise(self, zero_init_residual: bool) -> None:
        """Kaiming normal by fan-out (He et al. 2015); on request each block's last scale 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)
            elif zero_init_residual and isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, h, w] to pooled features [B, D]."""
        return torch.flatten(self.avgpool(self.grid(x)), 1)

    def grid(self, x: Tensor) -> Tensor:
        """Images [B, C, h, w] to the feature grid [B, D, h', w'] before pooling."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        out: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return out


def resnet(
    *,
    depth: int,
    width: float = 1.0,
    stem: Literal["imagenet", "small"] = "imagenet",
    zero_init_residual: bool = False,
    channels: int = 3,
) -> nn.Module:
    """A ResNet (He et al. 2016) of depth 10, 18, 34, 50, 101 or 152; images to [B, D].

    `width` multiplies every number of channels; D is 512 * width, or 2048 * width from depth
    50 on. `stem` "small" is a 3x3 convolution of stride 1 without max-pool (32 px images).
    """
    block, layers = _DEPTHS[depth]
    return PooledResNet(block, layers, width, stem, zero_init_residual, channels)
