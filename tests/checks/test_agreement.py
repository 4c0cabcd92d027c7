"""Losses computed on small tables: every method rewards agreement, and broken ones do not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sslang.bench.collapse_forms import FORMS, PREAMBLE, Form
from sslang.checks import agreement, check_file
from sslang.checks.collapse import structure
from sslang.checks.tables import CLASSES, IMAGES, ROWS, Machine, NotComputed, Tables
from sslang.diagnostics import Source
from sslang.ir.build import build
from sslang.ir.program import Program
from sslang.model.overlay import resolve
from sslang.model.resolve import load
from tests.conftest import ROOT, SPECS

EXAMPLES = sorted((ROOT / "examples").glob("*.ssl"))
NUMBERS = {"E440", "E441", "E447", "E451", "E410"}


def _built(source: Source, recipe: str | None = None) -> Program:
    return build(resolve(load(source), recipe))


def machine(text: str, recipe: str | None = None) -> Machine:
    return Machine(_built(Source("case.ssl", text), recipe))


def codes(text: str) -> set[str]:
    return {d.code for d in check_file(Source("case.ssl", text))} & NUMBERS


def text_of(form: Form) -> str:
    if not form.spec:
        return PREAMBLE + form.body
    text = (ROOT / form.spec).read_text(encoding="utf-8")
    for old, new in form.changes.items():
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("path", [*SPECS, *EXAMPLES], ids=lambda p: p.stem)
def test_views_that_agree_cost_less(path: Path) -> None:
    program: Program = _built(Source(path.name, path.read_text(encoding="utf-8")))
    if structure(program).outcome == "pass":
        return  # the target is content
    made = Machine(program)
    for seed in range(3):
        agreed, apart = made.loss(Tables(seed)), made.loss(Tables(seed, apart="member"))
        assert apart - agreed > 0.1 * abs(apart)


@pytest.mark.parametrize("form", [f for f in FORMS if f.truth != "broken"], ids=lambda f: f.method)
def test_a_sound_form_has_no_finding(form: Form) -> None:
    assert codes(text_of(form)) == set()


@pytest.mark.parametrize(("method", "broken"), [
    ("alignment and uniformity", "sign of uniformity"), ("VICReg", "no variance term"),
])  # fmt: skip
def test_a_form_that_constants_minimise_is_found_by_numbers(method: str, broken: str) -> None:
    (form,) = [f for f in FORMS if (f.method, f.broken) == (method, broken)]
    program = _built(Source("form.ssl", text_of(form)))
    assert structure(program).outcome == "undecided"
    assert codes(text_of(form)) == {"E440"}


def test_a_form_without_the_term_that_compares_is_found_by_numbers() -> None:
    (form,) = [f for f in FORMS if (f.method, f.broken) == ("Barlow Twins", "no invariance term")]
    assert codes(text_of(form)) == {"E447"}


def vicreg(*changes: tuple[str, str]) -> str:
    text = (ROOT / "examples" / "vicreg.ssl").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(("old", "new", "code"), [
    ("(x - y)**2", "(x + y)**2", "E441"), ("25 * mean((x - y)**2) + ", "", "E447"),
    ("1 - sqrt", "1 + sqrt", "E440"), ("variance(z, axis = 0", "variance(z, axis = 1", "E440"),
])  # fmt: skip
def test_a_broken_term_is_named(old: str, new: str, code: str) -> None:
    assert codes(vicreg((old, new))) == {code}


def imix(loss: str, op: str = "mixup(share)") -> str:
    text = (ROOT / "examples" / "imix.ssl").read_text(encoding="utf-8")
    body = text.partition("loss     = ")[0]
    assert "| mixup(share)\n" in body
    body = body.replace("mixup(share)", op)
    return f"{body}loss = {loss}\nfeatures = f(b)\nrecipe default : laptop {{ hidden = 256 }}\n"


OWN, PARTNERS = "take(scores, arange(batch))", "take(scores, a.partner)"
RIGHT = f"-(1 - a.weight) * {OWN} - a.weight * {PARTNERS}"


@pytest.mark.parametrize(("loss", "found"), [
    (RIGHT, set()),
    (f"-a.weight * {OWN} - (1 - a.weight) * {PARTNERS}", {"E451"}),
    (f"-{OWN} - {PARTNERS}", {"E451"}),
    (RIGHT.replace("a.partner", "roll(a.partner, 1)"), {"E451"}),
    (f"-(1 - a.weight) * {OWN} + a.weight * {PARTNERS}", {"E451"}),
    (f"(1 - a.weight) * {OWN} + a.weight * {PARTNERS}", {"E441"}),
])  # fmt: skip
def test_a_loss_that_does_not_fit_how_images_were_mixed_is_named(
    loss: str, found: set[str]
) -> None:
    assert codes(imix(loss)) == found


@pytest.mark.parametrize("op", ["cutmix", "patch_mix(20)", "mixup @ 0.5", "mixup(0.3..0.4)"])
def test_every_way_to_mix_two_images_is_mixed_in_the_tables(op: str) -> None:
    assert codes(imix(RIGHT, op)) == set()
    made = machine(imix(RIGHT, op))
    for seed in range(3):
        as_drawn = made.loss(Tables(seed))
        assert made.loss(Tables(seed, mixed="exchanged")) > 1.2 * as_drawn
        assert made.loss(Tables(seed, mixed="strangers")) > 1.3 * as_drawn


def test_a_mosaic_is_four_images_in_the_tables() -> None:
    loss = "-sum(a.weight[:, j] * take(scores, a.partner[:, {}]) for j in 0..3)"
    assert codes(imix(loss.format("j"), "mosaic")) == set()
    assert codes(imix(loss.format("3 - j"), "mosaic")) == {"E451"}


def test_what_no_loss_reads_of_a_mixture_is_an_augmentation() -> None:
    made = machine(imix(f"-{OWN}"))
    assert not made.mixtures
    assert made.loss(Tables()) == made.loss(Tables(mixed="exchanged"))


def test_a_reason_silences_what_numbers_say_of_collapse() -> None:
    text = vicreg(("1 - sqrt", "1 + sqrt"), ("\nloss ", '\nassume no_collapse "why"\nloss '))
    assert codes(text) == set()


def test_sizes_are_small_and_recipes_that_differ_in_sizes_are_one() -> None:
    text = (ROOT / "specs" / "mocov2.ssl").read_text(encoding="utf-8")
    small, large = machine(text, "default"), machine(text, "imagenet")
    assert small.key == large.key
    assert set(large.small) == {128, 65536}
    assert max(large.small.values()) < 32
    assert machine(text.replace("sphere(dim)", "normal(dim)"), "default").key != small.key
    assert small.dims["batch"] == ROWS < IMAGES == small.dims["dataset"]
    assert small.dims["classes"] == CLASSES


def test_the_same_tables_give_the_same_number() -> None:
    made = machine(vicreg())
    assert made.loss(Tables(1)) == made.loss(Tables(1)) != made.loss(Tables(2))


@pytest.mark.parametrize(("body", "words"), [
    ("loss = mean(f(a) @ f(b).T) + mean(eye(4000))\n", "too much"),
    ("loss = mean(log(f(a) @ f(b).T))\n", "no number"),
    ("loss = mean((f(a) - flatten(pixels(a))[:, :128])**2) + mean(f(a) @ f(b).T)\n", "blur"),
])  # fmt: skip
def test_what_small_tables_do_not_fit_is_left_alone(body: str, words: str) -> None:
    head = 'method "x"\nview a, b = simclr_views(32)\nencoder f = resnet18(width = 0.25)\n'
    program = _built(Source("x.ssl", head + body))
    with pytest.raises(NotComputed, match=words):
        Machine(program).loss(Tables())


class Shelf(dict[str, dict[str, object]]):
    """A store in memory."""

    def read(self, key: str) -> dict[str, object] | None:
        return self.get(key)

    def write(self, key: str, value: Mapping[str, object]) -> None:
        self[key] = dict(value)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    agreement._remembered.cache_clear()
    with agreement.kept_in(shelf):
        yield shelf
    agreement._remembered.cache_clear()


def test_figures_are_kept_and_taken_from_where_they_are_kept(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = vicreg(("(x - y)**2", "(x + y)**2"))
    first = codes(text)
    assert first
    (kept,) = shelf.values()
    agreement._remembered.cache_clear()
    monkeypatch.setattr(agreement, "_computed", lambda keyed: pytest.fail("computed again"))
    assert codes(text) == first
    agreement._remembered.cache_clear()
    kept["outcome"] = "sound"
    assert codes(text) == set()


@pytest.mark.parametrize("kept", [{}, {"outcome": "odd", "one": 0.0, "other": 0.0}, {"outcome": 1},
                                  {"outcome": "punished", "one": math.nan, "other": 2.0},
                                  {"outcome": "sound", "one": "0", "other": 0.0}])  # fmt: skip
def test_what_is_no_figure_is_computed_anew(shelf: Shelf, kept: dict[str, object]) -> None:
    text = vicreg(("(x - y)**2", "(x + y)**2"))
    first = codes(text)
    (key,) = shelf
    shelf[key] = kept
    agreement._remembered.cache_clear()
    assert codes(text) == first
    assert shelf[key] != kept


def test_another_loss_and_other_code_have_figures_of_their_own(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes(vicreg(("(x - y)**2", "(x + y)**2")))
    codes(vicreg(("(x - y)**2", "(x + 2 * y)**2")))
    assert len(shelf) == 2
    agreement._remembered.cache_clear()
    monkeypatch.setattr(agreement, "_code", lambda: "another")
    codes(vicreg(("(x - y)**2", "(x + y)**2")))
    assert len(shelf) == 3


def test_code_that_cannot_be_read_keeps_nothing(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "_code", lambda: "")
    assert codes(vicreg(("(x - y)**2", "(x + y)**2"))) == {"E441"}
    assert not shelf


def test_numbers_that_are_drawn_do_not_go_by_their_name() -> None:
    body = """
x = online(a)
y = online(b)
noise = draw_normal(32)
loss = mean((x - y)**2) + 0.1 * mean(noise * x)
"""
    one, other = machine(PREAMBLE + body), machine(PREAMBLE + body.replace("noise", "eps"))
    assert one.key == other.key
    assert one.loss(Tables(1)) == other.loss(Tables(1)) != one.loss(Tables(2))
