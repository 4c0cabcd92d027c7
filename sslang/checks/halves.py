"""Products of rows under a temperature, of which one side or none was normalised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.checks.lengths import Length, ends_in_norm, measured, row_lengths
from sslang.checks.products import products, rows_read
from sslang.diagnostics import Diagnostic, Label
from sslang.ir.graph import READ, SCHEDULE, Graph, Node
from sslang.ir.program import Program
from sslang.ops.schedules import ends_of

_ENDS = frozenset(("log_softmax", "exp"))
_PASSES = frozenset(("concat", "index", "stack", "transpose"))
_SCALES = frozenset(("multiply", "divide"))
SHARP = 1.0  # a temperature below it is meant for cosines, which lie in -1..1


def half_cosines(program: Program) -> Iterator[Diagnostic]:
    """E431 for rows of a net, of any length, whose products are divided by a temperature and go
    into a softmax: products with rows of length 1; and with others of any length, where the
    temperature is below `SHARP`. By growing they lower the loss as a falling temperature would;
    and where they are cut, each row is compared at a temperature of its own.

    Rows that a queue or bank is written with are told of where it is declared. A sketch, without
    recipe or `features`, may compare rows of any length with each other, and so may what compares
    rows that come out of layer norms, whose lengths hardly differ.
    """
    graph = program.step
    by_name = graph.by_name
    lengths = row_lengths(program)
    held = {s.name for s in program.states if s.kind in ("queue", "bank")}
    told = {_root(by_name, w.value) for name, w in graph.writes.items() if name in held}
    measures = {_root(by_name, x) for x in (measured(n, by_name) for n in graph.nodes) if x}
    users = _users(graph)
    is_sketch = program.spec.recipe is None or program.features is None
    reported: set[str] = set()
    for product in products(graph):
        factor = _sharpened(by_name, users, product.node)
        if factor is None:
            continue
        for free, other in ((product.left, product.right), (product.right, product.left)):
            root = _root(by_name, free)
            if lengths[free] is not Length.FREE or by_name[root].op == READ or root in measures:
                continue
            half = lengths[other] is Length.UNIT and root not in told
            bare = lengths[other] is Length.FREE and factor > 1 / SHARP
            sides = (root, _root(by_name, other))
            bare = bare and not all(ends_in_norm(program, by_name[side]) for side in sides)
            if root not in reported and (half or (bare and not is_sketch)):
                reported |= {root, _root(by_name, other)} if bare else {root}
                yield _uneven(program, by_name[root], product.node, half)


def _uneven(program: Program, node: Node, product: Node, half: bool) -> Diagnostic:
    loss = program.spans.get("loss")
    own = node.place is not None and loss is not None and node.place.source is loss.source
    labels = (Label(product.place, "compared here"),) if product.place is not None else ()
    message = "these rows have any length, and are compared "
    message += "with rows of length 1" if half else "at a temperature: they are not normalised"
    return Diagnostic("E431", message, node.place if own else loss, labels,
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


def _sharpened(
    by_name: Mapping[str, Node], users: Mapping[str, list[Node]], product: Node
) -> float | None:
    """What the product is multiplied by before it is exponentiated, at the most; None if nothing
    or if it is not."""
    found: list[float] = []
    seen: set[tuple[str, bool]] = set()
    waiting = [(product, 1.0, False)]
    while waiting:
        node, factor, scaled = waiting.pop()
        if (node.name, scaled) in seen:
            continue
        seen.add((node.name, scaled))
        for user in users.get(node.name, ()):
            if user.op in _ENDS and scaled:
                found.append(factor)
            elif user.op in _PASSES:
                waiting.append((user, factor, scaled))
            elif user.op in _SCALES:
                by = _number(by_name, user, node.name)
                if by:
                    waiting.append(
                        (user, factor * by if user.op == "multiply" else factor / by, True)
                    )
    return max(found, default=None)


def _number(by_name: Mapping[str, Node], node: Node, scaled: str) -> float:
    """The number that a node multiplies or divides by, the one of a schedule that sharpens most;
    0 where it is none."""
    other = node.inputs[1] if node.inputs[0] == scaled else node.inputs[0]
    if isinstance(other, str) and by_name[other].op == SCHEDULE:
        ends = [abs(e) for e in ends_of(by_name[other].setting("schedule"))]
        return max(ends) if node.op == "multiply" else min(ends)
    return abs(float(other)) if isinstance(other, int | float) else 0.0
