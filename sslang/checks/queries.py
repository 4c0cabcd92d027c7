"""Queues that hold queries where their negatives should be keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.checks.gradient import reached_by_loss
from sslang.checks.products import SAME, Product, Uses, held_rows, products, uses_of
from sslang.diagnostics import Diagnostic, Label
from sslang.ir.graph import APPLY, MEMBER, Node
from sslang.ir.program import Program, StatePlan
from sslang.types import TensorType


def queues_of_queries(program: Program) -> Iterator[Diagnostic]:
    """E433 for a queue of the trained encoder's rows, where the positives are an average's.

    It takes all of this: the queue is written with the very rows that are compared with it, a
    gradient enters them, and the same rows are compared with cut rows of an average.
    """
    queues = [s for s in program.states if s.kind == "queue" and s.name in program.step.writes]
    if not queues or not program.averages:
        return
    held, compared = held_rows(program), list(products(program.step))
    for queue in queues:
        yield from _queries(program, queue, uses_of(queue, held, compared), compared)


def _queries(
    program: Program, state: StatePlan, uses: Uses, compared: list[Product]
) -> Iterator[Diagnostic]:
    by_name = program.step.by_name
    written = _bare(by_name, program.step.writes[state.name].value)
    if not any(_bare(by_name, other) == written for _, other in uses):
        return
    reached = reached_by_loss(program)
    averaged = _averaged(program)
    if written in averaged or written not in reached:
        return
    for product in compared:
        for own, other in ((product.left, product.right), (product.right, product.left)):
            if _bare(by_name, own) == written and other in averaged and other not in reached:
                key = by_name[_bare(by_name, other)]
                labels = (Label(key.place, "these are the keys"),) if key.place else ()
                message = f"the queue `{state.name}` holds queries: it is written with what it is "
                yield Diagnostic("E433", message + "compared with", state.span, labels,
                                 f"write the rows of the average: `{state.name} <- k`")  # fmt: skip
                return


def _bare(by_name: Mapping[str, Node], name: str) -> str:
    """The node behind stop_grad and permutations."""
    while by_name[name].op in SAME - {MEMBER}:
        name = by_name[name].references[0]
    return name


def _averaged(program: Program) -> set[str]:
    """Nodes that depend on what an average gives, other than by integers."""
    averages = {net.name for net in program.nets if net.kind == "average"}
    found: set[str] = set()
    for node in program.step.nodes:
        own = node.op == APPLY and node.setting("net") in averages
        number = isinstance(node.type, TensorType) and node.type.dtype == "float"
        if own or (number and found.intersection(node.references)):
            found.add(node.name)
    return found
