"""What a mistaken expression was meant to be, as an edit: made, it leaves nothing to find."""

from __future__ import annotations

import pytest

from sslang.checks import check_file
from sslang.diagnostics import Diagnostic, Source
from sslang.diagnostics.fix import apply

SPEC = """method "x"
view a, b = simclr_views(32)
param backbone = resnet18(width = 0.25, stem = small)
encoder f = backbone
head g = mlp(64, 32)
z = l2_normalize((f | g)([a, b]))
{}
loss = nt_xent(z, 0.5) + {}
recipe default : laptop {{ {} }}
"""


def _source(lines: str, term: str = "0", recipe: str = "") -> Source:
    return Source("x.ssl", SPEC.format(lines, term, recipe))


def _found(source: Source) -> list[Diagnostic]:
    return [d for d in check_file(source) if d.is_error]


def _mended(source: Source) -> str:
    found = _found(source)
    assert found and all(d.fix is not None for d in found), found
    text = apply(source, [d.fix for d in found if d.fix])[0]
    assert _found(Source("x.ssl", text)) == [], text
    return text


@pytest.mark.parametrize(
    ("written", "term", "mended"),
    [
        ("view c = [random_crop(32), grayscale @ 0.2]", "mean(f(c))",
         "view c = random_crop(32) | grayscale @ 0.2"),
        ("view c = random_crop(32) + grayscale @ 0.2", "mean(f(c))",
         "view c = random_crop(32) | grayscale @ 0.2"),
        ("head h = [linear(64), relu]", "mean(h(f(a)))", "head h = linear(64) | relu"),
        ("head h = linear(128, 64)", "mean(h(f(a)))", "head h = linear(64)"),
        ("branch o = f | g (batch_norm = groups(32))", "mean(o(a))",
         "branch o = f | g with (batch_norm = groups(32))"),
        ("branch o = f with (batch_norm = sync)", "mean(o(a))",
         "branch o = f with (batch_norm = whole)"),
        ("branch t = ema(backbone, 0.99)", "mean(g(stop_grad(t(b))))", "branch t = ema(f, 0.99)"),
        ("branch t = ema(f, cosine(0.99, 1))", "mean(g(stop_grad(t(b))))",
         "branch t = ema(f, cosine(0.99 -> 1))"),
        ("branch t = ema(f, cosine(0.99..1))", "mean(g(stop_grad(t(b))))",
         "branch t = ema(f, cosine(0.99 -> 1))"),
        ("view c = random_resized_crop(32, scale = 1..0.2)", "mean(f(c))",
         "view c = random_resized_crop(32, scale = 0.2..1)"),
        ("view c = random_resized_crop(32, scale = [0.2, 1])", "mean(f(c))",
         "view c = random_resized_crop(32, scale = 0.2..1)"),
        ("view c = simclr_views(32, 1..0.2)", "mean(f(c))", "view c = simclr_views(32, 0.2..1)"),
        ("bank m[dataset] = uniform(32, -0.1, 0.1)\nm[index] <- z[a]", "mean(z[a] @ m[index].T)",
         "bank m[dataset] = uniform(32, -0.1..0.1)"),
        ("weight w[9, 32] = normal on sphere", "mean(z[a] @ w.T)",
         "weight w[9, 32] = normal on unit_rows"),
        ("weight w = normal(9, 32)", "mean(z[a] @ w.T)", "weight w[9, 32] = normal"),
        ("weight w[9, 32] = normal(32)", "mean(z[a] @ w.T)", "weight w[9, 32] = normal"),
        ("state c = zeros(32)\nc <- mean(z[a], axis = 0)", "mean(z[a] - c)", "state c[32] = zeros"),
        ("state c = zeros\nc <- mean(z[a], axis = 0)", "mean(z[a] - c)", "state c[32] = zeros"),
        ("queue m[512, 32] = sphere(32)\nm <- z[a]", "mean(z[b] @ m.T)",
         "queue m[512] = sphere(32)"),
        ("queue m[512] = sphere(32)\nm[index] <- z[a]", "mean(z[b] @ m.T)", "m <- z[a]"),
        ("state c[32] = zeros\nc = mean(z[a], axis = 0)", "mean(z[a] - c)",
         "c <- mean(z[a], axis = 0)"),
        ("branch o = f | g", "mean(o.a)", "loss = nt_xent(z, 0.5) + mean(o(a))"),
        ("encoder e = resnet18(stem = smal)", "mean(e(a))", "encoder e = resnet18(stem = small)"),
        ("view c = random_crop(32) | grayscale(p = 0.5)", "mean(f(c))",
         "view c = random_crop(32) | grayscale @ 0.5"),
        ("view c = random_crop(32) | color_jitter(0.4, p = 0.8) | grayscale", "mean(f(c))",
         "view c = random_crop(32) | color_jitter(0.4) @ 0.8 | grayscale"),
        ("view c = random_crop(32) | 0.5 @ grayscale", "mean(f(c))",
         "view c = random_crop(32) | grayscale @ 0.5"),
        ("queue m[512] = sphere(32)\nm <- f([a, b]) | g | l2_normalize", "mean(z[b] @ m.T)",
         "m <- concat(f([a, b]) | g | l2_normalize)"),
    ],
)  # fmt: skip
def test_declarations(written: str, term: str, mended: str) -> None:
    assert mended in _mended(_source(written, term)).split("\n")


