"""Checks beyond types, each on a spec of the project with one line changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslang.api import load
from sslang.checks import check_file
from sslang.diagnostics import DiagnosticError, Source
from sslang.diagnostics.fix import apply
from tests.conftest import ROOT, SPECS


def findings(name: str, *changes: tuple[str, str]) -> list[tuple[str, str]]:
    """(code, text of its range) of a spec after textual changes, each of which must apply."""
    text = (ROOT / "specs" / f"{name}.ssl").read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    found = check_file(Source("changed.ssl", text))
    return [(d.code, d.span.text if d.span is not None else "") for d in found]


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_the_specs_are_clean(path: Path) -> None:
    assert check_file(Source(path.name, path.read_text())) == []


def test_an_average_must_be_cut() -> None:
    found = findings("mocov2", ("stop_grad(target(key))", "target(key)"))
    assert found == [("E401", "target(key)")]
    assert findings("byol", ("stop_grad(target(v))", "target(v)"))[0][0] == "E401"


def test_a_net_that_no_gradient_reaches() -> None:
    found = findings("byol", ("predictor(online(v))", "predictor(stop_grad(online(v)))"))
    assert {code for code, _ in found} == {"E402"}
    assert {what for _, what in found} == {"f", "projector"}


def test_a_frozen_net_needs_no_gradient() -> None:
    found = findings(
        "byol",
        ("predictor(online(v))", "predictor(stop_grad(online(v)))"),
        ("features = f(a)", "features = f(a)\nfreeze = [f, projector]"),
    )
    assert [code for code, _ in found] == ["E427"]


def test_a_queue_is_a_multiple_of_the_batch() -> None:
    found = findings("mocov2", ("param memory      = 65536", "param memory      = 65500"))
    assert [code for code, _ in found] == ["E406"]


def test_groups_divide_the_batch() -> None:
    found = findings("mocov2", ("groups(32)", "groups(48)"))
    assert {code for code, _ in found} == {"E503"}


def test_a_warm_up_is_shorter_than_the_run() -> None:
    found = findings("simclr", ("length = 100 epochs", "length = 5 epochs"))
    assert [code for code, _ in found] == ["E504"]


def test_a_name_that_no_recipe_uses() -> None:
    found = findings("simclr", ("param dim ", "param dmi = 3\nparam dim "))
    assert found == [("E207", "dmi")]


def test_a_state_that_nothing_writes() -> None:
    found = findings("mocov2", ("negatives <- k", ""))
    assert [code for code, _ in found] == ["E404"]


def found_by(code: str, name: str, *changes: tuple[str, str]) -> list[str]:
    """What the findings of one code point at, after changes that give no other code."""
    found = findings(name, *changes)
    assert {c for c, _ in found} == {code}, found
    return [text for _, text in found]


def test_a_momentum_is_shown_where_it_stands() -> None:
    given = ("ema(online, momentum, init", "ema(online, 1, init")
    assert ("E423", "1") in findings("byol", given)


def test_a_queue_of_queries() -> None:
    assert found_by("E433", "mocov2", ("negatives <- k", "negatives <- q")) == ["negatives[memory]"]
    assert found_by("E433", "mocov1", ("negatives <- k", "negatives <- stop_grad(q)"))


def test_rows_of_another_length() -> None:
    # lightly#1007: the bank was not normalised, and the loss stayed where it began.
    bare = (
        "l2_normalize(momentum * memory[index] + (1 - momentum) * z, eps = 0)",
        "momentum * memory[index] + (1 - momentum) * g(f(x))",
    )
    assert found_by("E431", "instdisc", bare) == ["memory[dataset]"]
    assert found_by("E431", "mocov2", ("sphere(dim)", "zeros(dim)")) == ["negatives[memory]"]
    default = ("uniform(dim, -sqrt(3 / dim)..sqrt(3 / dim))", "uniform(dim)")
    assert found_by("E431", "cmc", default) == ["memory_l[dataset]", "memory_ab[dataset]"]


def test_one_side_of_a_cosine() -> None:
    change = ("l2_normalize(g_l(f_l(l)), eps = 0)", "g_l(f_l(l))")
    assert found_by("E431", "cmc", change) == ["g_l(f_l(l))"]
    change = ("l2_normalize(predictor(online(v)))", "predictor(online(v))")
    assert set(found_by("E431", "mocov3_vit", change)) == {"predictor(online(v))"}


def test_rows_that_nothing_normalises() -> None:
    bare = ("f | g | l2_normalize", "f | g")
    assert found_by("E431", "simclr", bare) == ["online([a, b])"]
    assert found_by("E431", "mocov1", bare)[0] == "online(query)"
    sketch = (bare, ("features = f(a)\n", ""), ("recipe default : laptop {", "recipe r {"))
    assert "E431" not in {code for code, _ in findings("simclr", *sketch)}


def test_rows_that_are_cut_and_of_any_length() -> None:
    change = ("l2_normalize(stop_grad(target(v)))", "stop_grad(target(v))")
    assert set(found_by("E431", "mocov3_vit", change)) == {"target(v)"}


def test_a_bank_of_sums_of_unit_rows() -> None:
    text = "l2_normalize(momentum * memory[index] + (1 - momentum) * z, eps = 0)"
    change = (text, text.removeprefix("l2_normalize(").removesuffix(", eps = 0)"))
    assert found_by("E431", "instdisc", change) == ["memory[dataset]"]


def test_a_term_that_is_cut() -> None:
    change = ("redundancy(x) + redundancy(y)", "stop_grad(redundancy(x) + redundancy(y))")
    text = (ROOT / "examples" / "vicreg.ssl").read_text()
    assert change[0] in text
    found = check_file(Source("x.ssl", text.replace(*change)))
    assert [(d.code, d.span.text) for d in found if d.span] == [("E424", change[1])]


def test_both_sides_of_one_view() -> None:
    change = ("cosine_similarity(p[v], t[w])", "cosine_similarity(p[v], t[v])")
    assert found_by("E215", "byol", change) == ["for w in views"]


def test_a_bank_at_places_in_the_batch() -> None:
    found = found_by("E432", "instdisc", ("memory[index] <-", "memory[arange(batch)] <-"))
    assert found == ["arange(batch)"]


def test_a_place_in_the_batch_is_mended() -> None:
    text = (ROOT / "specs" / "instdisc.ssl").read_text()
    source = Source("x.ssl", text.replace("memory[index] <-", "memory[arange(batch)] <-"))
    fixes = [d.fix for d in check_file(source) if d.fix is not None]
    assert apply(source, fixes) == (text, 1)


def test_a_queue_that_a_short_run_does_not_fill() -> None:
    assert found_by("E434", "mocov2", ("    memory   = 1024\n", "")) == ["negatives[memory]"]
    change = ("memory     = 384", "memory     = 32768")
    assert set(found_by("E434", "swav", change)) == {"recent[v in global, memory]"}


def test_more_negatives_than_the_data_have() -> None:
    found = found_by("E511", "instdisc", ("    negatives   = 512\n", ""))
    assert found == ["draw_integers(negatives, below = dataset)"]


def test_the_size_of_another_data_set() -> None:
    change = ("    size        = 32\n    crop", "    crop")
    assert (
        found_by("E514", "simclr", change)
        == ["simclr_v1_views(size, crops, strength, gray, blur)"] * 2
    )


def test_local_views_larger_than_global_ones() -> None:
    found = found_by("E515", "swav", ("local_size = 16", "local_size = 64"))
    assert found == ["swav_views(local_size, local_crops, strength, gray, blur)"]


def test_a_warm_up_in_steps() -> None:
    found = found_by(
        "E516",
        "simclr",
        ("1.0 * batch / 256 -> 0, warmup = 10 epochs", "1.0 * batch / 256 -> 0, warmup = 4 steps"),
    )
    assert len(found) == 1


def test_a_learning_rate_scaled_twice() -> None:
    change = ("cosine(0.03 * batch / 256 -> 0)", "cosine(0.03 * batch / 256 * batch / 256 -> 0)")
    assert found_by("E517", "simsiam", change) == [change[1]]


def test_schedules_the_wrong_way_round() -> None:
    assert found_by("E521", "mocov2", ("0.03 -> 0", "0 -> 0.03"))
    assert found_by("E423", "byol", ("cosine(0.99 -> 1)", "cosine(1 -> 0.99)"))


def test_a_temperature_of_nothing_and_of_much() -> None:
    assert found_by("E523", "dino", ("teacher_tau = 0.04\n", "teacher_tau = 0\n")) == ["0", "0"]
    assert found_by("E524", "simclr", ("temperature = 0.1\n", "temperature = 100\n")) == ["100"]


def test_all_frozen() -> None:
    change = ("features = f(a)", "features = f(a)\nfreeze   = [f, projector, predictor]")
    assert "E421" in {code for code, _ in findings("byol", change)}


def test_a_run_of_less_than_a_step() -> None:
    change = ("recipe default : laptop {", "recipe default : laptop {\n    length = 0.01 epochs")
    assert found_by("E506", "invaspread", change) == ["0.01 epochs"]


def test_the_cut_is_shown_with_the_net_that_it_starves() -> None:
    text = (ROOT / "specs" / "byol.ssl").read_text()
    text = text.replace("predictor(online(v))", "predictor(stop_grad(online(v)))")
    first, *_ = check_file(Source("changed.ssl", text))
    labels = {(label.span.text, label.text) for label in first.labels}
    assert ("stop_grad(online(v))", "the gradient is cut here") in labels
    assert first.hint == "take away this stop_grad, or hold the net fixed: `freeze = [f]`"


def test_a_short_run_from_the_command_line_is_no_mistake() -> None:
    program = load(ROOT / "specs" / "dino.ssl", "imagenet", ["length=12 steps"])
    assert program.diagnostics == ()
    with pytest.raises(DiagnosticError, match="E504"):
        load(ROOT / "specs" / "dino.ssl", "imagenet", ["length=1 epochs"])
