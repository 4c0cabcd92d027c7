"""The table of mutants and verdicts, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from sslang.bench.mutations.judge import Verdict
from sslang.bench.mutations.leftover import LEFT_OVER, found_without
from sslang.bench.mutations.mutant import Mutant
from sslang.bench.mutations.operators import OPERATORS
from sslang.bench.mutations.reasons import MISSED, OTHER

OUTCOMES = ("caught", "same", "other", "missed", "unjudged")
Judged = tuple[Mutant, Verdict]

_TITLES = {
    "unjudged": "Not judged",
    "missed": "Missed: mistakes that the checker should find, and what would prove them",
    "other": "Other methods, and why",
    "same": "The same thing, written otherwise",
}


def report(judged: Sequence[Judged]) -> str:
    """Counts by operator and by spec, the codes that caught, and every mutant that was not."""
    order = {name: number for number, name in enumerate(OPERATORS)}
    judged = sorted(judged, key=lambda pair: order[pair[0].operator])
    specs = sorted(judged, key=lambda pair: pair[0].spec)
    parts = [
        "# Mutants of the specs",
        _counts("operator", judged, lambda m: m.operator),
        _counts("spec", specs, lambda m: m.spec),
        _codes(judged),
        _left_over(judged),
        *(_listing(outcome, judged) for outcome in _TITLES),
        _stale(judged),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _counts(what: str, judged: Sequence[Judged], of: Callable[[Mutant], str]) -> str:
    groups: dict[str, Counter[str]] = {}
    for mutant, verdict in judged:
        groups.setdefault(of(mutant), Counter())[verdict.outcome] += 1
    rows = [f"| {what} | mutants | {' | '.join(OUTCOMES)} |", "|---|" + "---:|" * 6]
    total: Counter[str] = Counter()
    for name, counts in groups.items():
        total += counts
        rows.append(_row(name, counts))
    return "\n".join([*rows, _row("**all**", total)])


def _row(name: str, counts: Counter[str]) -> str:
    numbers = [counts.total(), *(counts[outcome] for outcome in OUTCOMES)]
    return f"| {name} | {' | '.join(map(str, numbers))} |"


def _codes(judged: Iterable[Judged]) -> str:
    first = Counter(v.why.split(", ")[0] for _, v in judged if v.outcome == "caught")
    listed = ", ".join(f"{code} {count}" for code, count in first.most_common())
    return f"Caught, by the first code found: {listed}." if first else ""


def _left_over(judged: Iterable[Judged]) -> str:
    """Mutants that a declaration left over gives away, and what finds them without it."""
    lines = []
    for mutant, verdict in judged:
        if verdict.outcome == "caught" and verdict.why == LEFT_OVER:
            then = ", ".join(found_without(mutant.text)) or "nothing"
            lines.append(f"{_line(mutant)}: then {then}")
    if not lines:
        return ""
    title = f"## Caught by {LEFT_OVER}, a declaration left over; and what is found without it"
    return "\n".join([f"{title}\n", *lines])


def _listing(outcome: str, judged: Iterable[Judged]) -> str:
    """The mutants of an outcome under their reasons."""
    by_reason: dict[str, list[str]] = {}
    for mutant, verdict in judged:
        if verdict.outcome == outcome:
            by_reason.setdefault(verdict.why, []).append(_line(mutant))
    if not by_reason:
        return ""
    return "\n\n".join([f"## {_TITLES[outcome]}", *_paragraphs(by_reason)])


def _paragraphs(by_reason: dict[str, list[str]]) -> Iterator[str]:
    for reason, lines in by_reason.items():
        head = [f"{reason}:\n"] if reason else []
        yield "\n".join([*head, *lines])


def _line(mutant: Mutant) -> str:
    after = mutant.after or "(taken away) " + mutant.before
    return f"- {mutant.operator}, {mutant.spec}.ssl:{mutant.line}, {mutant.place}: `{after}`"


def _stale(judged: Sequence[Judged]) -> str:
    """Entries of the tables that no longer say anything: the mutant is caught, or is gone."""
    left = {m.key for m, v in judged if v.outcome in ("other", "missed")}
    specs = {m.spec for m, _ in judged}
    operators = {m.operator for m, _ in judged}
    unused = [k for k in (*OTHER, *MISSED) if k not in left and k[1] in specs and k[0] in operators]
    if not unused:
        return ""
    return "## Reasons that are no longer needed\n\n" + "\n".join(
        f"- {operator}, {spec}, {place}" for operator, spec, place in unused
    )
