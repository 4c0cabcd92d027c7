"""The verdicts on a whole file: every phase under every recipe, each distinct one once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sslang.diagnostics import Diagnostic, Source
from sslang.evaluate.probe import Verdict, findings, probe
from sslang.ir.build import build
from sslang.ir.program import Program
from sslang.model.overlay import resolve
from sslang.model.resolve import load


@dataclass(frozen=True)
class Probed:
    """A verdict on a phase, and the recipes that have it, where not all do."""

    phase: str
    verdict: Verdict
    recipes: tuple[str, ...]

    def line(self) -> str:
        under = f" [{', '.join(self.recipes)}]" if self.recipes else ""
        return self.verdict.line(self.phase) + under

    def plain(self) -> dict[str, object]:
        """For programs."""
        verdict = self.verdict
        return {
            "phase": self.phase, "test": verdict.test, "outcome": verdict.outcome,
            "reason": verdict.reason, "figures": dict(verdict.figures),
            "recipes": list(self.recipes),
        }  # fmt: skip


def probe_phases(program: Program) -> Iterator[tuple[Program, Verdict]]:
    """The verdict on each phase of a program that was built without errors."""
    for phase in program.phases:
        if "loss" in phase.step.outputs:
            yield phase, probe(phase)


def probe_file(source: Source) -> tuple[list[Probed], list[Diagnostic]]:
    """The verdicts under all recipes, and their diagnostics but those that the check gives.

    A recipe under which the spec is not whole is left out: it has errors of its own.
    """
    module = load(source)
    recipes: list[str | None] = [*module.recipes] or [None]
    under: dict[tuple[str, str], list[str]] = {}
    verdicts: dict[tuple[str, str], Verdict] = {}
    found: dict[tuple[str, str], list[Diagnostic]] = {}
    for recipe in recipes:
        program = build(resolve(module, recipe))
        if any(d.is_error for d in program.diagnostics):
            continue
        for phase, verdict in probe_phases(program):
            key = (phase.phase, verdict.line(phase.phase))
            verdicts.setdefault(key, verdict)
            under.setdefault(key, []).append(recipe or "")
            found.setdefault(key, findings(phase, verdict))
    names = {key: _some(given, len(recipes)) for key, given in under.items()}
    probed = [Probed(key[0], verdict, names[key]) for key, verdict in verdicts.items()]
    diagnostics = [replace(d, recipes=names[key]) for key, ds in found.items() for d in ds]
    return probed, diagnostics


def _some(recipes: Iterable[str], count: int) -> tuple[str, ...]:
    """The recipes, where they are not all."""
    named = tuple(recipes)
    return named if len(named) < count else ()
