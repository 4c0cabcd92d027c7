"""`sslang diff`: what differs in meaning between two specs, recipes or runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sslang.cli.shared import as_json, print_json, reporting
from sslang.diagnostics import Diagnostic, DiagnosticError

if TYPE_CHECKING:
    from sslang.ir.canonical import Canonical
    from sslang.ir.program import Program
    from sslang.track.run_folder import RunFolder

_CURVES = ("train/loss", "eval/knn_top1", "health/effective_rank")
_BARS = "▁▂▃▄▅▆▇█"
_POINTS = 40  # of a curve in the terminal
_LINES = 12  # places in which the equations begin to differ, shown of each side


@click.command()
@click.argument("one")
@click.argument("other")
@as_json
@reporting
def command(one: str, other: str, json_: bool) -> None:
    """Tell what differs between ONE and OTHER: parameters, equations, results.

    Each is a spec, `SPEC:RECIPE`, or the folder of a run. Names, order and spelling do not matter:
    two specs that compute the same are the same. Of two runs that were evaluated on the same images
    the results are compared image by image. Ends with 0 for the same computation, with 1 for
    another.
    """
    sides = (_side(one), _side(other))
    found = Comparison(*sides)
    if json_:
        print_json(found.plain())
    else:
        for line in found.lines():
            click.echo(line)
    raise SystemExit(0 if found.same else 1)


@dataclass(frozen=True)
class Side:
    """What is compared: its name, its program, and its run, if it is one."""

    name: str
    program: Program
    run: RunFolder | None

    def parameters(self) -> dict[str, str]:
        """What it is a function of, by name."""
        if self.run is not None:
            return dict(self.run.record().params)
        from sslang.train.described import parameters
        from sslang.train.options import RunOptions

        found = parameters(self.program, RunOptions())
        found.pop("seed", None)
        return {name: str(value) for name, value in found.items()}


def _side(text: str) -> Side:
    """Read a spec, `SPEC:RECIPE`, or the folder of a run. Raises DiagnosticError."""
    import sslang
    from sslang.track.run_folder import open_run

    path = Path(text)
    if path.is_dir():
        run = open_run(path)
        return Side(run.record().label or run.title, sslang.load(run.resolved_path), run)
    spec, colon, recipe = text.rpartition(":")
    if colon and not path.exists() and Path(spec).is_file():
        return Side(text, sslang.load(spec, recipe), None)
    return Side(text, sslang.load(path), None)


@dataclass(frozen=True)
class Comparison:
    """Two sides, and what differs between them."""

    one: Side
    other: Side

    @property
    def sides(self) -> tuple[Side, Side]:
        return (self.one, self.other)

    @cached_property
    def forms(self) -> tuple[list[Canonical], list[Canonical]]:
        from sslang.ir.canonical import canonical

        one, other = ([canonical(p) for p in side.program.phases] for side in self.sides)
        return one, other

    @property
    def same_graph(self) -> bool:
        """Whether steps and features are the same."""
        from sslang.ir.canonical import same

        return same(*self.forms)

    @property
    def same(self) -> bool:
        """Whether both compute the same: graph, and recipe but for what is evaluated."""
        return self.same_graph and not self._recipes()

    def _recipes(self) -> list[str]:
        """The fields of the recipes that differ and bear on what is learned."""
        phases = [side.program.phases for side in self.sides]
        if len(phases[0]) != len(phases[1]):
            return ["phases"]
        found: dict[str, None] = {}
        for pair in zip(*phases, strict=True):
            recipes = [phase.spec.recipe for phase in pair]
            settings = [phase.spec.settings for phase in pair]
            for name in type(recipes[0] or recipes[1]).model_fields if any(recipes) else ():
                if name == "evaluate":
                    continue
                values = [getattr(recipe, name, None) for recipe in recipes]
                if name in ("groups", "freeze"):  # whose selectors are expressions
                    values = [given.get(name) for given in settings]
                if values[0] != values[1]:
                    found[name] = None
        return list(found)

    def parameters(self) -> list[tuple[str, str, str]]:
        """The parameters that differ, with their values on both sides."""
        one, other = (side.parameters() for side in self.sides)
        return [(name, one.get(name, "-"), other.get(name, "-"))
                for name in dict.fromkeys((*one, *other)) if one.get(name) != other.get(name)
                ]  # fmt: skip

    def places(self) -> tuple[list[str], list[str]]:
        """Where the equations of each side begin to differ from those of the other."""
        from sslang.ir.canonical import origins

        one, other = self.forms
        found: tuple[list[str], list[str]] = ([], [])
        for mine, theirs, into in ((one, other, found[0]), (other, one, found[1])):
            for number, form in enumerate(mine):
                if number >= len(theirs):
                    continue
                for node in origins(form, theirs[number]):
                    span = node.place
                    text = node.op if span is None else " ".join(span.text.split())
                    where = "" if span is None else f"  ({Path(str(span)).name})"
                    line = f"{text}{where}"
                    if line not in into:
                        into.append(line)
        return found

    def plain(self) -> dict[str, Any]:
        """As data for programs."""
        one, other = self.places()
        return {
            "same": self.same,
            "same_graph": self.same_graph,
            "recipe": self._recipes(),
            "parameters": [dict(zip(("name", "one", "other"), row, strict=True))
                           for row in self.parameters()],
            "equations": {"one": one, "other": other},
            "results": [vars(result) for result in self.results()],
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"one:   {self.one.name}"
        yield f"other: {self.other.name}"
        yield ""
        if self.same:
            yield "the same computation"
        elif self.same_graph:
            yield f"the same equations; the recipes differ in {', '.join(self._recipes())}"
        else:
            yield "not the same computation"
        rows = self.parameters()
        if rows:
            yield ""
            yield from _aligned([("parameter", "one", "other"), *rows])
        if not self.same_graph:
            for name, places in zip(("one", "other"), self.places(), strict=True):
                if places:
                    yield ""
                    yield f"equations that {name} alone has begin with"
                    yield from (f"  {place}" for place in places[:_LINES])
                    if len(places) > _LINES:
                        yield f"  ... and {len(places) - _LINES} more"
        yield from self._outcomes()

    def _outcomes(self) -> Iterator[str]:
        if self.one.run is None or self.other.run is None:
            return
        results = self.results()
        if results:
            yield ""
            head = ("result", "one", "other", "other - one", "by chance")
            yield from _aligned([head, *(r.row() for r in results)])
        else:
            yield ""
            yield "no result of both is on the same images"
        for name in _CURVES:
            curves = [[row.metrics[name] for row in run.metrics() if name in row.metrics]
                      for run in (self.one.run, self.other.run)]  # fmt: skip
            if all(len(curve) > 1 for curve in curves):
                low, high = min(map(min, curves)), max(map(max, curves))
                yield ""
                yield f"{name}, {low:.3g} to {high:.3g}"
                for side, curve in zip(("one", "other"), curves, strict=True):
                    yield f"  {side:6}{_curve(curve, low, high)}"

    def results(self) -> list[Paired]:
        """The results of both runs, compared over the same images."""
        if self.one.run is None or self.other.run is None:
            return []
        tests = [{d.digest for d in run.record().inputs if d.context.startswith("evaluation")}
                 for run in (self.one.run, self.other.run)]  # fmt: skip
        if not tests[0] or tests[0] != tests[1]:
            return []
        one, other = _hits(self.one.run), _hits(self.other.run)
        return [Paired.of(name, one[name], other[name]) for name in one
                if name in other and len(one[name]) == len(other[name])]  # fmt: skip


@dataclass(frozen=True)
class Paired:
    """Two shares of the same images, their difference with its standard error, and how likely as
    large a difference is by chance."""

    metric: str
    one: float
    other: float
    difference: float
    error: float
    chance: float

    @staticmethod
    def of(metric: str, one: str, other: str) -> Paired:
        """Compare hits, a digit an image."""
        import torch

        from sslang.evaluate.bootstrap import mcnemar, paired_difference

        before, after = (torch.tensor([c == "1" for c in hits]) for hits in (one, other))
        found = paired_difference(after, before)
        return Paired(
            metric, float(before.double().mean()), float(after.double().mean()),
            found.mean, found.standard_error, mcnemar(after, before),
        )  # fmt: skip

    def row(self) -> tuple[str, ...]:
        """As a line of a table."""
        return (self.metric, f"{self.one:.3f}", f"{self.other:.3f}",
                f"{self.difference:+.3f} ± {self.error:.3f}", f"p = {self.chance:.2g}")  # fmt: skip


def _hits(run: RunFolder) -> dict[str, str]:
    """What a run got right, by metric, image by image."""
    found: dict[str, str] = {}
    for path in sorted(run.artifacts.glob("evaluation*.json")):
        phase = path.stem.removeprefix("evaluation").removeprefix("_")
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found |= {f"{phase}/{name}" if phase else name: given["hits"]
                      for name, given in record.items()}  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"{path} cannot be read: {error}"
            raise DiagnosticError(Diagnostic("E715", message)) from None
    return found


def _curve(values: Sequence[float], low: float, high: float) -> str:
    """Return values as bars of text, evenly picked."""
    picked = values if len(values) <= _POINTS else [
        values[round(i * (len(values) - 1) / (_POINTS - 1))] for i in range(_POINTS)
    ]  # fmt: skip
    span = high - low
    return "".join(_BARS[round((v - low) / span * 7) if span > 0 else 0] if v == v else " "
                   for v in picked)  # fmt: skip


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Return rows of a table, the columns below each other."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
