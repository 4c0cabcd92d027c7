"""What specs mean: functions and their patterns, families, nets, states, draws, as graphs."""

from __future__ import annotations

import pytest

from sslang.diagnostics import Source, render
from sslang.ir.build import build
from sslang.ir.graph import APPLY
from sslang.ir.program import Program
from sslang.ir.verify import verify
from sslang.model.overlay import resolve
from sslang.model.resolve import load
from sslang.types import TensorType

HEAD = (
    'method "test"\nview a, b = simclr_views(32)\nview c = simclr_views(64)\n'
    "encoder f = resnet18(width = 0.25, stem = small)\nhead g = mlp(64, 32)\n"
)


def program(text: str) -> Program:
    found = build(resolve(load(Source("spec.ssl", HEAD + text))))
    assert not any(d.is_error for d in found.diagnostics), render(found.diagnostics[0])
    verify(found.step)
    return found


def same(one: str, other: str) -> None:
    """Both texts make the same step, up to names."""

    def shape(text: str) -> object:
        graph = program(text).step
        known: dict[object, object] = {}
        for node in graph.nodes:
            inputs = tuple(known.get(i, i) for i in node.inputs)
            known[node.name] = (node.op, inputs, node.settings)
        return known[graph.outputs["loss"]]

    assert shape(one) == shape(other)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("fn h(x: [B, D]) = x / D\nloss = mean(h(f(a)))", "loss = mean(f(a) / 128)"),
        ("fn h(x: [..., D]) = x / D\nloss = mean(h(g(f(a))))", "loss = mean(g(f(a)) / 32)"),
        ("fn h(x: [B, D][N]) = sum(x[i] for i in 0..N - 1) / N\nloss = mean(h([f(a), f(b)]))",
         "loss = mean((f(a) + f(b)) / 2)"),
        ("fn h(x: [B, D], i: index[B]) = take(x, i)\nloss = mean(h(f(a), argmax(f(a))))",
         "loss = mean(take(f(a), argmax(f(a))))"),
        ("fn h(x: [B, 128]) = x\nloss = mean(h(f(a)))", "loss = mean(f(a))"),
        ("fn h(x, n = 2, m = n + 1) = x * n * m\nloss = mean(h(f(a), m = 5))",
         "loss = mean(f(a) * 2 * 5)"),
        ("fn h(x) {\n return y\n y = x * 2\n}\nloss = mean(h(f(a)))", "loss = mean(f(a) * 2)"),
        ("loss = mean(f(a) | l2_normalize)", "loss = mean(l2_normalize(f(a)))"),
        ("branch o = f | g\nloss = mean(o(a))", "loss = mean(g(f(a)))"),
    ],
)  # fmt: skip
def test_functions_are_inlined(written: str, meant: str) -> None:
    same(written, meant)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("z[v in [a, b]] = f(v)\nloss = mean(z[a] - z[b])", "loss = mean(f(a) - f(b))"),
        ("fn h(z: [B, D][2]) = z[0] - z[1]\nz[v in [a, b]] = f(v)\nloss = mean(h(z))",
         "loss = mean(f(a) - f(b))"),
        ("z[i in 1..3] = f(a) * i\nloss = mean(z[1] + z[3])", "loss = mean(f(a) * 1 + f(a) * 3)"),
        ("z = [f(a)] ++ [f(b)]\nloss = mean(z[1])", "loss = mean(f(b))"),
        ("z = [f(a), f(b)] * 2\nloss = mean(z[1])", "loss = mean(f(b) * 2)"),
        ("s = [a, b]\nz[v in s] = f(v)\n"
         "loss = mean(sum(z[v] * z[w] for v in s for w in s if v != w))",
         "loss = mean(f(a) * f(b) + f(b) * f(a))"),
        ("loss = mean(mean(f(a) * k for k in 1..2))", "loss = mean((f(a) * 1 + f(a) * 2) / 2)"),
        ("z = [f(a), f(b), f(a) * 2]\nloss = mean(z[1:][2])", "loss = mean(f(a) * 2)"),
        ("fn h(x: [B, D]) = x * D\nz = h([f(a), f(b)])\nloss = mean(z[1])",
         "loss = mean(f(b) * 128)"),
        ("view v[2] = simclr_views(32)\nz[x in v] = f(x)\nloss = mean(z[v[0]] - z[v[1]])",
         "view v[2] = simclr_views(32)\nloss = mean(f(v[0]) - f(v[1]))"),
    ],
)  # fmt: skip
def test_families(written: str, meant: str) -> None:
    same(written, meant)


def test_a_family_runs_once_a_resolution() -> None:
    step = program("z = f([a, b, c])\nloss = mean(z[a] + z[b] + z[c])").step
    applied = [n for n in step.nodes if n.op == APPLY]
    assert [(len(n.inputs), n.setting("views")) for n in applied] == [(2, 2), (1, 1)]
    assert program("loss = mean(f(a) + f(b))").step != step


def test_the_same_net_on_the_same_value_is_computed_once() -> None:
    text = "branch t = ema(f, 0.9) with (batch_norm = shuffle(32))\nloss = mean(f(a)) + "
    step = program(text + "mean(stop_grad(t(a))) + mean(stop_grad(t(a) * 2))").step
    assert [n.setting("net") for n in step.nodes if n.op == APPLY] == ["f", "t.f"]
    step = program(text + "mean(stop_grad(t(a))) + mean(stop_grad(t(b)))").step
    sites = [n.setting("site") for n in step.nodes if n.op == "permutation"]
    assert len(set(sites)) == 2


def test_the_order_of_writes_is_that_of_names() -> None:
    text = "queue q[256] = sphere(128)\nqueue p[256] = sphere(128)\n"
    loss = "loss = mean(f(a) @ q.T) + mean(f(b) @ p.T)\n"
    writes = ("q <- stop_grad(f(a))\n", "p <- stop_grad(f(b))\n")
    first, second = (program(text + loss + "".join(w)) for w in (writes, writes[::-1]))
    assert first.spec.hash == second.spec.hash
    assert first.step == second.step


def test_arithmetic_of_sizes() -> None:
    step = program("fn h(x: [B, D]) = arange(2 * B + D - B)\nloss = mean(h(f(a)))").step
    (node,) = (n for n in step.nodes if n.op == "arange")
    assert isinstance(node.type, TensorType)
    assert str(node.type.shape[0]) == "batch + 128"


def test_evaluation_gives_views_their_evaluation_form() -> None:
    features = program("loss = mean(f(a))\nfeatures = f(a)").features
    assert features is not None
    ops = [n.op for n in features.nodes]
    assert ops == ["image", "resize_and_crop", APPLY]
