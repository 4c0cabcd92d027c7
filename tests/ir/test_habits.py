"""What people write who come from Python and torch: the finding says what is written here."""

from __future__ import annotations

import pytest

from sslang.checks import check_file
from sslang.diagnostics import Source
from sslang.diagnostics.fix import apply
from sslang.ir.build import habits
from sslang.ir.build.context import Context, Scope
from sslang.ir.build.names import visible
from sslang.model.overlay import resolve
from sslang.model.resolve import load

SPEC = """method "x" (labels = true)
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head g = mlp(64, 32)
branch online = f | g | l2_normalize
x = online(a)
y = online(b)
k = stop_grad(y)
loss = info_nce_batch(x, k, 0.1) + {}
"""


def _mended(text: str) -> str:
    """The text with its fixes made; a finding may hide another in the same expression."""
    for _ in range(3):
        source = Source("x.ssl", SPEC.format(text))
        found = check_file(source)
        assert all(d.span is not None and d.span.line == 9 for d in found), found
        text = apply(source, [d.fix for d in found if d.fix])[0].split(" + ", 1)[1].strip()
    return text


@pytest.mark.parametrize(
    ("written", "mended"),
    [
        ("mean(x.detach() * y)", "mean(stop_grad(x) * y)"),
        ("mean((x + y).detach() * y)", "mean(stop_grad(x + y) * y)"),
        ("(x * y).mean()", "mean(x * y)"),
        ("(x * y).sum(1)", "sum(x * y, axis = 1)"),
        ("(x * y).sum(dim = -1)", "sum(x * y, axis = -1)"),
        ("mean(x.mm(k.T))", "mean((x @ k.T))"),
        ("mean(x.mm(k.T).exp())", "mean(exp(x @ k.T))"),
        ("mean(x.mm(k.T)**2)", "mean((x @ k.T)**2)"),
        ("mean(x @ k.t())", "mean(x @ k.T)"),
        ("sum(x * y, dim = 1)", "sum(x * y, axis = 1)"),
        ("mean(sum(x * y, axis = 1, keepdim = True))", "mean(sum(x * y, axis = 1, keep = true))"),
        ("mean(x[:, None] * y[None])", "mean(x[:, none] * y[none])"),
        ("mean(no_grad(x) * y)", "mean(stop_grad(x) * y)"),
        ("label_cross_entropy(x, labels)", "label_cross_entropy(x, label)"),
        ("cross_entropy(x, label)", "label_cross_entropy(x, label)"),
        ("mean(cat([x, y]))", "mean(concat([x, y]))"),
        ("nt_xent(online([a, b]), temp = 0.5)", "nt_xent(online([a, b]), temperature = 0.5)"),
    ],
)
def test_what_has_one_equivalent_is_mended(written: str, mended: str) -> None:
    assert check_file(Source("x.ssl", SPEC.format(written)))
    assert _mended(written) == mended
    assert check_file(Source("x.ssl", SPEC.format(mended))) == []


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("mean(max(0, x - y))", "maximum(a, b)"),
        ("mean(x.unsqueeze(1))", "`x[:, none]`"),
        ("x.norm()", "l2_normalize(x)"),
        ("mean(norm(x))", "l2_normalize(x)"),
        ("mean(F.normalize(x))", "functions stand alone"),
        ("mean(torch.exp(x))", "functions stand alone"),
        ("mean(x.cuda())", "the compiler's"),
        ("x.shape[0]", "sizes have names"),
        ("len(x)", "sizes have names"),
        ("mean(randn(4, 4))", "draw_normal"),
        ("mean(softmax(x, dim = 1))", "along the last axis"),
        ("mean(mse_loss(x, y))", "mean((x - y)**2)"),
        ("mean(stop_grad(online))", "`stop_grad(online(x))`"),
        ("info_nce(0.1, x, y)", "info_nce(q: [B, D], k: [B, D], negatives: [N, D], temperature)"),
    ],
)
def test_what_has_none_is_explained(written: str, words: str) -> None:
    found = check_file(Source("x.ssl", SPEC.format(written)))
    assert len(found) == 1, found
    assert words in found[0].hint
    assert found[0].fix is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("head h = linear(64, 32)", "the width of the input follows"),
        ("view c = random_resized_crop(32) | horizontal_flip(0.5)", "`horizontal_flip @ 0.5`"),
        ("recipe default : laptop { drop_last = true }", "`last_batch = drop`"),
        ("recipe default : laptop { epochs = 3 }", "`length = 100 epochs`"),
        ("recipe default : laptop { weight_decay = 0.1 }", "argument of the optimizer"),
    ],
)
def test_what_other_libraries_call_it(line: str, words: str) -> None:
    more = "mean(h(f(a)))" if "head" in line else "mean(f(c))" if "view" in line else "0"
    found = check_file(Source("x.ssl", SPEC.format(more) + line + "\n"))
    assert any(words in d.hint for d in found), found


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("def h(x) = x", "`fn name(x) = ...`"),
        ("import torch", "standard library"),
        ("from torch import nn", "standard library"),
        ("class A(nn.Module):", "no classes"),
        ("for v in views:", "families"),
        ("while true:", "repeat(n, step, x)"),
        ("h = lambda x: x", "`fn name(x) = ...`"),
        ("y += 1", "a binding has one value"),
        ("if a:", "a choice is an expression"),
    ],
)
def test_statements_of_other_languages(line: str, words: str) -> None:
    found = check_file(Source("x.ssl", SPEC.format("0") + line + "\n"))
    assert [d.code for d in found] == ["E101"], found
    assert words in found[0].hint


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("target = ema(online, 0.99)\nz = stop_grad(target(a))", "branch target = ema"),
        ("c = byol_views(32, 0.2..1, 1, 0.2, 1, 0)\nz = f(c)", "view c = "),
        ("state c[32] = zeros\nc = mean(x, axis = 0)\nz = c", "`c <- ...`"),
    ],
)
def test_declarations_that_lack_their_word(lines: str, words: str) -> None:
    found = check_file(Source("x.ssl", SPEC.format("mean(z)") + lines + "\n"))
    assert any(words in d.hint for d in found), found


def test_every_name_that_is_offered_exists() -> None:
    ctx = Context(resolve(load(Source("x.ssl", SPEC.format("0"))), None), "training")
    known = visible(ctx, Scope())
    names = {*habits._NAMES.values(), *habits._FUNCTIONS}
    assert names <= known, names - known
    assert not set(habits._NAMES) & known, set(habits._NAMES) & known
