from __future__ import annotations

import math
from typing import Any

import pytest
import timm
import torch
from timm.layers.drop import DropPath
from torch import Tensor, nn

from sslang.emit.nets.vit import sincos_positions, vit
from sslang.ops.nets import PARTS

SMALL: dict[str, Any] = {"resolution": 32, "patch": 8, "width": 192, "depth": 2, "heads": 3}


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return vit(**SMALL)


def _assert_uniform(weight: Tensor, bound: float) -> None:
    assert weight.abs().max().item() <= bound
    assert weight.abs().max().item() > 0.99 * bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_initial_draw_is_moco_v3s(net: nn.Module) -> None:
    state = net.state_dict()
    d, inputs = 192, 3 * 8 * 8
    _assert_uniform(state["patch_embed.proj.weight"], math.sqrt(6 / (inputs + d)))
    for block in ("blocks.0", "blocks.1"):
        for third in state[f"{block}.attn.qkv.weight"].chunk(3):
            _assert_uniform(third, math.sqrt(6 / (d + d)))
        _assert_uniform(state[f"{block}.attn.proj.weight"], math.sqrt(6 / (d + d)))
        _assert_uniform(state[f"{block}.mlp.fc1.weight"], math.sqrt(6 / (d + 4 * d)))
        _assert_uniform(state[f"{block}.mlp.fc2.weight"], math.sqrt(6 / (d + 4 * d)))
    for name, tensor in state.items():
        if name.endswith("bias"):
            assert not tensor.any(), name
        if "norm" in name and name.endswith("weight"):
            assert (tensor == 1).all(), name
    assert 0.8e-6 < state["cls_token"].std().item() < 1.2e-6


def test_norms_have_moco_v3s_epsilon(net: nn.Module) -> None:
    norms = [m for m in net.modules() if isinstance(m, nn.LayerNorm)]
    assert len(norms) == 5 and {m.eps for m in norms} == {1e-6}


def test_positions_number_by_number() -> None:
    rows, columns, width = 3, 3, 16
    table = sincos_positions(rows, columns, width)
    for r in range(rows):
        for c in range(columns):
            waves = [10000.0 ** (-4 * i / width) for i in range(width // 4)]
            expected = [f(x * w) for x in (r, c) for f in (math.sin, math.cos) for w in waves]
            torch.testing.assert_close(table[r * columns + c], torch.tensor(expected))


def test_positions_are_fixed_and_the_cls_has_none(net: nn.Module) -> None:
    assert "pos_embed" in net.state_dict()
    assert "pos_embed" not in dict(net.named_parameters())
    position = net.state_dict()["pos_embed"]
    assert position.shape == (1, 17, 192) and not position[0, 0].any()
    assert torch.equal(position[0, 1:], sincos_positions(4, 4, 192))


def test_learned_positions_and_timms_draw() -> None:
    torch.manual_seed(0)
    learned = vit(**SMALL, position="learned", init="timm")
    state = dict(learned.named_parameters())
    assert state["pos_embed"].std().item() == pytest.approx(0.02, rel=0.05)
    assert state["blocks.0.attn.qkv.weight"].std().item() == pytest.approx(0.02, rel=0.02)


def test_plain_timm_loads_it_and_agrees(net: nn.Module) -> None:
    plain = timm.models.vision_transformer.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=192, depth=2, num_heads=3, num_classes=0
    )
    plain.load_state_dict(net.state_dict())
    x = torch.randn(2, 3, 32, 32)
    out = net.eval()(x)
    assert out.shape == (2, 192)
    assert torch.equal(out, plain.eval()(x))
    torch.testing.assert_close(out.mean(1), torch.zeros(2), atol=1e-5, rtol=0)  # final norm


def test_drop_path_grows_with_depth_and_rests_in_evaluation() -> None:
    net = vit(**{**SMALL, "depth": 3}, drop_path=0.2, channels=1)
    rates = [m.drop_prob for m in net.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.1, 0.1, 0.2, 0.2])
    x = torch.randn(2, 1, 32, 32)
    assert torch.equal(net.eval()(x), net(x))


def test_parts_own_all_but_the_positions(net: nn.Module) -> None:
    prefixes = tuple(p for part in PARTS["vit"].values() for p in part)
    loose = {key for key in net.state_dict() if not key.startswith(prefixes)}
    assert loose == {"pos_embed"}
