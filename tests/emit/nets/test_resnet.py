from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from sslang.emit.nets.norms import GroupedBatchNorm2d
from sslang.emit.nets.resnet import PooledResNet, resnet
from sslang.ops import PRIMITIVES, Misfit
from sslang.ops.nets import PARTS
from sslang.types import ViewType


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


VARIANTS: list[dict[str, Any]] = [
    {"depth": 18},
    {"depth": 50, "stages": 3},
    {"depth": 18, "norm": "group", "norm_groups": 4, "weight_standardized": True},
    {"depth": 50, "norm": None, "stages": 3, "preactivation": True, "stem": "patch"},
    {"depth": 18, "preactivation": True},
    {"depth": 50, "preactivation": True, "norm": "group", "norm_groups": 4},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_parts_cover_every_key_once(variant: dict[str, Any]) -> None:
    parts = PARTS["resnet"]
    for key in resnet(width=0.125, **variant).state_dict():
        owners = [p for p, prefixes in parts.items() if key.startswith(prefixes)]
        assert len(owners) == 1, key


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_rule_knows_the_width(variant: dict[str, Any]) -> None:
    built = PRIMITIVES["resnet"].rule(ViewType(3, 16), width=0.25, **variant)
    out = resnet(**built.arguments)(torch.randn(2, 3, 16, 16))
    assert out.shape[1:] == built.output.shape[1:]
    patches = PRIMITIVES["resnet"].rule(ViewType(3, 16, grid=(7, 5)), width=0.25, **variant)
    assert patches.output.shape[1:] == (7, 5, out.shape[1])
    assert patches.arguments == built.arguments


@pytest.mark.parametrize("kind", ["torchvision", "preactivation"])
@pytest.mark.parametrize("norm", ["batch", "group", None])
@pytest.mark.parametrize("standardized", [False, True])
@pytest.mark.parametrize("depth", [18, 50])
def test_every_variant_by_its_formula(depth: int, kind: str, norm: Any, standardized: bool) -> None:
    torch.manual_seed(0)
    net = resnet(
        depth=depth, width=0.125, stem="small", norm=norm, norm_groups=4, stages=2,
        weight_standardized=standardized, preactivation=kind == "preactivation",
    ).double()  # fmt: skip
    for name, tensor in net.named_parameters():
        if "bn" in name or "norm" in name:
            nn.init.normal_(tensor, std=0.5)
    x = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    reference = Reference(net, norm, standardized)
    expected = getattr(reference, kind)(x, depth)
    out = net(x)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    weight = net.get_parameter("layer1.0.conv1.weight")
    cotangent = torch.randn_like(out)
    gradients = [torch.autograd.grad(o, weight, cotangent)[0] for o in (out, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-9)


class Reference:
    """ResNets written out over a state dict."""

    def __init__(self, net: nn.Module, norm: str | None, standardized: bool) -> None:
        self.state = dict(net.named_parameters())
        self.how, self.standardized = norm, standardized

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        w = self.state[f"{name}.weight"]
        if self.standardized:
            flat = w.flatten(1)
            mean = flat.mean(1)[:, None, None, None]
            variance = (flat - flat.mean(1, keepdim=True)).square().mean(1)
            w = (w - mean) / (variance + 1e-5).sqrt()[:, None, None, None]
        bias = self.state.get(f"{name}.bias")
        assert (bias is None) == (self.how is not None)
        return F.conv2d(x, w, bias, stride, w.shape[-1] // 2)

    def norm(self, x: Tensor, name: str) -> Tensor:
        if self.how is None:
            return x
        runs = x if self.how == "batch" else x.unflatten(1, (4, -1))
        axes = (0, 2, 3) if self.how == "batch" else (2, 3, 4)
        runs = runs - runs.mean(axes, keepdim=True)
        runs = runs / (runs.square().mean(axes, keepdim=True) + 1e-5).sqrt()
        w, b = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return runs.reshape(x.shape) * w[:, None, None] + b[:, None, None]

    def blocks(self, depth: int) -> list[tuple[str, int]]:
        counts = (2, 2) if depth == 18 else (3, 4)
        return [
            (f"layer{n + 1}.{at}", 2 if n and not at else 1)
            for n, count in enumerate(counts)
            for at in range(count)
        ]

    def torchvision(self, x: Tensor, depth: int) -> Tensor:
        x = self.norm(self.conv(x, "conv1"), "bn1").relu()
        convs, strided = (2, 1) if depth == 18 else (3, 2)
        for name, stride in self.blocks(depth):
            out = x
            for n in range(1, convs + 1):
                out = self.conv(out, f"{name}.conv{n}", stride if n == strided else 1)
                out = self.norm(out, f"{name}.bn{n}")
                out = out.relu() if n < convs else out
            if f"{name}.downsample.0.weight" in self.state:
                x = self.conv(x, f"{name}.downsample.0", stride)
                x = self.norm(x, f"{name}.downsample.1")
            x = (x + out).relu()
        return x.mean((2, 3))

    def preactivation(self, x: Tensor, depth: int) -> Tensor:
        x = self.conv(x, "conv1")
        convs, strided = (2, 1) if depth == 18 else (3, 2)
        for name, stride in self.blocks(depth):
            out = active = self.norm(x, f"{name}.bn1").relu()
            for n in range(1, convs + 1):
                out = out if n == 1 else self.norm(out, f"{name}.bn{n}").relu()
                out = self.conv(out, f"{name}.conv{n}", stride if n == strided else 1)
            if f"{name}.downsample.0.weight" in self.state:
                x = self.conv(active, f"{name}.downsample.0", stride)
            x = x + out
        return (x if self.how is None else self.norm(x, "last_norm").relu()).mean((2, 3))


def test_patch_stem_and_three_stages_of_cpc() -> None:
    with torch.device("meta"):
        net = resnet(depth=101, stem="patch", norm=None, stages=3, preactivation=True)
        assert net(torch.empty(2, 3, 16, 16)).shape == (2, 1024)
    conv = net.get_submodule("conv1")
    assert isinstance(conv, nn.Conv2d) and conv.kernel_size == (5, 5) and conv.stride == (1, 1)
    assert not hasattr(net, "layer4")


def test_without_a_norm_the_draw_is_torchs() -> None:
    torch.manual_seed(0)
    net = resnet(depth=50, width=0.5, norm=None, stages=2, preactivation=True)
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            bound = 1 / math.sqrt(module.weight[0].numel())
            assert module.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1), name
            assert module.bias is not None and 0 < module.bias.abs().max().item() <= bound


@pytest.mark.parametrize("preactivation", [False, True])
def test_initial_draw_with_group_norm(preactivation: bool) -> None:
    torch.manual_seed(0)
    net = resnet(depth=18, width=0.5, norm="group", preactivation=preactivation)
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size)
            tolerance = 6 / math.sqrt(2 * module.weight.numel())
            expected = pytest.approx(math.sqrt(2 / fan_out), rel=tolerance)
            assert module.weight.std().item() == expected, name
        elif isinstance(module, nn.GroupNorm):
            assert module.num_groups == 16 and (module.weight == 1).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 20}, {"depth": 18, "stages": 0}, {"depth": 18, "width": 0.3},
        {"depth": 18, "norm": "group", "norm_groups": 3},
        {"depth": 18, "zero_init_residual": True, "norm": None},
        {"depth": 18, "zero_init_residual": True, "preactivation": True},
    ],
    ids=str,
)  # fmt: skip
def test_what_the_rule_refuses(settings: dict[str, Any]) -> None:
    with pytest.raises(Misfit):
        PRIMITIVES["resnet"].rule(ViewType(3, 32), **settings)


@pytest.mark.parametrize(
    ("init", "gain"), [("variance_scaling", 1.0), ("truncated_fan_in", 0.87962566103423978)]
)
def test_draws_by_fan_in(init: str, gain: float) -> None:
    """Keras' has the variance 1 / fan-in after the cut at two deviations, Haiku's before it."""
    net = resnet(depth=18, init=init)  # type: ignore[arg-type]
    for name, weight in net.named_parameters():
        if weight.dim() == 4 and weight.numel() > 100_000:
            unit = 1.0 / math.sqrt(weight[0].numel())
            drawn = weight.detach()
            assert float(drawn.std()) == pytest.approx(gain * unit, rel=0.02), name
            assert float(drawn.abs().max()) <= 2.0 * unit * (1.0001 if gain < 1 else 1 / 0.8796)
