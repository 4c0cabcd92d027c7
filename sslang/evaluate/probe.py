"""Can this loss collapse? Three tests, cheapest first; the first that decides is the verdict.

T0 is structure (`sslang.checks.collapse`). T1 and T2 are numbers: the loss beyond its embeddings is
computed on free tables. T1 compares the best constant with spread embeddings, where the loss is a
function that training minimises. T2 lets almost collapsed embeddings follow the method's own
pseudo-gradient, and asks whether they escape.

Not decided here: collapse of some dimensions alone (watch the rank while training), and collapse
that the net or the learning rate causes rather than the loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from sslang.checks.collapse import assumed, asymmetry, structure
from sslang.diagnostics import Diagnostic, Label
from sslang.evaluate.cache import Cache
from sslang.evaluate.probe_graph import Excerpt, excerpt, sharpening
from sslang.ir.program import Program

VERSION = 3  # of the tests: another version is another verdict
CACHE = Cache("collapse")
LARGEST = 600  # operations of a loss, each of which is computed in some thousand steps

_HINTS = {
    "T1": "add a term that spread embeddings lower: variance, uniformity, negatives",
    "T2": "make the target sharper than the prediction, compare with other rows, or give more "
    "weight to what spreads them",
}

_WHITENS = "the loss is the same however far embeddings are spread: it whitens them"

Test = Literal["T0", "T1", "T2"]
Outcome = Literal["pass", "note", "warning", "error", "undecided", "assumed"]
_TESTS: Mapping[str, Test] = {name: name for name in get_args(Test)}
_OUTCOMES: Mapping[str, Outcome] = {name: name for name in get_args(Outcome)}


@dataclass(frozen=True)
class Verdict:
    """What a test says of a phase, and the figures it rests on.

    `note`: only asymmetry prevents collapse. `warning`: training escapes from some collapsed
    points and not from others, or so slowly that it may not. `undecided`: the loss cannot be
    computed on tables; the reason says why. `assumed`: the spec vouches for it, and nothing was
    computed.
    """

    test: Test
    outcome: Outcome
    reason: str
    figures: Mapping[str, float] = field(default_factory=dict)

    def line(self, phase: str) -> str:
        """A line for people."""
        lead = "" if self.outcome in ("pass", "note") else f"{self.outcome}: "
        test = "" if self.outcome == "assumed" else f" ({self.test})"
        return f"{phase}: {lead}{self.reason}{test}"


def probe(program: Program) -> Verdict:
    """The verdict on one phase, which has a loss; what is computed is kept in the user's cache."""
    reason = assumed(program)
    if reason:
        return Verdict("T0", "assumed", f'assume no_collapse "{reason}"')
    known = structure(program)
    if known.outcome != "undecided":
        return Verdict("T0", known.outcome, known.reason)
    return _named(program, _remembered(excerpt(program)))


def probe_numbers(program: Program) -> Verdict:
    """What T1 or T2 says alone, whatever the structure is and the spec assumes."""
    return _remembered(excerpt(program))


def findings(program: Program, verdict: Verdict) -> list[Diagnostic]:
    """The diagnostics of a verdict by numbers; those of T0 are among those of the check."""
    if verdict.test == "T0" or verdict.outcome not in ("error", "warning"):
        return []
    node = sharpening(program)
    labels = [] if node is None or node.span is None else [
        Label(node.span, "what sharpens the target")]  # fmt: skip
    code = "E410" if verdict.outcome == "error" else "E411"
    hint = f'{_HINTS[verdict.test]}; who means it writes `assume no_collapse "why"`'
    return [Diagnostic(code, verdict.reason, program.spans.get("loss"), tuple(labels), hint)]


def _named(program: Program, verdict: Verdict) -> Verdict:
    """The verdict in view of the spec: its asymmetry, its words for what sharpens the target."""
    if verdict.test != "T2" or verdict.outcome not in ("error", "warning"):
        return verdict
    asymmetric = asymmetry(program)
    if asymmetric:
        return replace(verdict, outcome="note", reason=asymmetric)
    node = sharpening(program)
    if node is None or node.span is None:
        return verdict
    text = " ".join(node.span.text.split())
    return replace(verdict, reason=f"{verdict.reason}; what sharpens its target is `{text}`")


