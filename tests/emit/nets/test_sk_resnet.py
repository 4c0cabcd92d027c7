from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslang.emit.nets.sk_resnet import AveragePool, MaxPool, SelectiveKernel, sk_resnet
from sslang.ops import PRIMITIVES, Misfit
from sslang.ops.nets import PARTS
from sslang.types import ViewType


@pytest.mark.parametrize(
    ("depth", "width", "millions"), [(50, 1, 35), (50, 2, 140), (101, 1, 65), (152, 3, 795)]
)
def test_parameters_are_as_many_as_the_papers(depth: int, width: int, millions: int) -> None:
    """SimCLR v2, table 1, in millions, without a classifier."""
    with torch.device("meta"):
        net = sk_resnet(depth=depth, width=width)
    assert round(sum(p.numel() for p in net.parameters()) / 1e6) == millions


def _windows(x: Tensor, kernel: int, stride: int, how: str) -> Tensor:
    """Pooling by TensorFlow's "same" rule, window by window; padding is never counted."""
    sides = [math.ceil(side / stride) for side in x.shape[2:]]
    totals = [
        max((n - 1) * stride + kernel - s, 0) for n, s in zip(sides, x.shape[2:], strict=True)
    ]
    out = x.new_empty(*x.shape[:2], *sides)
    for r, c in product(*map(range, sides)):
        top, left = r * stride - totals[0] // 2, c * stride - totals[1] // 2
        window = x[:, :, max(top, 0) : top + kernel, max(left, 0) : left + kernel]
        out[:, :, r, c] = window.amax((2, 3)) if how == "max" else window.mean((2, 3))
    return out


@pytest.mark.parametrize("sides", [(6, 6), (7, 7), (6, 9)])
def test_pools_are_tensorflows(sides: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *sides, dtype=torch.float64)
    torch.testing.assert_close(MaxPool()(x), _windows(x, 3, 2, "max"))
    torch.testing.assert_close(AveragePool(1)(x), _windows(x, 2, 1, "mean"))


def test_average_pool_of_stride_two_counts_zeros_at_an_odd_edge() -> None:
    x = torch.ones(1, 1, 3, 4)
    expected = torch.tensor([[[[1.0, 1.0], [0.5, 0.5]]]])
    assert torch.equal(AveragePool(2)(x), expected)


def test_selective_kernel_by_hand() -> None:
    torch.manual_seed(0)
    kernel = SelectiveKernel(4, 2, 0.0625).double()
    x = torch.randn(3, 4, 5, 5, dtype=torch.float64, requires_grad=True)

    def norm(y: Tensor) -> Tensor:
        y = y - y.mean((0, 2, 3), keepdim=True)
        return (y / (y.square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()).relu()

    streams = norm(F.conv2d(x, kernel.conv.weight, stride=2, padding=1))
    first, second = streams[:, :4], streams[:, 4:]
    pooled = (first + second).mean((2, 3), keepdim=True)
    logits = F.conv2d(norm(F.conv2d(pooled, kernel.squeeze.weight)), kernel.excite.weight)
    share = torch.sigmoid(logits[:, :4] - logits[:, 4:])
    expected = share * first + (1 - share) * second
    out = kernel(x)
    assert kernel.squeeze.out_channels == 32
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    gradients = [torch.autograd.grad(o.pow(3).sum(), x)[0] for o in (out, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-9)


def test_the_bottleneck_is_a_share_of_the_channels_above_512() -> None:
    assert SelectiveKernel(1024, 1, 0.0625).squeeze.out_channels == 64


def test_blocks_and_the_whole_by_their_parts() -> None:
    torch.manual_seed(0)
    net = sk_resnet(depth=50, width=0.0625, zero_init_residual=False).double()
    assert [m.stride for m in net.modules() if isinstance(m, AveragePool)] == [1, 2, 2, 2]
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    y = net.get_submodule("stem")(x)
    assert y.shape == (2, 4, 8, 8)
    for n in (1, 2, 3, 4):
        for block in net.get_submodule(f"layer{n}").children():
            parts = dict(block.named_children())
            out = parts["sk"](parts["bn1"](parts["conv1"](y)).relu())
            y = (parts["bn3"](parts["conv3"](out)) + parts["downsample"](y)).relu()
    assert y.shape == (2, 128, 1, 1)
    torch.testing.assert_close(net(x), y.mean((2, 3)))


def test_initial_draw_is_simclrs() -> None:
    torch.manual_seed(0)
    net = sk_resnet(depth=50, width=0.5)
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            std = 1 / math.sqrt(module.weight[0].numel())
            tolerance = 6 / math.sqrt(2 * module.weight.numel())
            assert module.weight.std().item() == pytest.approx(std, rel=tolerance), name
            assert module.weight.abs().max().item() <= 2 * std / 0.8796
            assert module.bias is None
        elif isinstance(module, nn.BatchNorm2d):
            assert bool(module.weight.any()) != name.endswith("bn3"), name


def test_small_stem_keeps_the_resolution() -> None:
    net = sk_resnet(depth=50, width=0.0625, stem="small", channels=2)
    assert net.get_submodule("stem")(torch.randn(2, 2, 8, 8)).shape == (2, 4, 8, 8)


def test_parts_cover_every_key_once() -> None:
    parts = PARTS["sk_resnet"]
    for key in sk_resnet(depth=50, width=0.0625).state_dict():
        assert sum(key.startswith(prefixes) for prefixes in parts.values()) == 1, key


def test_the_rule() -> None:
    rule = PRIMITIVES["sk_resnet"].rule
    built = rule(ViewType(3, 16), depth=50, width=0.0625)
    assert sk_resnet(**built.arguments)(torch.randn(2, 3, 16, 16)).shape[1:] == (128,)
    assert built.output.shape[1:] == (128,)
    refused: list[dict[str, Any]] = [{"depth": 18}, {"depth": 50, "ratio": 0.0}]
    for settings in refused:
        with pytest.raises(Misfit):
            rule(ViewType(3, 16), **settings)
