"""SimCLR v2's ResNet with selective kernels (Li et al., 2019) and ResNet-D's stem and shortcut."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslang.emit.nets.draws import variance_scaling
from sslang.emit.nets.norms import GroupedBatchNorm2d

_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class SelectiveKernel(nn.Module):
    """A 3x3 convolution in two streams, mixed channel by channel with weights of the image.

    The weights are a softmax over the streams of a bottleneck on the streams' pooled sum; its
    width is ratio * width, and at least 32.
    """

    def __init__(self, width: int, stride: int, ratio: float) -> None:
        super().__init__()
        middle = max(int(width * ratio), 32)
        self.conv, self.bn = _conv(width, 2 * width, 3, stride), GroupedBatchNorm2d(2 * width)
        self.squeeze, self.squeeze_bn = _conv(width, middle, 1), GroupedBatchNorm2d(middle)
        self.excite = _conv(middle, 2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, h, w] to [B, width, h / stride, w / stride]."""
        streams = torch.stack(F.relu(self.bn(self.conv(x))).chunk(2, dim=1))
        pooled = streams.sum(0).mean(dim=(2, 3), keepdim=True)
        logits = self.excite(F.relu(self.squeeze_bn(self.squeeze(pooled))))
        mixing = torch.stack(logits.chunk(2, dim=1)).softmax(0)
        return (streams * mixing).sum(0)


class AveragePool(nn.Module):
    """Means of 2x2 places. Stride 2: an odd side is padded by zeros; 1: windows end at the edge."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to [B, C, ceil(h / stride), ceil(w / stride)]."""
        mode = "replicate" if self.stride == 1 else "constant"  # as TensorFlow's "same" counts
        return F.avg_pool2d(F.pad(x, (0, 1, 0, 1), mode), 2, self.stride)


class MaxPool(nn.Module):
    """3x3, stride 2, as TensorFlow pads it: an even side below and right only."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w], nowhere negative, to [B, C, ceil(h / 2), ceil(w / 2)]."""
        bottom, right = (side % 2 for side in x.shape[2:])
        return F.max_pool2d(F.pad(x, (right, 1, bottom, 1)), 3, 2)


class SelectiveBottleneck(nn.Module):
    """1x1, selective 3x3, 1x1 with four times the channels, and a shortcut that pools."""

    def __init__(self, inputs: int, width: int, stride: int, ratio: float, first: bool) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = _conv(inputs, width, 1), GroupedBatchNorm2d(width)
        self.sk = SelectiveKernel(width, stride, ratio)
        self.conv3, self.bn3 = _conv(width, outputs, 1), GroupedBatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if first:
            pool, norm = AveragePool(stride), GroupedBatchNorm2d(outputs)
            self.downsample = nn.Sequential(pool, _conv(inputs, outputs, 1), norm)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] to [B, 4 * width, h / stride, w / stride]."""
        out: Tensor = self.bn3(self.conv3(self.sk(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(out + self.downsample(x))


class SelectiveResNet(nn.Module):
    """The stem, four layers of selective bottlenecks, and the mean over places."""

    def __init__(
        self, stem: nn.Module, planes: list[int], blocks: tuple[int, ...], ratio: float
    ) -> None:
        super().__init__()
        self.stem = stem
        inputs = planes[0]
        for n, (width, count) in enumerate(zip(planes, blocks, strict=True)):
            layer = nn.Sequential()
            for at in range(count):
                stride = 2 if n and not at else 1
                layer.append(SelectiveBottleneck(inputs, width, stride, ratio, first=not at))
                inputs = 4 * width
            self.add_module(f"layer{n + 1}", layer)

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, h, w] to pooled features [B, D]."""
        out: Tensor = self.stem(x)
        for n in (1, 2, 3, 4):
            out = self.get_submodule(f"layer{n}")(out)
        return out.mean(dim=(2, 3))


def sk_resnet(
    *,
    depth: int,
    width: float = 1.0,
    ratio: float = 0.0625,
    stem: Literal["imagenet", "small"] = "imagenet",
    zero_init_residual: bool = True,
    channels: int = 3,
) -> nn.Module:
    """SimCLR v2's ResNet of depth 50, 101, 152 or 200; images to [B, 2048 * width].

    Follows Chen et al. 2020b (arXiv:2006.10029) and its code, initial draw included: `ratio` is
    its sk_ratio. The stem "small" is one 3x3 convolution of stride 1 without max-pool.
    """
    planes = [round(n * width) for n in (64, 128, 256, 512)]
    entry = _small_stem if stem == "small" else _imagenet_stem
    net = SelectiveResNet(entry(channels, planes[0]), planes, _BLOCKS[depth], ratio)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            variance_scaling(module.weight)
        elif zero_init_residual and isinstance(module, SelectiveBottleneck):
            nn.init.zeros_(module.bn3.weight)
    return net


def _small_stem(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(_conv(channels, width), GroupedBatchNorm2d(width), nn.ReLU(inplace=True))


def _imagenet_stem(channels: int, width: int) -> nn.Sequential:
    """ResNet-D's (He et al. 2019): three 3x3 convolutions, the first with stride 2; a max-pool."""
    half = width // 2
    stem = nn.Sequential()
    for inputs, outputs, stride in ((channels, half, 2), (half, half, 1), (half, width, 1)):
        stem.extend([_conv(inputs, outputs, 3, stride), GroupedBatchNorm2d(outputs)])
        stem.append(nn.ReLU(inplace=True))
    return stem.append(MaxPool())
