"""What becomes of a mutant: caught, the same, another method, missed, or not judged."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sslang.bench.mutations.canonical import clocks, digest
from sslang.bench.mutations.mutant import Mutant
from sslang.bench.mutations.reasons import MISSED, OTHER
from sslang.bench.mutations.small import overrides
from sslang.checks import check_file, check_program
from sslang.diagnostics import Source
from sslang.ir.build import build
from sslang.ir.program import Program
from sslang.model.overlay import resolve
from sslang.model.resolve import Module, load

Outcome = Literal["caught", "same", "other", "missed", "unjudged"]


@dataclass(frozen=True)
class Verdict:
    """The outcome, and why: the codes found, how it is the same, or the written reason."""

    outcome: Outcome
    why: str


@dataclass
class Cache:
    """Comparisons by numbers that were made before, by the digests of both programs."""

    path: Path
    known: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Cache:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return cls(path, known)

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.known, indent=1, sort_keys=True)
        self.path.write_text(text + "\n", encoding="utf-8")


class Judge:
    """Judges the mutants of one spec; what the original computes is computed once."""

    def __init__(self, original: Source, spec: str, cache: Cache) -> None:
        from sslang.bench.mutations.numeric import Recorded

        self.spec = spec
        self.cache = cache
        self.module = load(original)
        self.recipes: list[str | None] = [*self.module.recipes] or [None]
        self.whole = {r: self._built(self.module, r) for r in self.recipes}
        self.recorded: dict[str, Recorded] = {}

    def judge(self, mutant: Mutant) -> Verdict:
        source = Source(f"{mutant.spec}.ssl", mutant.text)
        codes = found_codes(source)
        if codes:
            return Verdict("caught", ", ".join(codes))
        if mutant.key in MISSED:  # a mistake even where no recipe reaches it
            return Verdict("missed", MISSED[mutant.key])
        difference = self.difference(load(source))
        if not difference:
            return Verdict("same", "")
        if mutant.key in OTHER:
            return Verdict("other", OTHER[mutant.key])
        return Verdict("unjudged", difference)

    def difference(self, module: Module) -> str:
        """How the mutant differs from the original under some recipe; empty if under none."""
        for recipe in self.recipes:
            if recipe is not None and recipe not in module.recipes:
                return f"there is no recipe `{recipe}`"
            ours, theirs = self.whole[recipe], self._built(module, recipe)
            if _digests(ours) == _digests(theirs):
                continue
            difference = self._numbers(module, recipe)
            if difference:
                return f"recipe {recipe}: {difference}"
        return ""

    def _numbers(self, module: Module, recipe: str | None) -> str:
        """The difference by numbers of the two programs made small."""
        ours = self._built(self.module, recipe, overrides(self.spec, self.module))
        theirs = self._built(module, recipe, overrides(self.spec, module))
        found = [d for d in (*check_program(ours), *check_program(theirs)) if d.is_error]
        if found:
            return f"not compared: {found[0].message}"
        pairs = list(zip(ours.phases, theirs.phases, strict=False))
        if len(ours.phases) != len(theirs.phases):
            return "other phases"
        if _digests(ours) == _digests(theirs):
            return "what differs is not among what was compared by numbers"
        for one, two in pairs:
            if one.spec.recipe != two.spec.recipe:
                return "another recipe"
            if clocks(one) != clocks(two):
                return "another schedule, momentum or time"
            difference = self._compared(one, two)
            if difference:
                return difference
        return ""

    def _compared(self, ours: Program, theirs: Program) -> str:
        from sslang.bench.mutations.numeric import Recorded, first_difference

        one, two = digest(ours), digest(theirs)
        if one == two:
            return ""
        key = f"{one} {two}"
        if key not in self.cache.known:
            recorded = self.recorded.setdefault(one, Recorded(ours))
            try:
                self.cache.known[key] = first_difference(recorded, theirs)
            except (RuntimeError, ValueError) as error:  # the checker let through what cannot run
                self.cache.known[key] = f"it stops: {str(error).splitlines()[0]}"
        return self.cache.known[key]

    def _built(self, module: Module, recipe: str | None, given: list[str] | None = None) -> Program:
        from sslang.api import parse_overrides

        return build(resolve(module, recipe, parse_overrides(given or [])))


def found_codes(source: Source) -> list[str]:
    """The codes of the errors and warnings about a spec, in order of the text, each once."""
    return list(dict.fromkeys(d.code for d in check_file(source) if d.severity != "note"))


def _digests(program: Program) -> list[str]:
    return [digest(phase) for phase in program.phases]
