from __future__ import annotations

import math
import warnings
from typing import Literal

import pytest
import torch
from torch import nn

from sslang.emit.nets import layers
from sslang.emit.nets.norms import GroupedBatchNorm1d

STD = {
    "torch": 1 / math.sqrt(3 * 256),
    "normal_0.01": 0.01,
    "truncated_0.02": 0.02,
    "truncated_fan_in": 0.8796 / math.sqrt(256),  # a normal cut at 2 sigma has 0.8796 of its std
    "xavier": math.sqrt(2 / (256 + 512)),
    "zeros": 0.0,
}


@pytest.mark.parametrize("init", list(layers.INITS))
def test_linear_draws_as_its_init_says(init: str) -> None:
    torch.manual_seed(0)
    layer = layers.linear(in_width=256, width=512, init=init)
    assert isinstance(layer, nn.Linear) and layer.weight.shape == (512, 256)
    assert layer.weight.std().item() == pytest.approx(STD[init], rel=0.01)
    assert bool(layer.bias.any()) == (init == "torch")


def test_linear_without_bias() -> None:
    layer = layers.linear(in_width=4, width=2, bias=False, init="normal_0.01")
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


@pytest.mark.parametrize("weight_norm", ["trained", "frozen"])
def test_normalised_weights_are_torchs(weight_norm: Literal["trained", "frozen"]) -> None:
    torch.manual_seed(0)
    ours = layers.linear(in_width=6, width=4, bias=False, weight_norm=weight_norm).double()
    torch.manual_seed(0)
    plain = nn.Linear(6, 4, bias=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch recommends another weight norm, of other keys
        theirs = nn.utils.weight_norm(plain).double()  # type: ignore[no-untyped-call]
    assert torch.equal(ours.state_dict()["weight_v"], theirs.state_dict()["weight_v"])
    assert list(ours.state_dict().keys()) == ["weight_v", "weight_g"] or weight_norm == "trained"
    nn.init.ones_(theirs.weight_g)
    x = torch.randn(3, 5, 6, dtype=torch.float64)
    outs = ours(x), theirs(x)
    torch.testing.assert_close(*outs, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        ours.state_dict()["weight_g"], torch.ones(4, 1, dtype=torch.float64), rtol=0, atol=0
    )
    for out in outs:
        out.pow(3).sum().backward()
    torch.testing.assert_close(ours.weight_v.grad, theirs.weight_v.grad, rtol=1e-9, atol=1e-9)
    names = [name for name, _ in ours.named_parameters()]
    assert ("weight_g" in names) == (weight_norm == "trained")
    if weight_norm == "trained":
        torch.testing.assert_close(ours.weight_g.grad, theirs.weight_g.grad, rtol=1e-9, atol=1e-9)


def test_the_draw_of_normalised_weights() -> None:
    torch.manual_seed(0)
    layer = layers.linear(in_width=256, width=512, init="truncated_0.02", weight_norm="frozen")
    assert layer.state_dict()["weight_v"].std().item() == pytest.approx(0.02, rel=0.01)
    assert not layer.get_parameter("bias").any()


def test_batch_norm_of_a_grid_is_over_all_places() -> None:
    grid = torch.randn(4, 3, 5, 6, dtype=torch.float64)
    one, other = (layers.batch_norm(in_width=6).double() for _ in range(2))
    out = one(grid)
    torch.testing.assert_close(out.flatten(0, 2), other(grid.flatten(0, 2)))


def test_group_norm_by_hand() -> None:
    norm = layers.group_norm(in_width=6, groups=2).double()
    nn.init.normal_(norm.get_parameter("weight"))
    nn.init.normal_(norm.get_parameter("bias"))
    x = torch.randn(3, 4, 6, dtype=torch.float64, requires_grad=True)
    runs = x.view(3, 4, 2, 3)
    centred = runs - runs.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    expected = scaled.view(3, 4, 6) * norm.get_parameter("weight") + norm.get_parameter("bias")
    out = norm(x)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    gradients = [torch.autograd.grad(o.pow(3).sum(), x)[0] for o in (out, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


def test_unknown_init_is_an_error() -> None:
    with pytest.raises(KeyError, match="nothing"):
        layers.linear(in_width=4, width=2, init="nothing")


def test_norms_take_their_settings() -> None:
    norm = layers.batch_norm(in_width=4, shift=False, momentum=0.2, eps=1e-3)
    assert isinstance(norm, GroupedBatchNorm1d)
    assert (norm.momentum, norm.eps) == (0.2, 1e-3)
    assert [name for name, _ in norm.named_parameters()] == ["weight"]
    names = [name for name, _ in layers.layer_norm(in_width=4, shift=False).named_parameters()]
    assert names == ["weight"]


def test_shapeless_layers() -> None:
    x = torch.tensor([[[-1.0, 2.0]]])
    assert torch.equal(layers.relu()(x.clone()), torch.tensor([[[0.0, 2.0]]]))
    phi = 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    torch.testing.assert_close(layers.gelu()(x), x * phi)
    assert layers.flatten()(torch.zeros(2, 3, 4)).shape == (2, 12)
