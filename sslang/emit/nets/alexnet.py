"""AlexNet with batch norm, as CMC has it for each of its two views."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslang.emit.nets.norms import GroupedBatchNorm1d, GroupedBatchNorm2d

# Channels, kernel, stride, padding, whether a 3x3 max-pool of stride 2 follows.
_CONVOLUTIONS = (
    (96, 11, 4, 2, True),
    (256, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)
_HIDDEN = 4096


class AlexNet(nn.Module):
    """Five convolutions and two fully connected layers, each with batch norm and ReLU."""

    def __init__(self, width: float, side: int, channels: int) -> None:
        super().__init__()
        inputs = channels
        for n, (planes, kernel, stride, padding, pool) in enumerate(_CONVOLUTIONS):
            outputs = round(planes * width)
            layer = nn.Sequential(
                nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
                GroupedBatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            )
            if pool:
                layer.append(nn.MaxPool2d(3, 2))
            self.add_module(f"conv{n + 1}", layer)
            inputs = outputs
        hidden = round(_HIDDEN * width)
        self.fc6 = _connected(inputs * side * side, hidden)
        self.fc7 = _connected(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, s, s] to [B, 4096 * width]."""
        for n in range(len(_CONVOLUTIONS)):
            x = self.get_submodule(f"conv{n + 1}")(x)
        out: Tensor = self.fc7(self.fc6(torch.flatten(x, 1)))
        return out


def _connected(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, outputs), GroupedBatchNorm1d(outputs), nn.ReLU(inplace=True)
    )


def alexnet(*, side: int, width: float = 1.0, channels: int = 3) -> nn.Module:
    """AlexNet (Krizhevsky et al. 2012) up to fc7, as in the code of CMC (Tian et al. 2020).

    Images [B, channels, s, s] to [B, 4096 * width]; `side` is that of the last grid (6 for
    224 px). Torch's own draw.
    """
    return AlexNet(width, side, channels)
