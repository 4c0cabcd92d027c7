"""The momentum of averages: values that do not average."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.diagnostics import Diagnostic, Span
from sslang.ir.program import AveragePlan, Program
from sslang.ops.schedules import Ramp, Schedule

LOWEST = 0.5  # papers have 0.9 and more; BYOL's ablation of 0 is an ablation


def momenta(program: Program) -> Iterator[Diagnostic]:
    """E423 for an average that never moves, keeps next to nothing, or is let go along the way."""
    for average in program.averages:
        message, hint = _wrong(average)
        if message:
            yield Diagnostic("E423", message, _place(program, average), hint=hint)


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
