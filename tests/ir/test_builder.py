"""Recipes that compute the same share graphs, and have what each would have alone."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from sslang.diagnostics import Source, Span
from sslang.ir.build import Builder, build
from sslang.ir.graph import Graph
from sslang.ir.program import Program
from sslang.model.overlay import resolve
from sslang.model.resolve import load, read
from sslang.records import record
from tests.conftest import ROOT, SPECS

EXAMPLES = sorted((ROOT / "examples").glob("*.ssl"))

HEAD = """method "X" (paper = "p")
param batch = 64
view a, b = random_crop(32)
encoder f = resnet18(width = 0.25, stem = small)
head g = mlp(64, 32)
z[v in [a, b]] = l2_normalize(g(f(v)))
loss = nt_xent([z[a], z[b]], 0.1)
features = f(a)
"""


def told(value: Any) -> Any:
    """All of a value, places and what comparisons leave out included."""
    if isinstance(value, Span):
        return value.source.name, value.start, value.end
    if isinstance(value, tuple | list):
        return [told(v) for v in value]
    if isinstance(value, dict):
        return {str(told(k)): told(v) for k, v in value.items()}
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return type(value).__name__, [(f.name, told(getattr(value, f.name))) for f in fields(value)]
    return repr(value)


def all_of(program: Program) -> list[Any]:
    parts = [f.name for f in fields(Program) if f.name not in ("spec", "later")]
    spec = program.spec
    named = (spec.settings, spec.assumes, repr(spec.recipe), spec.text)
    return [told(named), [[told(getattr(p, part)) for part in parts] for p in program.phases]]


def both(source: Source) -> list[tuple[str, list[Any], list[Any]]]:
    """By recipe what a builder of all of them gives, and one of its own."""
    module, builder = load(source), Builder()
    return [
        (name, all_of(builder.program(resolve(module, name))), all_of(build(resolve(module, name))))
        for name in module.recipes
    ]


@pytest.mark.parametrize("path", [*SPECS, *EXAMPLES], ids=lambda p: p.stem)
def test_a_recipe_has_what_it_would_have_alone(path: Path) -> None:
    for name, shared, alone in both(read(path)):
        assert shared == alone, name


def test_recipes_that_differ_in_fields_share_graphs() -> None:
    module, builder = load(read(ROOT / "specs" / "swav.ssl")), Builder()
    steps: dict[str, Graph] = {
        name: builder.program(resolve(module, name)).step for name in module.recipes
    }
    assert steps["imagenet"] is steps["imagenet_400"] is steps["imagenet_100"]
    assert steps["imagenet_256"] is steps["imagenet_256_400"] is not steps["imagenet"]
    assert steps["default"] is not steps["no_multicrop"]
    assert steps["imagenet_two_views"] is not steps["imagenet_400"]


@record(frozen=True)
class Case:
    """Two recipes of which the second must not have the first's graphs, or may."""

    body: str
    shared: bool


CASES = {
    "a batch that is a number under one": Case(
        """phase tune { loss = mean(mean((z[a] - z[b])**2, axis = -1) * (1 + arange(batch))) }
        recipe r1 : laptop { tune { batch = 32 } }
        recipe r2 : laptop { tune { length = 3 epochs } }""", False),
    "an error under one": Case(
        """recipe r1 : laptop { g = mlp(64) }
        recipe r2 : laptop { length = 3 epochs }""", False),
    "one text, written twice": Case(
        """recipe r1 : laptop { g = mlp(64, 16) }
        recipe r2 : laptop { g = mlp(64, 16) }""", False),
    "another crop of the evaluation": Case(
        """recipe r1 : laptop { crop = 0.5 }
        recipe r2 : laptop { crop = 0.75 }""", False),
    "other values of fields": Case(
        """recipe r1 : laptop { length = 4 epochs
         evaluate = knn(k = 5) }
        recipe r2 : laptop { length = 3 epochs
         evaluate = linear_probe }""", True),
    "an ablation": Case(
        """recipe r1 : laptop { assume no_collapse "why" }
        recipe r2 : laptop { length = 3 epochs }""", True),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_only_what_computes_the_same_is_shared(name: str) -> None:
    case = CASES[name]
    source = Source("case.ssl", HEAD + case.body)
    for recipe, shared, alone in both(source):
        assert shared == alone, recipe
    module, builder = load(source), Builder()
    first, second = (builder.program(resolve(module, r)) for r in module.recipes)
    assert (first.step is second.step) is case.shared


def test_a_net_of_three_phases_is_as_large_in_all() -> None:
    text = """method "X" (paper = "p")
view a, b = random_crop(32)
view c, d = random_crop(96)
encoder f = vit(8, width = 48, depth = 2, heads = 3)
head g = mlp(64, 32)
loss = nt_xent([g(f(a)), g(f(b))], 0.1)
features = f(a)
phase middle { loss = nt_xent([g(f(a)), g(f(b))], 0.2) }
phase late { loss = nt_xent([g(f(c)), g(f(d))], 0.2) }
recipe r1 : laptop { length = 3 epochs }
recipe r2 : laptop { length = 4 epochs }
"""
    source = Source("case.ssl", text)
    module, builder = load(source), Builder()
    for name in module.recipes:
        stages = [p.net("f").stages for p in builder.program(resolve(module, name)).phases]
        assert len(stages) == 3
        assert stages[0] == stages[1] == stages[2]
        assert 96 in stages[0][0][1].values()
