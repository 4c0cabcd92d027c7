from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslang.emit.nets.pixel_cnn import pixel_cnn
from sslang.ops import PRIMITIVES, Misfit
from sslang.types import BATCH, TensorType


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_row_sees_itself_whole_and_the_rows_above(kernel: int) -> None:
    torch.manual_seed(0)
    net = pixel_cnn(in_width=4, kernel=kernel).double()
    x = torch.randn(2, 5, 7, 4, dtype=torch.float64, requires_grad=True)
    out = net(x)
    assert out.shape == x.shape
    for row in range(5):
        cotangent = torch.randn(2, 7, 4, dtype=torch.float64)
        (gradient,) = torch.autograd.grad(out[:, row], x, cotangent, retain_graph=True)
        assert not gradient[:, row + 1 :].any()
        assert (gradient[:, row].abs().amax((0, 2)) > 0).all()
        assert kernel == 1 or row == 0 or gradient[:, :row].any()


@pytest.mark.parametrize("column", [0, 3, 6])
def test_one_place_sees_its_whole_row(column: int) -> None:
    torch.manual_seed(0)
    net = pixel_cnn(in_width=4).double()
    x = torch.randn(1, 3, 7, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x)[0, 2, column].sum(), x)
    reach = 4  # of four layers of 3 columns
    seen = [gradient[0, 2, c].any().item() for c in range(7)]
    assert seen == [abs(c - column) <= reach for c in range(7)]


def _masked(x: Tensor, conv: nn.Conv2d, kernel: int) -> Tensor:
    """A whole kernel whose rows below the middle are zero, as Greedy InfoMax masks it."""
    whole = torch.zeros(*conv.weight.shape[:2], kernel, kernel, dtype=x.dtype)
    whole[:, :, : kernel // 2 + 1] = conv.weight
    return F.conv2d(x, whole, conv.bias, padding=kernel // 2)


def test_every_parameter_has_a_gradient() -> None:
    net = pixel_cnn(in_width=4)
    net(torch.randn(2, 3, 3, 4)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_layers_are_greedy_infomaxs() -> None:
    torch.manual_seed(0)
    net: Any = pixel_cnn(in_width=3, layers=3, width=5).double()
    x = torch.randn(2, 4, 6, 3, dtype=torch.float64)
    v = h = x.permute(0, 3, 1, 2)
    for n, layer in enumerate(net.layers):
        vertical = _masked(v, layer.above, 3)
        horizontal = F.conv2d(h, layer.row.weight, layer.row.bias, padding=(0, 1))
        horizontal = horizontal + layer.above_to_row(vertical)
        if n == 1:
            vertical = vertical + layer.shortcut(v)
        out = layer.out(torch.tanh(horizontal[:, :5]) * torch.sigmoid(horizontal[:, 5:]))
        v = torch.tanh(vertical[:, :5]) * torch.sigmoid(vertical[:, 5:])
        h = h + out if n else out
    expected = net.last(h).permute(0, 2, 3, 1)
    torch.testing.assert_close(net(x), expected, rtol=1e-9, atol=1e-9)


def test_initial_draw_is_that_of_whole_kernels() -> None:
    torch.manual_seed(0)
    net: Any = pixel_cnn(in_width=32, layers=1)
    for tensor in (net.layers[0].above.weight, net.layers[0].above.bias):
        bound = 1 / math.sqrt(32 * 9)
        assert 0.9 * bound < tensor.abs().max().item() <= bound


def test_the_rule() -> None:
    rule = PRIMITIVES["pixel_cnn"].rule
    grid = TensorType((BATCH, 7, 7, 16))
    built = rule(grid, layers=2, width=8)
    assert built.output == grid
    assert pixel_cnn(**built.arguments)(torch.randn(2, 7, 7, 16)).shape == (2, 7, 7, 16)
    for refused in (TensorType((BATCH, 16)), TensorType((BATCH, 7, 7, BATCH))):
        with pytest.raises(Misfit):
            rule(refused)
    for settings in ({"kernel": 2}, {"layers": 0}, {"width": 0}):
        with pytest.raises(Misfit):
            rule(grid, **settings)
