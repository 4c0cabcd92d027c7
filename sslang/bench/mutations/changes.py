"""Edits that several operators are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sslang.bench.mutations.mutant import Body, Change, Edit, Spot
from sslang.syntax import tree

_LOOSE = (tree.Binary, tree.Unary, tree.Conditional, tree.Range, tree.With, tree.Then, tree.Arrow)


def replaced(spot: Spot, text: str, node: tree.Node | None = None) -> Change:
    """The node of the spot (or `node`, which is inside it) written as `text`."""
    span = (node or spot.node).span
    return Change(spot.statement, (Edit(span.start, span.end, text),))


def enclosed(node: tree.Node) -> str:
    """The text of a node, in brackets where an operator beside it could tear it apart."""
    return f"({node.span.text})" if isinstance(node, _LOOSE) else node.span.text


def exchanged(one: tree.Node, two: tree.Node) -> tuple[Edit, Edit]:
    """Each of two nodes in the place of the other."""
    return (
        Edit(one.span.start, one.span.end, enclosed(two)),
        Edit(two.span.start, two.span.end, enclosed(one)),
    )


def calls(spots: Iterable[Spot], *names: str) -> Iterator[tuple[Spot, tree.Call]]:
    """Calls of functions, primitives or nets of these names."""
    for spot in spots:
        match spot.node:
            case tree.Call(tree.Name(name)) if name in names:
                assert isinstance(spot.node, tree.Call)
                yield spot, spot.node


def binaries(spots: Iterable[Spot], *signs: str) -> Iterator[tuple[Spot, tree.Binary]]:
    for spot in spots:
        if isinstance(spot.node, tree.Binary) and spot.node.operator in signs:
            yield spot, spot.node


def arguments(spots: Iterable[Spot]) -> Iterator[tuple[Spot, tree.Argument]]:
    """Arguments that have a keyword."""
    for spot in spots:
        if isinstance(spot.node, tree.Argument) and spot.node.name is not None:
            yield spot, spot.node


def kept(body: Body, spot: Spot, node: tree.Binary, side: str) -> Change:
    """Of `a + b` one side alone; of `a - b` the right side keeps its sign."""
    left, right = body.around(node, node.operator)
    text = left if side == "left" else f"-{right}" if node.operator == "-" else right
    return replaced(spot, text)


def outside_views(body: Body) -> list[Spot]:
    """All spots but those of chains of views."""
    views = set(body.names("view"))
    return [s for s in body.spots if s.statement.split(".")[-1] not in views]


def losses(body: Body) -> Iterator[Spot]:
    """The right sides of every `loss`, and what the spec's own functions called there return."""
    functions = {n: s for n, s in body.statements if isinstance(s, tree.Function)}
    for name, statement in body.statements:
        if name.split(".")[-1] != "loss" or not isinstance(statement, tree.Binding):
            continue
        yield Spot(name, statement.value, (statement,))
        for called in sorted(_names(statement.value) & functions.keys()):
            function = functions[called]
            if not isinstance(function.body, tree.Block):
                yield Spot(called, function.body, (function,))
                continue
            for inner in function.body.statements:
                if isinstance(inner, tree.Return):
                    yield Spot(called, inner.value, (function, inner))


def _names(node: tree.Node) -> set[str]:
    own = {node.name} if isinstance(node, tree.Name) else set()
    return own.union(*(_names(child) for child in node.children()))


def terms(spot: Spot) -> Iterator[tuple[Spot, Spot | None, str]]:
    """The terms of a sum, those of a scaled or negated sum with them.

    Each with the binary node that can lose it, and the side of it that would stay; the first
    term of a sum is lost by the innermost one. None where the term stands alone.
    """
    yield from _terms(spot, None, "")


def _terms(spot: Spot, holder: Spot | None, stays: str) -> Iterator[tuple[Spot, Spot | None, str]]:
    node = spot.node
    above = (*spot.above, node)
    match node:
        case tree.Binary("+" | "-", left, right):
            yield from _terms(Spot(spot.statement, left, above), spot, "right")
            yield from _terms(Spot(spot.statement, right, above), spot, "left")
        case tree.Binary("*" | "/", left, right) if _is_sum(left) and not _calls(right):
            yield from _terms(Spot(spot.statement, left, above), None, "")
        case tree.Binary("*", left, right) if _is_sum(right) and not _calls(left):
            yield from _terms(Spot(spot.statement, right, above), None, "")
        case tree.Unary("-", value):
            yield from _terms(Spot(spot.statement, value, above), holder, stays)
        case _:
            yield spot, holder, stays


def _is_sum(node: tree.Node) -> bool:
    if isinstance(node, tree.Unary):
        return _is_sum(node.value)
    return isinstance(node, tree.Binary) and node.operator in ("+", "-")


def _calls(node: tree.Node) -> bool:
    """Whether something is applied in it: then a sum beside it is a coefficient."""
    return isinstance(node, tree.Call) or any(_calls(child) for child in node.children())