def _remembered(loss: Excerpt) -> Verdict:
    key = f"{loss.key}-{VERSION}"
    known = _verdict(CACHE.read(key))
    if known is None:
        known = computed(loss)
        CACHE.write(key, asdict(known))
    return known


def _verdict(stored: dict[str, Any] | None) -> Verdict | None:
    """The verdict in a file of the cache; None for a file that holds none."""
    match stored:
        case {"test": str(test), "outcome": str(outcome), "reason": str(reason),
              "figures": dict(figures)}:  # fmt: skip
            numbers = all(isinstance(v, float) and isinstance(k, str) for k, v in figures.items())
            if test in _TESTS and outcome in _OUTCOMES and numbers:
                return Verdict(_TESTS[test], _OUTCOMES[outcome], reason, figures)
    return None


def computed(loss: Excerpt) -> Verdict:
    """T1 where it applies and decides, else T2."""
    import torch

    from sslang.evaluate.probe_step import NotInterpreted

    if len(loss.nodes) > LARGEST:
        reason = f"the loss has {len(loss.nodes)} operations; no more than {LARGEST} are tried"
        return Verdict("T2", "undecided", reason)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tables are small: threads would wait for each other
    try:
        first = None if loss.has_cut else _by_value(loss)
        return first or _by_escape(loss)
    except NotInterpreted as error:
        return Verdict("T2", "undecided", str(error))
    finally:
        torch.set_num_threads(threads)


def _by_value(loss: Excerpt) -> Verdict | None:
    """T1; None where the value at collapse means nothing."""
    from sslang.evaluate.probe_step import Machine
    from sslang.evaluate.probe_trials import WORSE, losses

    found = losses(Machine(loss))
    if found.scale_free:
        return Verdict("T1", "pass", _WHITENS, {"spread": found.spread})
    figures = {"collapsed": found.collapsed, "spread": found.spread}
    if not all(map(math.isfinite, figures.values())):
        return None
    compared = f"a constant embedding has the loss {found.collapsed:.3g}, a spread one"
    if found.collapsed - found.spread > WORSE * max(map(abs, figures.values())):
        return Verdict("T1", "pass", f"{compared} {found.spread:.3g}", figures)
    reason = f"{compared} {found.spread:.3g}, which is no better"
    return Verdict("T1", "error", reason, figures)


def _together(most: float) -> str:
    """Why embeddings that have collapsed stay so, by the most that their spread grew."""
    if most < 0.99:
        return f"the collapsed point attracts: the spread falls to {most:.2g} of what it was"
    if most < 1.01:
        return "nothing moves collapsed embeddings apart: the spread stays what it was"
    return f"collapsed embeddings stay together: the spread grows {most:.2g} times, and no further"


def _by_escape(loss: Excerpt) -> Verdict:
    from sslang.evaluate.probe_step import Machine
    from sslang.evaluate.probe_trials import growth

    trials = [growth(Machine(loss))]
    if any(plan.starts_empty for plan in loss.states):
        trials.append(growth(Machine(loss, empty=True)))
    found = [factor for trial in trials for factor in trial.factors]
    ends = [end for trial in trials for end in trial.ends]
    if not all(map(math.isfinite, found)):
        return Verdict("T2", "undecided", "the loss is not a number near the collapsed point")
    steps = float(max(trial.steps for trial in trials))
    figures = {"least": min(found), "most": max(found), "steps": steps}
    grown = f"by {min(found):.3g} times in {steps:.0f} steps"
    stay = ends.count("stays")
    if set(ends) <= {"stays", "open"} and stay:
        return Verdict("T2", "error", _together(max(found)), figures)
    if stay:
        reason = f"from {stay} of {len(ends)} collapsed points embeddings do not spread"
        return Verdict("T2", "warning", reason, figures)
    if "open" in ends:
        reason = f"collapsed embeddings spread too slowly to be sure of: {grown}"
        return Verdict("T2", "warning", reason, figures)
    if "turns" in ends:
        return Verdict("T2", "pass", _WHITENS, figures)
    if "leaves" in ends:
        reason = "collapsed embeddings spread at once, if only a little"
        return Verdict("T2", "pass", reason, figures)
    return Verdict("T2", "pass", f"collapsed embeddings spread, {grown}", figures)
