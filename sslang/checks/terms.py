"""Terms of the loss that train nothing."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.checks.gradient import gradient_of, reached_by_loss, untrained
from sslang.diagnostics import Diagnostic, Label
from sslang.ir.graph import SCHEDULE, SIZE, Graph, Node
from sslang.ir.program import Program

_LINEAR = frozenset(("add", "subtract", "negative", "multiply", "divide", "mean", "sum"))
_NUMBERS = frozenset((SCHEDULE, SIZE))


def idle_terms(program: Program) -> Iterator[Diagnostic]:
    """E424 for a term of the loss that is cut as a whole, while others train.

    Where a net is starved by the cut, E402 says it, and this does not.
    """
    loss = program.step.outputs.get("loss")
    if loss is None or not gradient_of(program):
        return
    reached = reached_by_loss(program)
    cut = [n for n in terms(program.step) if n.op == "stop_grad" and n.name not in reached]
    if not cut or next(untrained(program), None) is not None:
        return
    place = program.spans.get("loss")
    for span in dict.fromkeys(n.span for n in cut):
        own = span is not None and place is not None and span.source is place.source
        labels = (Label(span, "cut here"),) if span is not None and not own else ()
        message = "this term of the loss is cut as a whole, so it trains nothing"
        yield Diagnostic("E424", message, span if own else place, labels,
                         "cut one side of it, or take it away")  # fmt: skip


def terms(graph: Graph) -> Iterator[Node]:
    """What the loss is a sum of: sums, means and multiples by numbers taken apart."""
    by_name = graph.by_name
    seen: set[str] = set()
    waiting = [graph.outputs["loss"]]
    while waiting:
        node = by_name[waiting.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        values = [i for i in node.references if by_name[i].op not in _NUMBERS]
        scaled = node.op in ("multiply", "divide") and len(values) > 1
        if node.op in _LINEAR and values and not scaled:
            waiting.extend(values)
        else:
            yield node