@pytest.mark.parametrize(
    "written",
    ["mean(square(z[a]))", "mean(schedule(z[a]))", "mean(mse(z[a], z[b]))"],
)
def test_what_only_looks_alike_is_no_edit(written: str) -> None:
    found = _found(_source("", written))
    assert [d.code for d in found] == ["E201"]
    assert found[0].hint and found[0].fix is None


@pytest.mark.parametrize(
    ("written", "mended"),
    [
        ("nt_xent([z[0], z[1]], 0.5)", "nt_xent([z[a], z[b]], 0.5)"),
        ("nt_xent(z[a], z[b], 0.5)", "nt_xent([z[a], z[b]], 0.5)"),
        ("mean(g(f(a, b))[a])", "mean(g(f([a, b]))[a])"),
        ("nt_xent(z, 0,1)", "nt_xent(z, 0.1)"),
        ("mean(concat(z[a], z[b]))", "mean(concat([z[a], z[b]]))"),
        ('mean(z["a"] * z.b)', "mean(z[a] * z[b])"),
        ("mean(draw_integers(8, batch) * z[a][:, :8])",
         "mean(draw_integers(8, below = batch) * z[a][:, :8])"),
        ("mean(f([a] + [b])[a])", "mean(f([a] ++ [b])[a])"),
        ("mean(z[a][draw_uniform(8, per = step)])",
         "mean(z[a][draw_integers(8, per = step, below = batch)])"),
    ],
)  # fmt: skip
def test_expressions(written: str, mended: str) -> None:
    assert f"loss = nt_xent(z, 0.5) + {mended}" in _mended(_source("", written))


@pytest.mark.parametrize(
    ("written", "mended"),
    [
        ("freeze = [g | l2_normalize]", "freeze = [g]"),
        ("optimizer = sgd(lr = cosine(0.1 -> 0, per = epochs))",
         "optimizer = sgd(lr = cosine(0.1 -> 0, per = epoch))"),
        ("last_batch = dropp", "last_batch = drop"),
        ('freeze = ["g"]', "freeze = [g]"),
        ("freeze = [until(g, 1 epochs)]", "freeze = [until(1 epochs, g)]"),
        ("groups = [group(bias, norm, weight_decay = 0)]",
         "groups = [group(bias or norm, weight_decay = 0)]"),
        ('batch = "256"', "batch = 256"),
        ('length = "10 epochs"', "length = 10 epochs"),
        ('data = "cifar10"', "data = cifar10"),
        ('data = "images"', 'data = image_folder("images")'),
        ('groups = [group("bias", weight_decay = 0)]', "groups = [group(bias, weight_decay = 0)]"),
    ],
)  # fmt: skip
def test_recipes(written: str, mended: str) -> None:
    assert mended in _mended(_source("", "0", written))
