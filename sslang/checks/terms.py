"""Terms of the loss that train nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.checks.gradient import gradient_of, reached_by_loss, untrained
from sslang.diagnostics import Diagnostic, Label
from sslang.ir.graph import Node
from sslang.ir.program import Program

_LINEAR = frozenset(("add", "subtract", "negative", "multiply", "divide", "mean", "sum"))


def idle_terms(program: Program) -> Iterator[Diagnostic]:
    """E424 for a term of the loss that is cut as a whole, while others train.

    Where a net is starved by the cut, E402 says it, and this does not.
    """
    loss = program.step.outputs.get("loss")
    if loss is None or not gradient_of(program):
        return
    by_name = program.step.by_name
    reached = reached_by_loss(program)
    cut = [n for n in _terms(by_name, loss) if n.op == "stop_grad" and n.name not in reached]
    if not cut or next(untrained(program), None) is not None:
        return
    place = program.spans.get("loss")
    for span in dict.fromkeys(n.span for n in cut):
        own = span is not None and place is not None and span.source is place.source
        labels = (Label(span, "cut here"),) if span is not None and not own else ()
        message = "this term of the loss is cut as a whole, so it trains nothing"
        yield Diagnostic("E424", message, span if own else place, labels,
                         "cut one side of it, or take it away")  # fmt: skip


def _terms(by_name: Mapping[str, Node], loss: str) -> Iterator[Node]:
    """What the loss is a sum of: sums, means and multiples by numbers taken apart."""
    seen: set[str] = set()
    waiting = [loss]
    while waiting:
        node = by_name[waiting.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        scaled = node.op in ("multiply", "divide") and len(node.references) > 1
        if node.op in _LINEAR and not scaled:
            waiting.extend(node.references)
        else:
            yield node
