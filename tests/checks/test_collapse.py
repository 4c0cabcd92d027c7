from __future__ import annotations

import pytest

from sslang.checks import check_file
from sslang.checks.collapse import structure
from sslang.diagnostics import Source
from sslang.ir.build import build
from sslang.ir.program import Program
from sslang.model.overlay import resolve
from sslang.model.resolve import load

PREAMBLE = """\
method "case" (labels = true)
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head g = mlp(64, 32)
head p = mlp(64, 32)
branch online = f | g
branch target = ema(online, 0.99)
x = online(a)
y = online(b)
t = stop_grad(target(b))
"""
RECIPE = "recipe default : laptop { %s }\n"


def program(body: str) -> Program:
    module = load(Source("case.ssl", PREAMBLE + body))
    built = build(resolve(module, next(iter(module.recipes), None)))
    assert not any(d.is_error for d in built.diagnostics), built.diagnostics
    return built


def outcome(body: str) -> str:
    return structure(program(body)).outcome


@pytest.mark.parametrize(
    "loss",
    [
        "mean((x - y)**2)",
        "mean(sum((x - y)**2, axis = 1))",
        "-cosine_similarity(x, y)",
        "-cosine_similarity(p(x), y)",
        "-cosine_similarity(x, t)",
        "-cosine_similarity(p(x), stop_grad(p(y)))",
        "-cosine_similarity(p(x), t) - cosine_similarity(x, t)",
        "mean((x - y)**2) + 0 * log(mean(exp(x @ x.T)))",
        "mean((x - y)**2) + mean(0 * exp(x @ x.T)) / 2",
        "mean((x - y)**2) + linear(0 -> 0) * log(mean(exp(x @ x.T)))",
        "mean((x - y)**2) + scale_grad(log(mean(exp(x @ x.T))), 0)",
        # what is learnt from an embedding that is cut says nothing about the embedding
        "mean((x - y)**2) + mean(label_cross_entropy(p(stop_grad(x)), label % 4))",
        "mean((x - y)**2) + mean(stop_grad(x @ x.T))",
    ],
)
def test_a_constant_minimises(loss: str) -> None:
    assert outcome(f"loss = {loss}\n") == "error"


@pytest.mark.parametrize(
    "settings",
    [
        "freeze = [p]",
        "freeze = [p or f]",
        "groups = [group(p, lr = 0)]",
        "groups = [group(p, lr = linear(0 -> 0))]",
        "p = relu",
        "p = batch_norm(scale = false, shift = false)",
    ],
)
def test_a_predictor_that_does_not_learn_is_none(settings: str) -> None:
    body = "loss = -cosine_similarity(p(x), t)\n" + RECIPE % settings
    found = structure(program(body))
    assert found.outcome == "error"
    assert [label.span.text[0] for label in found.labels] == ["p"]


@pytest.mark.parametrize(
    "settings",
    ["freeze = [until(1 epochs, p)]", "groups = [group(p, lr = 1e-2)]", "freeze = [bias]"],
)
def test_a_predictor_that_learns_counts(settings: str) -> None:
    assert outcome("loss = -cosine_similarity(p(x), t)\n" + RECIPE % settings) == "note"


def test_asymmetry_is_told_as_a_fact_and_gives_no_diagnostic() -> None:
    body = "loss = -cosine_similarity(p(x), t)\n"
    assert structure(program(body)).reason == "only asymmetry prevents collapse: `p`"
    text = PREAMBLE.replace("y = online(b)\n", "").replace(" (labels = true)", "")
    assert check_file(Source("case.ssl", text + body)) == []


MASKED = """\
encoder v = vit(patch = 8, width = 16, depth = 1, heads = 2)
branch slow = ema(v, 0.99)
m = rank(draw_uniform(16)) < 8
"""


def test_a_net_that_is_shown_less_than_its_target_is_asymmetry() -> None:
    loss = "loss = mean((v(a{}).cls - stop_grad(slow(b{}).cls))**2)\n"
    assert outcome(MASKED + loss.format(", keep = m", "")) == "note"
    assert outcome(MASKED + "loss = mean((v(a).cls - stop_grad(slow(b, keep = m).cls))**2)\n") == (
        "error"
    )
    assert outcome(
        MASKED.replace("m = rank(draw_uniform(16)) < 8\n", "") + loss.format("", "")
    ) == ("error")


def test_a_predictor_of_what_is_masked() -> None:
    body = (
        "head p2 = transformer(depth = 1, heads = 2)\nweight blank[16] = normal\n"
        "q = p2(where(m[..., none], v(a, keep = m).patches, blank))\n"
        "loss = mean(mean((q - stop_grad(slow(a).patches))**2, axis = -1), where = not m)\n"
    )
    found = structure(program(MASKED + body))
    assert found.reason == "only asymmetry prevents collapse: `p2`"


def test_pixels_are_content() -> None:
    body = "loss = mean((x[:, :12] - flatten(pixels(a)[:, :, :2, :2])) ** 2)\n"
    assert structure(program(body)).reason == "the target is content: pixels"


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        ("label_cross_entropy(x, label)", "the target is content: labels"),
        ("label_cross_entropy(x, index)", "the target is content: index"),
        ("mean((x - stop_grad(y))**2) + mean(label_cross_entropy(x, label))",
         "the target is content: labels"),
        ("-mean(log_softmax(x @ y.T), axis = 1, where = label[:, none] == label[none, :])",
         "collapses to classes, by design"),
    ],
)  # fmt: skip
def test_content_is_no_embedding(loss: str, reason: str) -> None:
    found = structure(program(f"loss = {loss}\n"))
    assert (found.outcome, found.reason) == ("pass", reason)


def test_an_untrained_net_gives_content() -> None:
    other = "encoder f2 = resnet18(width = 0.25, stem = small)\n"
    body = other + "loss = mean((x - fixed(f2)(b)[:, :32])**2)\n"
    assert structure(program(body)).reason == "the target is content: what an untrained net gives"


def test_what_a_trained_net_makes_of_content_is_none() -> None:
    other = "encoder f2 = resnet18(width = 0.25, stem = small)\n"
    body = other + "loss = -cosine_similarity(g(fixed(f2)(a)), g(fixed(f2)(b)))\n"
    assert outcome(body) == "error"


@pytest.mark.parametrize(
    "loss",
    [
        "info_nce_batch(x, t, 0.2)",
        "mean((x - y)**2) - 0.1 * log(mean(variance(x, axis = 0)))",
        "mean((x - t)**2) + 1e-9 * mean(x @ x.T)",
    ],
)
def test_rows_that_are_compared_are_a_matter_of_numbers(loss: str) -> None:
    assert outcome(f"loss = {loss}\n") == "undecided"


def test_heads_may_collapse_where_the_encoder_is_cut() -> None:
    body = "u = g(stop_grad(f(a)))\nv = g(stop_grad(f(b)))\n"
    assert outcome(body + "loss = -cosine_similarity(u, stop_grad(v))\n") == "error"
    assert outcome(body + "loss = -cosine_similarity(p(u), stop_grad(v))\n") == "note"
