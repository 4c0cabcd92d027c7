from __future__ import annotations

import math

import pytest
import torch
import torchvision
from torch import nn

from sslang.emit.nets.norms import GroupedBatchNorm2d
from sslang.emit.nets.resnet import PooledResNet, resnet
from sslang.ops.nets import PARTS


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_torchvision_loads_it_and_agrees(depth: int) -> None:
    ours = resnet(depth=depth).eval()
    theirs = getattr(torchvision.models, f"resnet{depth}")().eval()
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert set(missing) == {"fc.weight", "fc.bias"} and not unexpected
    theirs.fc = nn.Identity()
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("depth", [101, 152])
def test_deep_nets_have_torchvisions_keys(depth: int) -> None:
    with torch.device("meta"):
        ours, theirs = resnet(depth=depth), getattr(torchvision.models, f"resnet{depth}")()
    assert list(ours.state_dict()) == [k for k in theirs.state_dict() if not k.startswith("fc.")]


@pytest.mark.parametrize(
    ("depth", "width", "features"),
    [(18, 0.25, 128), (50, 0.25, 512), (10, 0.125, 64), (18, 2.0, 1024)],
)
def test_width_multiplies_every_channel_count(depth: int, width: float, features: int) -> None:
    net = resnet(depth=depth, width=width, stem="small", channels=2)
    assert net(torch.randn(2, 2, 16, 16)).shape == (2, features)
    wide = dict(resnet(depth=depth, stem="small", channels=2).named_modules())
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            assert module.out_channels == round(width * wide[name].out_channels)


def test_small_stem_keeps_the_resolution() -> None:
    net = resnet(depth=18, width=0.125, stem="small")
    assert isinstance(net, PooledResNet)
    x = torch.randn(2, 3, 32, 32)
    grid = net.grid(x)
    assert grid.shape == (2, 64, 4, 4)
    torch.testing.assert_close(net.eval()(x), net.grid(x).mean(dim=(2, 3)))
    imagenet = resnet(depth=18, width=0.125)
    assert isinstance(imagenet, PooledResNet)
    assert imagenet.grid(torch.randn(2, 3, 64, 64)).shape == (2, 64, 2, 2)


def test_initial_draw() -> None:
    torch.manual_seed(0)
    for name, module in resnet(depth=50, width=0.5).named_modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size)
            tolerance = 6 / math.sqrt(2 * module.weight.numel())
            expected = pytest.approx(math.sqrt(2 / fan_out), rel=tolerance)
            assert module.weight.std().item() == expected, name
        elif isinstance(module, nn.BatchNorm2d):
            assert isinstance(module, GroupedBatchNorm2d)
            assert (module.weight == 1).all() and (module.bias == 0).all()


@pytest.mark.parametrize(("depth", "last"), [(18, "bn2"), (50, "bn3")])
def test_zero_init_residual(depth: int, last: str) -> None:
    net = resnet(depth=depth, width=0.25, zero_init_residual=True)
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert bool(module.weight.any()) == (not name.endswith(last)), name


def test_parts_cover_every_key_once() -> None:
    parts = PARTS["resnet"]
    for key in resnet(depth=18, width=0.125).state_dict():
        owners = [p for p, prefixes in parts.items() if key.startswith(prefixes)]
        assert len(owners) == 1, key
