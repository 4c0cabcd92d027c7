"""What a program becomes: code, nets that follow their names, queues, frozen parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import sslang
from sslang.diagnostics import DiagnosticError
from sslang.emit.method import Method
from sslang.emit.printed import printed
from sslang.emit.states import append_rows, initial_value
from sslang.ops import PRIMITIVES
from sslang.ops.schedules import Clock
from tests.conftest import ROOT, TINY


def method(name: str, *overrides: str, seed: int = 0) -> Method:
    program = sslang.load(ROOT / "specs" / f"{name}.ssl", None, (*TINY[name], *overrides))
    return Method(program, seed)


def test_the_code_reads_like_the_method() -> None:
    code = printed(method("mocov2").step_code)
    wanted = [
        "def forward(self, query, key, shuffle, negatives):",
        "f = self.f(query, group = 32)",
        "permute_rows = tensors.permute_rows(key, shuffle)",
        "target_f = self.target.f(permute_rows, group = 32)",
        "unpermute_rows = tensors.unpermute_rows(",
        "k = tensors.stop_grad(unpermute_rows)",
        "'writes': {'negatives':",
    ]
    places = [code.index(text) for text in wanted]
    assert places == sorted(places)
    assert "= None" not in code


def test_every_lowering_exists() -> None:
    from importlib import import_module

    for primitive in PRIMITIVES.values():
        if primitive.lowering:
            module, _, name = primitive.lowering.rpartition(".")
            assert callable(getattr(import_module(module), name)), primitive.name


def test_a_nets_start_follows_seed_and_name_alone() -> None:
    one, other = method("simclr"), method("byol")
    a = one.net("f")[0].conv1.weight  # type: ignore[index]
    b = other.net("f")[0].conv1.weight  # type: ignore[index]
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    c = method("simclr", seed=1).net("f")[0].conv1.weight  # type: ignore[index]
    assert not torch.equal(a, c)


def test_averages_begin_as_copies_or_fresh() -> None:
    moco, byol = method("mocov2"), method("byol")
    for ours, theirs in zip(
        moco.net("target.f").parameters(), moco.net("f").parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    pairs = zip(byol.net("target.f").parameters(), byol.net("f").parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)
    assert not any(p.requires_grad for p in moco.net("target").parameters())


def test_a_queue_reads_oldest_first_over_its_end() -> None:
    queue = torch.zeros(5, 1)
    append_rows(queue, torch.tensor([[1.0], [2.0]]))
    append_rows(queue, torch.tensor([[3.0], [4.0]]))
    append_rows(queue, torch.tensor([[5.0], [6.0]]))
    assert queue[:, 0].tolist() == [2, 3, 4, 5, 6]
    append_rows(queue, torch.arange(7.0, 14.0)[:, None])
    assert queue[:, 0].tolist() == [9, 10, 11, 12, 13]


def test_a_queue_begins_on_the_sphere() -> None:
    program = sslang.load(ROOT / "specs/mocov2.ssl", None, TINY["mocov2"])
    rows = initial_value(program.states[0], 0, {})
    assert rows.shape == (256, 8)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(256))
    assert rows.mean().abs() < 0.1


def test_a_view_has_a_draw_of_its_own_and_every_step_another() -> None:
    made = method("simclr")
    pixels = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    sizes = np.full((64, 2), 32)
    a, b = made.views(pixels, sizes, 0)
    again, _ = made.views(pixels, sizes, 0)
    later, _ = made.views(pixels, sizes, 1)
    torch.testing.assert_close(a, again, rtol=0, atol=0)
    assert not torch.equal(a, b)
    assert not torch.equal(a, later)
    part, _ = made.views(pixels[:10], sizes[:10], 0)
    torch.testing.assert_close(part, a[:10], rtol=0, atol=1e-6)


def test_features_take_no_part_in_training() -> None:
    made = method("byol")
    pixels = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8)
    before = {k: v.clone() for k, v in made.state_dict().items()}
    features = made.features(pixels, np.full((16, 2), 32))
    assert features.shape == (16, 64)
    assert made.training
    assert all(torch.equal(v, before[k]) for k, v in made.state_dict().items())


def test_a_selector_that_matches_nothing_is_an_error() -> None:
    overrides = (*TINY["simclr"], "groups=[group(bias and not f and not g, weight_decay = 0)]")
    program = sslang.load(ROOT / "specs/simclr.ssl", None, overrides)
    with pytest.raises(DiagnosticError, match="E505"):
        sslang.compile(program, images=100)


def test_the_step_compiles_and_agrees() -> None:
    made = method("mocov2")
    pixels = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    views = made.views(pixels, np.full((64, 2), 32), 0)
    clock = Clock(0, 10, 5)
    eager = made(views, clock).loss
    made.compile(backend="aot_eager")
    torch.testing.assert_close(made(views, clock).loss, eager)
