"""Operators on nets, losses, shapes and signs."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.bench.mutations.changes import (
    arguments,
    binaries,
    calls,
    enclosed,
    exchanged,
    kept,
    losses,
    outside_views,
    replaced,
    terms,
)
from sslang.bench.mutations.mutant import Body, Change, Spot
from sslang.syntax import tree

TEMPERATURES = ("temperature", "tau", "teacher_tau", "epsilon")
_AXES = {"0": "1", "1": "0", "-1": "0"}


# --- nets ------------------------------------------------------------------------------------


def remove_head(body: Body) -> Iterator[Change]:
    """A head (predictor, projector) taken out of a pipeline, or its argument in its place."""
    heads = body.names("head")
    for spot in outside_views(body):
        match spot.node:
            case tree.Call(function, (tree.Argument(value, None),)) if _root(function) in heads:
                yield replaced(spot, enclosed(value))
            case tree.Binary("|", _, right) if _root(right) in heads:
                assert isinstance(spot.node, tree.Binary)
                yield replaced(spot, body.around(spot.node, "|")[0])


def _root(node: tree.Node) -> str:
    """The name of a net, or of the net that a part or a member is taken from."""
    match node:
        case tree.Name(name):
            return name
        case tree.Index(value, _) | tree.Attribute(value, _):
            return _root(value)
    return ""


def drop_with(body: Body) -> Iterator[Change]:
    """A branch or state without its settings."""
    for spot in body.spots:
        if isinstance(spot.node, tree.With):
            yield replaced(spot, body.around(spot.node, "with")[0])


# --- losses ----------------------------------------------------------------------------------


def drop_loss_term(body: Body) -> Iterator[Change]:
    """One term of a loss taken away: the variance term, the covariance term, one direction."""
    for whole in losses(body):
        for _, holder, stays in terms(whole):
            if holder is not None and isinstance(holder.node, tree.Binary):
                yield kept(body, holder, holder.node, stays)


def remove_variance(body: Body) -> Iterator[Change]:
    """A division by a standard deviation taken away."""
    for spot, node in binaries(outside_views(body), "/"):
        if "variance(" in node.right.span.text:
            yield replaced(spot, body.around(node, "/")[0])


def remove_centre(body: Body) -> Iterator[Change]:
    """`x - centre` and `x - mean(x)` as `x`."""
    states = body.names("state")
    for spot, node in binaries(outside_views(body), "-"):
        match node.right:
            case tree.Name(name) if name in states:
                yield replaced(spot, body.around(node, "-")[0])
            case tree.Call(tree.Name("mean")):
                yield replaced(spot, body.around(node, "-")[0])


def remove_sinkhorn(body: Body) -> Iterator[Change]:
    """Each row's own softmax, where rows share the columns out."""
    for spot, call in calls(body.spots, "sinkhorn"):
        yield replaced(spot, f"softmax({call.arguments[0].value.span.text})")


def drop_normalize(body: Body) -> Iterator[Change]:
    """`l2_normalize(x)` as `x`, in calls and in pipelines."""
    for spot, call in calls(outside_views(body), "l2_normalize"):
        yield replaced(spot, enclosed(call.arguments[0].value))
    for spot, node in binaries(outside_views(body), "|"):
        if isinstance(node.right, tree.Name) and node.right.name == "l2_normalize":
            yield replaced(spot, body.around(node, "|")[0])


def drop_temperature(body: Body) -> Iterator[Change]:
    """`x / t` as `x`, and 1 where a temperature is passed on."""
    for spot, node in binaries(outside_views(body), "/"):
        named = isinstance(node.right, tree.Name) and node.right.name in TEMPERATURES
        if named or (isinstance(node.right, tree.Number) and node.right.value < 1):
            yield replaced(spot, body.around(node, "/")[0])
    for spot in outside_views(body):
        match spot.node:
            case tree.Argument(tree.Name(name)) if name in TEMPERATURES:
                assert isinstance(spot.node, tree.Argument)
                yield replaced(spot, "1", spot.node.value)


def swap_arguments(body: Body) -> Iterator[Change]:
    """The first two arguments of a function exchanged: query and key, logits and target."""
    nets = body.names("encoder", "head", "branch", "average")
    for spot in outside_views(body):
        match spot.node:
            case tree.Call(
                tree.Name(name), (tree.Argument(a, None), tree.Argument(b, None), *_)
            ) if name not in nets and not _describes(spot):
                if a != b and not isinstance(a, tree.Number):
                    yield Change(spot.statement, exchanged(a, b))


def _describes(spot: Spot) -> bool:
    """Whether it stands in a declaration or a recipe, among the arguments of nets and the like."""
    return isinstance(spot.above[0], tree.Declaration) or spot.statement.startswith("recipe ")


# --- shapes and signs ------------------------------------------------------------------------


def drop_transpose(body: Body) -> Iterator[Change]:
    """`a @ b.T` as `a @ b`, and a plain side of a product transposed."""
    for spot, node in binaries(body.spots, "@"):
        for side in (node.left, node.right):
            if isinstance(side, tree.Attribute) and side.name == "T":
                yield replaced(spot, side.value.span.text, side)
            else:
                yield replaced(spot, f"{side.span.text}.T", side)


def swap_product(body: Body) -> Iterator[Change]:
    """`a @ b` as `b @ a`."""
    for spot, node in binaries(body.spots, "@"):
        yield Change(spot.statement, exchanged(node.left, node.right))


def change_axis(body: Body) -> Iterator[Change]:
    """Axis 0 for 1, 1 for 0, 0 for the last."""
    for spot, argument in arguments(body.spots):
        if argument.name != "axis":
            continue
        items = (
            argument.value.items if isinstance(argument.value, tree.ListOf) else (argument.value,)
        )
        for item in items:
            if item.span.text in _AXES:
                yield replaced(spot, _AXES[item.span.text], item)


def drop_sign(body: Body) -> Iterator[Change]:
    """`-x` as `x`."""
    for spot in outside_views(body):
        if isinstance(spot.node, tree.Unary) and spot.node.operator == "-":
            yield replaced(spot, body.text[spot.node.span.start + 1 : spot.node.span.end])


def minus_to_plus(body: Body) -> Iterator[Change]:
    """`a - b` as `a + b`."""
    for spot, node in binaries(outside_views(body), "-"):
        left, right = body.around(node, "-")
        yield replaced(spot, f"{left} + {right}")
