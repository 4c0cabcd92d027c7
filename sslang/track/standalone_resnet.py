"""A trained ResNet encoder in plain PyTorch: ``encoder = build()``.

Needs this file, config.json and model.safetensors in one folder, and the packages torch and
safetensors. Images [B, channels, height, width], floats in 0..1 unless config.json says
otherwise, become features [B, D].
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

_LAYERS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def _convolution(channels: int, out: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, size, stride, padding=size // 2, bias=False)


class Block(nn.Module):
    """A residual block of two 3x3 convolutions, or of 1x1, 3x3 and 1x1 (a bottleneck)."""

    def __init__(self, channels: int, planes: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        out = 4 * planes if bottleneck else planes
        self.bottleneck = bottleneck
        self.conv1 = _convolution(channels, planes, *((1, 1) if bottleneck else (3, stride)))
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _convolution(planes, planes, 3, stride if bottleneck else 1)
        self.bn2 = nn.BatchNorm2d(planes)
        if bottleneck:
            self.conv3 = _convolution(planes, out, 1)
            self.bn3 = nn.BatchNorm2d(out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                _convolution(channels, out, 1, stride), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(torch.relu(y)))
        return torch.relu(y + self.downsample(x))


class ResNet(nn.Module):
    """`width` multiplies the channels; `stem` is "imagenet" (7x7, max-pool) or "small" (3x3)."""

    def __init__(self, depth: int, width: float, stem: str, channels: int) -> None:
        super().__init__()
        planes = [round(count * width) for count in (64, 128, 256, 512)]
        small = stem == "small"
        self.conv1 = _convolution(channels, planes[0], *((3, 1) if small else (7, 2)))
        self.bn1 = nn.BatchNorm2d(planes[0])
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        bottleneck, inputs = depth >= 50, planes[0]
        for number, (count, repeats) in enumerate(zip(planes, _LAYERS[depth], strict=True)):
            blocks = []
            for place in range(repeats):
                stride = 2 if number > 0 and place == 0 else 1
                blocks.append(Block(inputs, count, stride, bottleneck))
                inputs = 4 * count if bottleneck else count
            setattr(self, f"layer{number + 1}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return x.mean(dim=(2, 3))


def build(folder: Path = Path(__file__).parent) -> ResNet:
    """The encoder with its trained weights, in evaluation mode."""
    arguments = json.loads((folder / "config.json").read_text())["arguments"]
    names = ("depth", "width", "stem", "channels")
    net = ResNet(**{name: arguments[name] for name in names})
    net.load_state_dict(load_file(folder / "model.safetensors"))
    return net.eval()
