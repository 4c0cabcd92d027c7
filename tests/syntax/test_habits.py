"""What is written here in the place of what other languages have, told where reading stopped."""

from __future__ import annotations

import pytest

from sslang.diagnostics import Source
from sslang.diagnostics.fix import apply
from sslang.syntax.parser import parse


@pytest.mark.parametrize(
    ("written", "mended"),
    [
        ("view c d = simclr_views(32)", "view c, d = simclr_views(32)"),
        ("encoder f h = backbone", "encoder f, h = backbone"),
        ("param lr 0.1", "param lr = 0.1"),
        ('param name "x"', 'param name = "x"'),
        ("queue m(4096) = sphere(32)", "queue m[4096] = sphere(32)"),
        ("view local(2) = simclr_views(32)", "view local[2] = simclr_views(32)"),
        ("fn h(x): return 2 * x", "fn h(x) = 2 * x"),
        ("recipe r : laptop {\n    batch: 64\n}", "recipe r : laptop {\n    batch = 64\n}"),
        ("x := 3", "x = 3"),
        ("recipe r : laptop", "recipe r : laptop {}"),
        ("recipe r = laptop {}", "recipe r : laptop {}"),
        ("recipe r extends laptop {}", "recipe r : laptop {}"),
        ("z = [f(v) for v in [a, b]]", "z[v in [a, b]] = f(v)"),
        ("recipe r : laptop\nx = 1", "recipe r : laptop {}\nx = 1"),
        ("x = a || b", "x = a or b"),
        ("x = a^2", "x = a**2"),
        ("x = 3;", "x = 3"),
        ("x = nt_xent(z, temperature: 0.1)", "x = nt_xent(z, temperature = 0.1)"),
        ("x = .5", "x = 0.5"),
        ("x = 1. + y", "x = 1.0 + y"),
        ("data = image_folder('images')", 'data = image_folder("images")'),
    ],
)
def test_what_has_one_equivalent_is_mended(written: str, mended: str) -> None:
    source = Source("x.ssl", written + "\n")
    _, found = parse(source)
    assert len(found) == 1, found
    assert found[0].fix is not None, found
    text, _ = apply(source, [found[0].fix])
    assert text == mended + "\n"
    assert parse(Source("x.ssl", text))[1] == []


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("a, b = simclr_views(32)", "declared with what they are"),
        ("loss.backward()", "a spec calls nothing"),
        ("print(loss)", "a metric is a binding"),
        ("metric accuracy = 3", "a binding is `accuracy = ...`"),
        ("x = mean(z[v] for v, w in z)", "its own `for`"),
        ("recipe r : laptop { batch = 64, length = 3 epochs }", "on a line of its own"),
        ("recipe r : laptop { length = 3 epochs  batch = 64 }", "on a line of its own"),
        ("recipe r : laptop { length = 3 iterations }", "in `epochs` or `steps`"),
        ("x = stop_grad target(b)", "`stop_grad(...)`"),
        ("x = random_crop(32, scale = (0.2, 1))", "`0.2..1`"),
        ("x = 3 // the size", "a comment begins with `#`"),
        ("fn h(x): {", "braces"),
        ("x = lambda y: y", "`fn name(x) = ...`"),
        ("y += 1", "a binding has one value"),
        ("x = 3; y = 4", "on a line of its own"),
    ],
)
def test_what_has_none_is_explained(written: str, words: str) -> None:
    _, found = parse(Source("x.ssl", written + "\n"))
    assert words in found[0].hint, found
    assert found[0].fix is None
