"""The names of the standard library: what each becomes, and its initial draw."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import sslang
from sslang.api import load_source
from sslang.diagnostics import Source
from sslang.emit.nets.layers import FeatureBatchNorm, WeightNormLinear
from sslang.emit.nets.net import Net, build_net
from sslang.ir.program import Program

TEXT = """method "Names"
view a, b = random_resized_crop({size})
encoder f = {encoder}
head g = {head}
z = (f | g | l2_normalize)([a, b])
loss = nt_xent(z, 0.1)
features = f(a)
recipe default : laptop {{}}
"""
ENCODERS = {  # the call, the size of its views, its features
    "resnet18": ("resnet18(width = 0.125)", 32, 64),
    "resnet34": ("resnet34(width = 0.125)", 32, 64),
    "resnet50": ("resnet50(width = 0.125)", 32, 256),
    "resnet101": ("resnet101(width = 0.0625)", 32, 128),
    "resnet152": ("resnet152(width = 0.0625)", 32, 128),
    "simclr_resnet50": ("simclr_resnet50(width = 0.125)", 32, 256),
    "byol_resnet50": ("byol_resnet50(width = 0.125)", 32, 256),
    "resnet50_group_norm": ("resnet50_group_norm(width = 0.25)", 32, 512),
    "resnet50_sk": ("resnet50_sk(width = 0.0625)", 32, 128),
    "resnet101_sk": ("resnet101_sk(width = 0.0625)", 32, 128),
    "resnet152_sk": ("resnet152_sk(width = 0.0625, stem = small)", 32, 128),
    "cpc_resnet": ("cpc_resnet(width = 0.0625)", 32, 64),
    "gim_resnet": ("gim_resnet(width = 0.0625)", 16, 64),
    "cmc_alexnet": ("cmc_alexnet()", 64, 2048),
    "vit_tiny": ("vit_tiny(depth = 1)", 32, 192),
    "vit_small": ("vit_small(depth = 1)", 32, 384),
    "vit_base": ("vit_base(depth = 1)", 32, 768),
    "dino_vit_tiny": ("dino_vit_tiny(patch = 8, depth = 1)", 32, 192),
    "dino_vit_small": ("dino_vit_small(depth = 1)", 32, 384),
    "dino_vit_base": ("dino_vit_base(depth = 1)", 32, 768),
}
HEADS = {  # the call, and what it is made of
    "mlp": ("mlp(32, 16)", "lbrl"),
    "simclr_projector": ("simclr_projector(32, 16)", "lbrlb"),
    "moco_v3_head": ("moco_v3_head(32, 16)", "lbrlb"),
    "moco_v3_deep_head": ("moco_v3_deep_head(32, 16)", "lbrlbrlb"),
    "simclr_v2_projector": ("simclr_v2_projector(32, 16)", "lbrlbrlb"),
    "byol_head": ("byol_head(32, 16)", "lbrl"),
    "simsiam_projector": ("simsiam_projector(16)", "lbrlbrlb"),
    "simsiam_predictor": ("simsiam_predictor(32, 16)", "lbrl"),
    "dino_head": ("dino_head(32, 16)", "lglgl"),
    "dino_prototypes": ("dino_prototypes(16)", "w"),
}
LETTERS = {
    nn.Linear: "l", FeatureBatchNorm: "b", nn.ReLU: "r", nn.GELU: "g", WeightNormLinear: "w",
}  # fmt: skip


def _program(encoder: str, head: str = "linear(8)", size: int = 32) -> Program:
    text = TEXT.format(encoder=encoder, head=head, size=size)
    return load_source(Source("names.ssl", text))


def _net(program: Program, name: str) -> Net:
    return build_net(program.net(name).stages, 0, name)


def _head(name: str) -> Any:
    return _net(_program("resnet18(width = 0.125)", HEADS[name][0]), "g")


def test_the_table_has_every_name() -> None:
    text = (Path(sslang.__file__).parent / "std" / "nets.ssl").read_text(encoding="utf-8")
    assert set(re.findall(r"^fn (\w+)", text, re.MULTILINE)) == {*ENCODERS, *HEADS}


@pytest.mark.parametrize("name", list(ENCODERS))
def test_encoders(name: str) -> None:
    call, size, width = ENCODERS[name]
    net = _net(_program(call, size=size), "f")
    assert net(torch.randn(2, 3, size, size)).shape == (2, width)


@pytest.mark.parametrize("name", list(HEADS))
def test_heads(name: str) -> None:
    net = _head(name)
    assert "".join(LETTERS[type(part)] for part in net) == HEADS[name][1]
    assert net(torch.randn(4, 64)).shape == (4, 16)


@pytest.mark.parametrize("name", ["simclr_projector", "simclr_v2_projector"])
def test_simclrs_heads(name: str) -> None:
    net = _head(name)
    for part in net:
        if isinstance(part, nn.Linear):
            assert part.bias is None
            assert part.weight.std().item() == pytest.approx(0.01, rel=0.1)
    *others, last = [part for part in net if isinstance(part, FeatureBatchNorm)]
    assert last.weight is not None and last.bias is None
    assert all(norm.bias is not None for norm in others)


@pytest.mark.parametrize("name", ["simsiam_projector", "moco_v3_head", "moco_v3_deep_head"])
def test_heads_that_end_in_a_plain_norm(name: str) -> None:
    net = _head(name)
    assert not list(net[-1].parameters())
    assert all(part.bias is None for part in net if isinstance(part, nn.Linear))


def test_byols_and_simsiams_biases() -> None:
    for name, wanted in {"byol_head": [True, False], "simsiam_predictor": [False, True]}.items():
        linears = [part for part in _head(name) if isinstance(part, nn.Linear)]
        assert [part.bias is not None for part in linears] == wanted
    byol = _head("byol_head")
    assert byol[0].weight.std().item() == pytest.approx(0.8796 / math.sqrt(64), rel=0.1)
    assert not byol[0].bias.any()


def test_dinos_head() -> None:
    for part in _head("dino_head"):
        if isinstance(part, nn.Linear):
            assert part.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert not part.bias.any()
    assert [name for name, _ in _head("dino_prototypes").named_parameters()] == ["0.weight_v"]


def test_cpcs_encoder_has_no_norm() -> None:
    net = _net(_program("cpc_resnet(width = 0.0625)", size=64), "f")
    kinds = {type(module) for module in net.modules()}
    assert not any(issubclass(kind, nn.BatchNorm2d | nn.GroupNorm) for kind in kinds)
    assert sum(isinstance(m, nn.Conv2d) for m in net.modules()) == 1 + 3 * (3 + 4 + 23) + 3
    small = _net(_program("gim_resnet(width = 0.0625)", size=16), "f")
    assert small.get_parameter("0.conv1.weight").shape[2:] == (5, 5)
