"""Averages: momenta that do not average, and averages that no loss reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.diagnostics import Diagnostic, Span
from sslang.ir.graph import APPLY, Graph
from sslang.ir.program import AveragePlan, Program
from sslang.model.resolve import Entry, Resolved
from sslang.ops.schedules import Ramp, Schedule
from sslang.syntax import tree

_DEPTH = 50  # of branches of branches
LOWEST = 0.5  # papers have 0.9 and more; BYOL's ablation of 0 is an ablation


def momenta(program: Program) -> Iterator[Diagnostic]:
    """E423 for an average that never moves, keeps next to nothing, or is let go along the way."""
    for average in program.averages:
        message, hint = _wrong(average)
        if message:
            place = program.spans.get(f"{average.branch}.momentum", _place(program, average))
            yield Diagnostic("E423", message, place, hint=hint)


def only_evaluated(program: Program, resolved: Resolved) -> Iterator[Diagnostic]:
    """E438 for an average of several nets that `features` alone reads, where the target is of what
    it follows, cut.

    An average that is kept to be evaluated is of an encoder. The heads of this one give nothing,
    so the loss was meant to compare with them.
    """
    if program.features is None or "loss" not in program.step.outputs:
        return
    evaluated = {n.setting("net") for n in program.features.nodes if n.op == APPLY}
    applied = {n.setting("net") for n in program.step.nodes if n.op == APPLY}
    entries = resolved.namespace.entries
    for average in program.averages:
        name = average.branch
        copies, sources = ({pair[at] for pair in average.pairs} for at in (0, 1))
        if not copies & evaluated or copies & applied or name not in entries:
            continue
        if _is_pipeline(entries[name].value, entries) and _behind_cuts(program.step) & sources:
            message = f"the average `{name}` is evaluated, and no loss compares with it: the target"
            hint = f"apply `{name}` to the target's view"
            yield Diagnostic("E438", f"{message} is of the net that it follows",
                             _place(program, average), hint=hint)  # fmt: skip


def _is_pipeline(node: tree.Node, entries: Mapping[str, Entry], depth: int = 0) -> bool:
    """Whether a branch is of several nets, by whatever names."""
    if depth > _DEPTH:
        return False
    match node:
        case tree.Binary("|", _, _):
            return True
        case tree.With(value, _) | tree.Call(tree.Name("ema"), (tree.Argument(value, None), *_)):
            return _is_pipeline(value, entries, depth + 1)
        case tree.Name(name) if name in entries and entries[name].kind == "branch":
            return _is_pipeline(entries[name].value, entries, depth + 1)
    return False


def _behind_cuts(graph: Graph) -> set[str]:
    """The nets that the loss reads behind a `stop_grad`."""
    by_name = graph.by_name
    found: set[str] = set()
    seen: set[tuple[str, bool]] = set()
    waiting = [(graph.outputs["loss"], False)]
    while waiting:
        name, cut = waiting.pop()
        if (name, cut) in seen:
            continue
        seen.add((name, cut))
        node = by_name[name]
        if node.op == APPLY and cut:
            found.add(node.setting("net"))
        waiting.extend((i, cut or node.op == "stop_grad") for i in node.references)
    return found


def _wrong(average: AveragePlan) -> tuple[str, str]:
    momentum, name = average.momentum, average.branch
    if isinstance(momentum, Ramp) and momentum.start > momentum.end:
        turned = f"{momentum.shape}({momentum.end:g} -> {momentum.start:g})"
        message = f"the momentum of `{name}` falls from {momentum.start:g} to {momentum.end:g}"
        return message, f"an average comes to rest at the end: `{turned}`"
    ends = momentum.ends() if isinstance(momentum, Schedule) else (float(momentum),)
    if min(ends) == 1:
        return f"`{name}` never moves: its momentum is 1", "write a momentum below 1, such as 0.99"
    if max(ends) < LOWEST:
        share = f"{1 - max(ends):.3g}".rstrip("0").rstrip(".")
        message = f"each step `{name}` takes {share} of its net: it is no average to speak of"
        return message, "the momentum is the share that is kept, such as 0.99"
    return "", ""


def _place(program: Program, average: AveragePlan) -> Span | None:
    copies = {copy for copy, _ in average.pairs}
    declared = next((n.span for n in program.nets if n.name in copies), None)
    return program.spans.get(average.branch.split(".")[0], declared)
