from __future__ import annotations

import math
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from sslang.emit.nets.positions import interpolated, sincos_positions
from sslang.emit.nets.vit import vit
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


def test_initial_draw_is_dinos() -> None:
    torch.manual_seed(0)
    net = vit(**SMALL, position="learned", init="dino")
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.03), name
            assert not module.bias.any(), name
    state = dict(net.named_parameters())
    for name in ("pos_embed", "cls_token"):
        assert state[name].std().item() == pytest.approx(0.02, rel=0.2), name
    bound = 1 / math.sqrt(3 * 8 * 8)  # nn.Conv2d's draw
    _assert_uniform(state["patch_embed.proj.weight"], bound)
    assert 0.9 * bound < state["patch_embed.proj.bias"].abs().max().item() <= bound


def _dinos_positions(table: Tensor, side: int) -> Tensor:
    """Bicubic samples (a = -0.75) at (i + 0.5) * n / (side + 0.1) - 0.5, one by one, edges held."""
    n, width = math.isqrt(len(table) - 1), table.shape[1]
    square = table[1:].view(n, n, width)

    def weight(d: float) -> float:
        a, d = -0.75, abs(d)
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0

    def taps(i: int) -> list[tuple[int, float]]:
        at = (i + 0.5) * n / (side + 0.1) - 0.5
        low = math.floor(at)
        return [(min(max(k, 0), n - 1), weight(at - k)) for k in range(low - 1, low + 3)]

    rows = [
        sum((u * v * square[r, c] for r, u in taps(y) for c, v in taps(x)), torch.zeros(()))
        for y in range(side)
        for x in range(side)
    ]
    return torch.stack([table[0], *rows])


@pytest.mark.parametrize("side", [2, 3, 5, 6])
def test_positions_of_other_resolutions_are_dinos(side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(1, 17, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    expected = _dinos_positions(table[0], side)
    out = interpolated(table, side)[0]
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    cotangent = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    gradients = [torch.autograd.grad(o, table, cotangent)[0] for o in (out, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


def test_positions_at_the_built_resolution_are_themselves() -> None:
    table = torch.randn(1, 17, 6)
    assert interpolated(table, 4) is table


@pytest.mark.parametrize("position", ["sincos", "learned"])
def test_smaller_views(position: Any) -> None:
    net = vit(**SMALL, position=position, init="dino")
    assert net(torch.randn(2, 3, 32, 32)).shape == (2, 192)
    x = torch.randn(2, 3, 16, 16)
    out = net(x)
    small = vit(**{**SMALL, "resolution": 16}, position="learned")
    state = net.state_dict()
    small.load_state_dict(state | {"pos_embed": interpolated(state["pos_embed"], 2)})
    torch.testing.assert_close(out, small(x))
    out.square().sum().backward()
    if position == "learned":
        assert net.get_parameter("pos_embed").grad is not None


def test_views_that_patches_do_not_tile_are_loud(net: nn.Module) -> None:
    with pytest.raises(AssertionError, match="divisible"):
        net(torch.randn(1, 3, 30, 30))


def test_parts_own_all_but_the_positions(net: nn.Module) -> None:
    prefixes = tuple(p for part in PARTS["vit"].values() for p in part)
    loose = {key for key in net.state_dict() if not key.startswith(prefixes)}
    assert loose == {"pos_embed"}
