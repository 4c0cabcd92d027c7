"""What `freeze` leaves to train: nothing at all, or nets held at zero."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.checks.gradient import gradient_of, is_frozen, reached_by_loss, used
from sslang.diagnostics import Diagnostic, Label, Span
from sslang.ir.graph import APPLY, WEIGHT
from sslang.ir.program import NetPlan, Program


def frozen(program: Program) -> Iterator[Diagnostic]:
    """E421 for a phase that trains nothing, E422 for what is frozen before it ever left zero."""
    begun: set[str] = set()
    anywhere = {name for phase in program.phases for name in gradient_of(phase)}
    for phase in program.phases:
        nodes = reached_by_loss(phase).values()
        averages = {net.name for net in phase.nets if net.kind == "average"}
        reached = {n.setting("net") for n in nodes if n.op in (APPLY, WEIGHT)}
        reached -= phase.fixed | averages
        trained = {name for name in reached if not is_frozen(phase, name)}
        if "loss" in phase.step.outputs and not reached:
            if not any(name not in anywhere for name in used(phase)):  # of those E402 tells
                yield _without_gradient(phase)
        elif reached and not trained:
            message = f"`freeze` leaves nothing for the phase `{phase.phase}` to train"
            hint = "freeze fewer nets, or only for a time: `until(1 epochs, f)`"
            yield Diagnostic("E421", message, phase.spans.get("freeze"), hint=hint)
        else:
            yield from _at_zero(phase, reached - begun)
            if trained and _stand_still(phase, trained, anywhere):
                yield _unchanged(phase)
        begun |= trained


def _stand_still(phase: Program, trained: set[str], anywhere: set[str]) -> bool:
    """Whether `features` apply nets, and none that the phase trains or lets follow one.

    Where no phase trains one, and no `freeze` holds it, E402 tells.
    """
    nodes = phase.features.nodes if phase.features is not None else ()
    applied = {n.setting("net") for n in nodes if n.op == APPLY}
    follows = {copy: source for average in phase.averages for copy, source in average.pairs}
    held = (n in anywhere or is_frozen(phase, n) or n in phase.fixed for n in applied)
    moves = any(n in trained or follows.get(n) in trained for n in applied)
    return bool(applied) and not moves and all(held)


def _unchanged(phase: Program) -> Diagnostic:
    message = f"`features` are after the phase `{phase.phase}` what they were before it: "
    hint = "evaluate what it trains, or freeze less, or for a time: `until(1 epochs, f)`"
    place = phase.spans.get("features")
    frozen_at = phase.spans.get("freeze")
    labels = (Label(frozen_at, "frozen here"),) if frozen_at is not None else ()
    return Diagnostic("E427", message + "it trains none of their nets", place, labels, hint)


def _without_gradient(phase: Program) -> Diagnostic:
    message = f"the phase `{phase.phase}` trains nothing: no net that its loss reads has a gradient"
    hint = "let the loss read a net that is neither an average, nor `fixed(...)`, nor cut"
    return Diagnostic("E421", message, phase.spans.get("loss"), hint=hint)


def _at_zero(phase: Program, reached: set[str]) -> Iterator[Diagnostic]:
    """E422 among what the loss reaches and no earlier phase has trained."""
    zero = [(w.name, "weight", w.span) for w in phase.weights if w.initialiser == "zeros"]
    zero += [(n.name, "net", n.span) for n in phase.nets if n.origin is None and _gives_zero(n)]
    for name, what, declared in zero:
        if name in reached and is_frozen(phase, name):
            yield _held(phase, name, what, declared)


def _gives_zero(net: NetPlan) -> bool:
    return any(arguments.get("init") == "zeros" for _, arguments in net.stages)


def _held(phase: Program, name: str, what: str, declared: Span) -> Diagnostic:
    place = phase.spans.get("freeze")
    labels = (Label(place, "frozen here"),) if place is not None else ()
    message = f"the {what} `{name}` begins at zero and is frozen, so it stays zero"
    return Diagnostic("E422", message, declared, labels, "train it, or let it begin elsewhere")
