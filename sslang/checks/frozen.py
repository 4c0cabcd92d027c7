"""What `freeze` leaves to train: nothing at all, or nets held at zero."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.checks.gradient import is_frozen, reached_by_loss
from sslang.diagnostics import Diagnostic, Label, Span
from sslang.ir.graph import APPLY, WEIGHT
from sslang.ir.program import NetPlan, Program


def frozen(program: Program) -> Iterator[Diagnostic]:
    """E421 for a phase that trains nothing, E422 for what is frozen before it ever left zero."""
    begun: set[str] = set()
    for phase in program.phases:
        nodes = reached_by_loss(phase).values()
        reached = {n.setting("net") for n in nodes if n.op in (APPLY, WEIGHT)} - phase.fixed
        trained = {name for name in reached if not is_frozen(phase, name)}
        if reached and not trained:
            message = f"`freeze` leaves nothing for the phase `{phase.phase}` to train"
            hint = "freeze fewer nets, or only for a time: `until(1 epochs, f)`"
            yield Diagnostic("E421", message, phase.spans.get("freeze"), hint=hint)
        else:
            yield from _at_zero(phase, reached - begun)
        begun |= trained


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
