"""How long rows are, as far as the graph of a step says it."""

from __future__ import annotations

import pytest

from sslang.api import load_source
from sslang.checks.lengths import Length, row_lengths
from sslang.diagnostics import Source

SPEC = """method "x"
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head g = linear(32)
branch t = ema(f | g | l2_normalize, 0.9) with (batch_norm = shuffle(32))
weight c[9, 32] = normal on unit_rows
weight d[9, 32] = normal
queue q[256] = sphere(32)
q <- stop_grad(t(b))
queue r[256] = normal(32)
r <- g(f(a))
z = g(f(a))
x = {value}
loss = mean(x) + mean(z) + mean(q) + mean(r) + mean(c) + mean(d)
assume no_collapse "about lengths alone"
"""


@pytest.mark.parametrize(
    ("value", "length"),
    [
        ("z", Length.FREE),
        ("l2_normalize(z)", Length.UNIT),
        ("z / sqrt(sum(z * z, axis = -1, keep = true))", Length.UNIT),
        ("z / sqrt(sum(z**2, axis = 1, keep = true) + 1e-6)", Length.UNIT),
        ("z / sqrt(sum(z * z, axis = 0, keep = true))", Length.UNKNOWN),
        ("z / sqrt(sum(z, axis = 1, keep = true))", Length.UNKNOWN),
        ("2 * l2_normalize(z)", Length.SUM),
        ("0.5 * l2_normalize(z) + 0.5 * z", Length.FREE),
        ("l2_normalize(0.5 * l2_normalize(z) + 0.5 * z)", Length.UNIT),
        ("stop_grad(t(a))", Length.UNIT),
        ("q", Length.UNIT),
        ("r", Length.FREE),
        ("q[argmax(z, axis = 1)]", Length.UNIT),
        ("q[:8]", Length.UNIT),
        ("q[:, none]", Length.UNIT),
        ("q[:, :8]", Length.UNKNOWN),
        ("q[..., none]", Length.UNKNOWN),
        ("concat([q, l2_normalize(z)])", Length.UNIT),
        ("concat([q, z])", Length.UNKNOWN),
        ("concat([q, q], axis = -1)", Length.UNKNOWN),
        ("c", Length.UNIT),
        ("d", Length.UNKNOWN),
    ],
)
def test_rows(value: str, length: Length) -> None:
    program = load_source(Source("x.ssl", SPEC.format(value=value)))
    lengths = row_lengths(program)
    means = [n for n in program.step.nodes if n.op == "mean"]
    assert lengths[means[0].references[0]] is length
