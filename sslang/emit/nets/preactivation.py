"""ResNet v2 (He et al. 2016b): norm and ReLU before each convolution, a clean identity path."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]


class PreactivationBlock(nn.Module):
    """Two 3x3 convolutions, or 1x1, 3x3, 1x1 with four times the channels (`bottleneck`).

    Each has `norm` and ReLU before it. Where the shape changes, the shortcut is a 1x1
    convolution of the activated input, else the input itself. The 3x3 convolution strides.
    """

    def __init__(
        self, inputs: int, planes: int, stride: int, *, bottleneck: bool, norm: Norm
    ) -> None:
        super().__init__()
        outputs = 4 * planes if bottleneck else planes
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        widths = (inputs, planes, planes, outputs) if bottleneck else (inputs, planes, planes)
        strides = (1, stride, 1) if bottleneck else (stride, 1)
        self.convolutions = len(kernels)
        for n, kernel in enumerate(kernels):
            self.add_module(f"bn{n + 1}", norm(widths[n]))
            conv = nn.Conv2d(
                widths[n], widths[n + 1], kernel, strides[n], padding=kernel // 2, bias=False
            )
            self.add_module(f"conv{n + 1}", conv)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] to [B, outputs, h / stride, w / stride]."""
        out = active = self._activated(x, 1)
        shortcut = x if self.downsample is None else self.downsample(active)
        for n in range(1, self.convolutions + 1):
            out = self.get_submodule(f"conv{n}")(out if n == 1 else self._activated(out, n))
        return out + shortcut

    def _activated(self, x: Tensor, n: int) -> Tensor:
        return F.relu(self.get_submodule(f"bn{n}")(x))


class PreactivationResNet(nn.Module):
    """The stem, one layer of blocks for each of `blocks`, and the mean over places.

    With a norm, a last norm and ReLU come before the mean, as in the paper; without one
    (`norm` None) neither, as in the code of Greedy InfoMax (Löwe et al., 2019).
    """

    def __init__(
        self,
        stem: tuple[nn.Module, nn.Module],
        planes: Sequence[int],
        blocks: Sequence[int],
        *,
        bottleneck: bool,
        norm: Norm | None,
    ) -> None:
        super().__init__()
        self.conv1, self.maxpool = stem
        inputs, self.layers = planes[0], len(blocks)
        for n, count in enumerate(blocks):
            layer = nn.Sequential()
            for at in range(count):
                stride = 2 if n and not at else 1
                layer.append(
                    PreactivationBlock(
                        inputs, planes[n], stride, bottleneck=bottleneck, norm=norm or nn.Identity
                    )
                )
                inputs = planes[n] * (4 if bottleneck else 1)
            self.add_module(f"layer{n + 1}", layer)
        self.last_norm = None if norm is None else norm(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, h, w] to pooled features [B, D]."""
        return self.grid(x).mean(dim=(2, 3))

    def record(self, x: Tensor) -> dict[str, Tensor]:
        """The fields `pooled` [B, D] and `grid` [B, h', w', D]."""
        grid = self.grid(x)
        return {"pooled": grid.mean(dim=(2, 3)), "grid": grid.permute(0, 2, 3, 1)}

    def grid(self, x: Tensor) -> Tensor:
        """Images [B, C, h, w] to the feature grid [B, D, h', w'] before pooling."""
        out: Tensor = self.maxpool(self.conv1(x))
        for n in range(self.layers):
            out = self.get_submodule(f"layer{n + 1}")(out)
        return out if self.last_norm is None else F.relu(self.last_norm(out))
