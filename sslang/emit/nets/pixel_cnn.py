"""A context network on a grid of features: gated convolutions that see no row below."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _ConvFromAbove(nn.Conv2d):
    """The upper rows of a kernel x kernel convolution, its own row included, its columns whole.

    The draw is that of the whole kernel, of which a mask would hide the lower rows.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, (kernel // 2 + 1, kernel))
        bound = 1.0 / math.sqrt(inputs * kernel * kernel)
        nn.init.uniform_(self.weight, -bound, bound)
        assert self.bias is not None
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] to [B, outputs, h, w]."""
        rows, columns = self.weight.shape[2] - 1, self.weight.shape[3] // 2
        return super().forward(F.pad(x, (columns, columns, rows, 0)))


class GatedLayer(nn.Module):
    """Two streams (van den Oord et al., 2016): `above` sees the rows so far, `row` its own too.

    In every layer but the `first`, `row` has a residual path and `above` a 1x1 shortcut before
    its gate; not in the `last`, where nothing would come of the shortcut.
    """

    def __init__(self, inputs: int, width: int, kernel: int, *, first: bool, last: bool) -> None:
        super().__init__()
        self.above = _ConvFromAbove(inputs, 2 * width, kernel)
        self.above_to_row = nn.Conv2d(2 * width, 2 * width, 1)
        self.row = nn.Conv2d(inputs, 2 * width, (1, kernel), padding=(0, kernel // 2))
        self.residual = not first
        self.shortcut = None if first or last else nn.Conv2d(inputs, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, above: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        """Both [B, inputs, h, w] to [B, width, h, w]."""
        from_above = self.above(above)
        out = self.out(_gated(self.row(row) + self.above_to_row(from_above)))
        if self.shortcut is not None:
            from_above = from_above + self.shortcut(above)
        return _gated(from_above), row + out if self.residual else out


def _gated(x: Tensor) -> Tensor:
    value, gate = x.chunk(2, dim=1)
    return torch.tanh(value) * torch.sigmoid(gate)


class PixelCNN(nn.Module):
    """Gated layers and a 1x1 convolution back to the width of the input."""

    def __init__(self, in_width: int, width: int, layers: int, kernel: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            GatedLayer(width if n else in_width, width, kernel, first=not n, last=n == layers - 1)
            for n in range(layers)
        )
        self.last = nn.Conv2d(width, in_width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, h, w, D] to [B, h, w, D]; row r depends on the rows up to r, those whole."""
        above = row = x.movedim(-1, 1)
        for layer in self.layers:
            above, row = layer(above, row)
        out: Tensor = self.last(row)
        return out.movedim(1, -1)


def pixel_cnn(
    *, in_width: int, layers: int = 4, kernel: int = 3, width: int | None = None
) -> nn.Module:
    """The context network of CPC as the code of Greedy InfoMax has it (Löwe et al., 2019).

    [B, h, w, in_width] to the same shape. `width` channels between, those of the input unless
    given. Every convolution has a bias and torch's draw. (The code calls its mask "only_vert".)
    """
    return PixelCNN(in_width, width or in_width, layers, kernel)
