"""The tests for collapse, tried: `python -m sslang.bench.collapse` prints a table of verdicts.

Rows are the specs under their default recipes, the ablations among their recipes, and the forms of
`collapse_forms` and `collapse_papers`, broken ones among them. The column before the last is what
T1 or T2 says alone, whatever structure says; the last says where a verdict is wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sslang.bench.collapse_forms import FORMS, PREAMBLE, Form, Truth
from sslang.bench.collapse_papers import PAPERS
from sslang.diagnostics import Source
from sslang.evaluate.probe import Verdict, probe, probe_numbers
from sslang.ir.build import build
from sslang.ir.program import Program
from sslang.model.overlay import resolve
from sslang.model.resolve import load, read

ABLATIONS = (("simsiam", "no_stop_grad"), ("dino", "no_centre"))
_ASYMMETRIC = ("byol", "simsiam")
_RIGHT: dict[Truth, tuple[str, ...]] = {
    "sound": ("pass",),
    "asymmetric": ("note",),
    "broken": ("error", "warning"),
    "narrow": ("pass",),
}


@dataclass(frozen=True)
class Row:
    """A loss, what it is, and what the tests say."""

    method: str
    broken: str
    truth: Truth
    verdict: Verdict
    numbers: Verdict

    @property
    def is_right(self) -> bool:
        return self.verdict.outcome in _RIGHT[self.truth]


def form_text(form: Form, root: Path) -> str:
    """The whole spec of a form; the project's files lie below `root`."""
    if not form.spec:
        return PREAMBLE + form.body
    text = (root / form.spec).read_text("utf-8")
    for old, new in form.changes.items():
        assert old in text, f"{form.spec} no longer has `{old}`"
        text = text.replace(old, new)
    return text


def form_program(form: Form, root: Path) -> Program:
    """A form under its first recipe."""
    module = load(Source(f"{form.method}.ssl", form_text(form, root)))
    return _built(build(resolve(module, next(iter(module.recipes), None))))


def _built(program: Program) -> Program:
    errors = [d.message for d in program.diagnostics if d.is_error]
    assert not errors, errors
    return program


def judged(program: Program) -> tuple[Verdict, Verdict]:
    """The verdict, without regard to what the spec assumes, and that of numbers alone."""
    bare = replace(program, spec=program.spec.model_copy(update={"assumes": ()}))
    return probe(bare), probe_numbers(bare)


def rows(root: Path) -> Iterator[Row]:
    """Every loss that is tried."""
    for path in [
        *sorted((root / "specs").glob("*.ssl")),
        *sorted((root / "examples").glob("*.ssl")),
    ]:
        module = load(read(path))
        for phase in _built(build(resolve(module, "default"))).phases:
            truth: Truth = "asymmetric" if path.stem in _ASYMMETRIC else "sound"
            name = path.stem if phase.phase == "pretrain" else f"{path.stem}, {phase.phase}"
            yield Row(name, "", truth, *judged(phase))
    for name, recipe in ABLATIONS:
        module = load(read(root / "specs" / f"{name}.ssl"))
        program = _built(build(resolve(module, recipe)))
        yield Row(name, f"recipe {recipe}", "broken", *judged(program))
    for form in (*FORMS, *PAPERS):
        yield Row(form.method, form.broken, form.truth, *judged(form_program(form, root)))


def table(found: Sequence[Row]) -> str:
    """The rows in Markdown, and how many are right."""
    lines = ["| method | broken how | test | outcome | figures | by numbers alone | wrong |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in found:
        figures = ", ".join(f"{k} {v:.3g}" for k, v in row.verdict.figures.items())
        numbers = f"{row.numbers.test} {row.numbers.outcome}"
        wrong = "" if row.is_right else f"it is {row.truth}"
        lines.append(f"| {row.method} | {row.broken} | {row.verdict.test} | {row.verdict.outcome} "
                     f"| {figures} | {numbers} | {wrong} |")  # fmt: skip
    lines.append("")
    for truth in _RIGHT:
        of = [r for r in found if r.truth == truth]
        if not of:
            continue
        counts = ", ".join(
            f"{sum(r.verdict.outcome == o for r in of)} {o}"
            for o in dict.fromkeys(r.verdict.outcome for r in of)
        )
        lines.append(f"{len(of)} {truth}: {counts}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sslang.bench.collapse", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder")
    print(table(list(rows(parser.parse_args().root))))


if __name__ == "__main__":
    main()
