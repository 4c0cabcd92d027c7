"""Cosines of which one side alone was normalised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.checks.gradient import reached_by_loss
from sslang.checks.lengths import Length, measured, row_lengths
from sslang.checks.products import products, rows_read
from sslang.diagnostics import Diagnostic, Label
from sslang.ir.graph import READ, SCHEDULE, Graph, Node
from sslang.ir.program import Program

_ENDS = frozenset(("log_softmax", "exp"))
_PASSES = frozenset(("concat", "index", "stack", "transpose"))
_SCALES = frozenset(("multiply", "divide"))


def half_cosines(program: Program) -> Iterator[Diagnostic]:
    """E431 for rows of a net, of any length, whose products with rows of length 1 are divided by a
    temperature and go into a softmax.

    Only of rows that are trained: they can lower the loss by growing, as if the temperature fell.
    Rows that a queue or bank is written with are told of where it is declared.
    """
    graph = program.step
    by_name = graph.by_name
    lengths = row_lengths(program)
    told = {_root(by_name, write.value) for write in graph.writes.values()}
    told |= {_root(by_name, x) for x in (measured(n, by_name) for n in graph.nodes) if x}
    users = _users(graph)
    reached = reached_by_loss(program)
    for product in products(graph):
        for free, unit in ((product.left, product.right), (product.right, product.left)):
            root = _root(by_name, free)
            uneven = (lengths[free], lengths[unit]) == (Length.FREE, Length.UNIT)
            if free not in reached or by_name[root].op == READ:
                continue
            if uneven and root not in told and _is_tempered(by_name, users, product.node):
                told.add(root)
                yield _half(program, by_name[root], product.node)


def _half(program: Program, node: Node, product: Node) -> Diagnostic:
    loss = program.spans.get("loss")
    own = node.span is not None and loss is not None and node.span.source is loss.source
    labels = (Label(product.span, "compared here"),) if product.span is not None else ()
    message = "these rows have any length, and are compared with rows of length 1"
    return Diagnostic("E431", message, node.span if own else loss, labels,
                      "write `l2_normalize(...)` around them")  # fmt: skip


def _root(by_name: Mapping[str, Node], name: str) -> str:
    """The node that made the rows, before they were cut, arranged or chosen."""
    while rows := rows_read(by_name[name], by_name):
        name = rows[0]
    return name


def _users(graph: Graph) -> dict[str, list[Node]]:
    found: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.references:
            found.setdefault(name, []).append(node)
    return found


def _is_tempered(
    by_name: Mapping[str, Node], users: Mapping[str, list[Node]], product: Node
) -> bool:
    """Whether the product is multiplied or divided by a number, and then exponentiated."""
    seen: set[tuple[str, bool]] = set()
    waiting = [(product, False)]
    while waiting:
        node, scaled = waiting.pop()
        if (node.name, scaled) in seen:
            continue
        seen.add((node.name, scaled))
        for user in users.get(node.name, ()):
            others = [by_name[i] for i in user.references if i != node.name]
            number = all(other.op == SCHEDULE for other in others)
            if user.op in _ENDS and scaled:
                return True
            if user.op in _PASSES:
                waiting.append((user, scaled))
            elif user.op in _SCALES and number and len(set(user.inputs)) == 2:
                waiting.append((user, True))
    return False
