from __future__ import annotations

import math

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
