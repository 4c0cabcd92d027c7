"""Operators on the flow of data: gradients, averages, states, views and keys."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from sslang.bench.mutations.changes import (
    arguments,
    calls,
    enclosed,
    exchanged,
    losses,
    outside_views,
    replaced,
    terms,
)
from sslang.bench.mutations.mutant import Body, Change, Edit, average_of, line_removed
from sslang.syntax import tree

# --- gradient --------------------------------------------------------------------------------


def drop_stop_grad(body: Body) -> Iterator[Change]:
    """`stop_grad(x)` as `x`."""
    for spot, call in calls(body.spots, "stop_grad"):
        yield replaced(spot, enclosed(call.arguments[0].value))


def detach_loss_term(body: Body) -> Iterator[Change]:
    """A term of a loss, or all of it, cut."""
    for whole in losses(body):
        for spot, _, _ in terms(whole):
            if not isinstance(spot.node, tree.Number):
                yield replaced(spot, f"stop_grad({spot.node.span.text})")


def average_to_online(body: Body) -> Iterator[Change]:
    """Where a momentum average is applied, the net that it follows."""
    for name, statement in body.statements:
        if isinstance(statement, tree.Declaration):
            source = average_of(statement.value)
            if source is None:
                continue
            for spot in body.spots:
                used = isinstance(spot.node, tree.Name) and spot.node.name == name
                if used and spot.statement != name:
                    yield replaced(spot, enclosed(source))


def declare_no_average(body: Body) -> Iterator[Change]:
    """`ema(online, momentum)` declared as plain `online`."""
    for spot, call in calls(body.spots, "ema"):
        yield replaced(spot, enclosed(call.arguments[0].value))


def complement_momentum(body: Body) -> Iterator[Change]:
    """1 - m for m, the other convention of momentum."""
    for spot in body.spots:
        match spot.node:
            case tree.Declaration("param", (tree.Target("momentum"),), tree.Number(value) as given):
                yield replaced(spot, f"{1 - value:.6g}", given)
            case tree.Declaration(
                "param",
                (tree.Target("momentum"),),
                tree.Call(_, (tree.Argument(tree.Arrow(a, b)), *_)),
            ) if isinstance(a, tree.Number) and isinstance(b, tree.Number):
                edits = tuple(Edit(n.span.start, n.span.end, f"{1 - n.value:.6g}") for n in (a, b))
                yield Change(spot.statement, edits)


# --- state -----------------------------------------------------------------------------------


def _writes(body: Body) -> Iterator[tuple[str, tree.Write]]:
    for name, statement in body.statements:
        if isinstance(statement, tree.Write):
            yield name, statement


def drop_write(body: Body) -> Iterator[Change]:
    """A state that nothing writes."""
    for name, write in _writes(body):
        yield Change(name, (line_removed(body.source, write.span),))


def duplicate_write(body: Body) -> Iterator[Change]:
    """A state that is written twice in the same way."""
    for name, write in _writes(body):
        yield Change(name, (Edit(write.span.end, write.span.end, f"\n{write.span.text}"),))


def swap_write_target(body: Body) -> Iterator[Change]:
    """Another state as the target; two writes with their targets exchanged; or sides exchanged."""
    states = body.names("queue", "bank", "state", "weight")
    writes = list(_writes(body))
    for name, write in writes:
        start = write.target.span.start
        at = Edit(start, start + len(write.target.name), "")
        for other in states:
            if other != write.target.name:
                yield Change(name, (Edit(at.start, at.end, other),))
        if isinstance(write.value, tree.Name | tree.Index):
            value, target = write.value.span.text, write.target.span.text
            yield Change(name, (Edit(write.span.start, write.span.end, f"{value} <- {target}"),))
    for (name, one), (_, two) in pairwise(writes):
        pairs = ((one, two.target.name), (two, one.target.name))
        edits = (
            Edit(w.target.span.start, w.target.span.start + len(w.target.name), n) for w, n in pairs
        )
        yield Change(f"{name} and the next", tuple(edits))


def exchange_weights(body: Body) -> Iterator[Change]:
    """`m * old + (1 - m) * new` with its weights exchanged."""
    for name, write in _writes(body):
        for spot in body.spots:
            match spot.node:
                case tree.Binary("+", tree.Binary("*", a, _), tree.Binary("*", b, _)) if (
                    write in spot.above and spot.statement == name
                ):
                    yield Change(name, exchanged(a, b))


# --- views and keys --------------------------------------------------------------------------


def exchange_view(body: Body) -> Iterator[Change]:
    """One use of a view with another view in its place."""
    views = body.names("view")
    for spot in outside_views(body):
        if isinstance(spot.node, tree.Name) and spot.node.name in views:
            if spot.node.name in spot.bound:
                continue
            for other in views:
                if other != spot.node.name:
                    yield replaced(spot, other)


def exchange_key(body: Body) -> Iterator[Change]:
    """One use of a generator's name with the other generator's: `p[v], t[v]` for `p[v], t[w]`."""
    for spot in body.spots:
        match spot.node:
            case tree.Index(_, (tree.Name(name),)):
                inner = [n for n in spot.above if isinstance(n, tree.Comprehension)]
                bound = [g.name for n in inner for g in n.generators]
                for other in bound if name in bound else ():
                    if other != name:
                        assert isinstance(spot.node, tree.Index)
                        yield replaced(spot, other, spot.node.items[0])


def drop_condition(body: Body) -> Iterator[Change]:
    """A comprehension without its `if`."""
    for spot in body.spots:
        node = spot.node
        if isinstance(node, tree.Comprehension) and node.condition is not None:
            last = node.generators[-1].over.span.end
            yield Change(spot.statement, (Edit(last, node.condition.span.end, ""),))


def drop_where(body: Body) -> Iterator[Change]:
    """A reduction without its `where`, which leaves entries out."""
    for spot, argument in arguments(body.spots):
        if argument.name == "where":
            start = body.text.rindex(",", 0, argument.span.start)
            yield Change(spot.statement, (Edit(start, argument.span.end, ""),))
