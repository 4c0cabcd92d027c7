"""Axes of places: which view's grid or tokens an axis is of, and integers that name places."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.checks.ancestors import views_of
from sslang.checks.products import SAME
from sslang.diagnostics import Diagnostic, Label
from sslang.ir.graph import APPLY, FIELD, MEMBER, Graph, Node
from sslang.ir.program import Program
from sslang.types import TensorType

Axes = tuple[str, ...]  # of each axis what its places are of; empty where that is not known

_ALIKE = frozenset((
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "exp", "log", "sqrt",
    "abs", "negative", "where", "equal", "log_softmax", "less", "greater",
))  # fmt: skip
_REDUCING = frozenset(("sum", "mean", "max", "min", "argmax", "variance", "log_sum_exp"))


def grids(program: Program) -> Iterator[Diagnostic]:
    """E449 for places of one grid, picked by ones and zeros, that meet the places of another."""
    if not any(node.op == "one_hot" for node in program.step.nodes):
        return
    finder = _Finder(program.step)
    place = program.spans.get("loss")
    for node in program.step.nodes:
        finder.add(node)
        if node.op != "matmul" or len(node.references) != 2:
            continue
        left, right = node.references
        one, other = finder.axes[left][-1], finder.axes[right][-2]
        if left in finder.picking and one and other and one != other:
            own = node.span is not None and place is not None and node.span.source is place.source
            message = f"this picks places of `{one}`, and what it is multiplied with has those of "
            labels = (Label(node.span, "here"),) if node.span is not None and not own else ()
            yield Diagnostic("E449", f"{message}`{other}`", node.span if own else place, labels,
                             "look at the axis of the `argmax`, and for a `.T`")  # fmt: skip


class _Finder:
    """Goes through a graph in order, and keeps what each axis and each integer is of."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.axes: dict[str, Axes] = {}
        self.named: dict[str, str] = {}  # of integers the places that they name
        self.picking: set[str] = set()

    def add(self, node: Node) -> None:
        if not isinstance(node.type, TensorType):
            return
        found = self._of(node)
        fits = len(found) == node.type.rank
        self.axes[node.name] = found if fits else ("",) * node.type.rank

    def _of(self, node: Node) -> Axes:
        known = [self.axes.get(name, ()) for name in node.references]
        if node.op in (APPLY, FIELD, MEMBER):
            return self._given(node)
        if not known:
            return ()
        if node.op in SAME:
            self._follow(node)
            return known[0]
        match node.op:
            case "transpose":
                self.picking |= {node.name} if node.references[0] in self.picking else set()
                return (*known[0][:-2], known[0][-1], known[0][-2])
            case "matmul" if len(known) == 2:
                return (*known[0][:-1], known[1][-1])
            case "flatten":
                return _flat(node, known[0])
            case "one_hot":
                self.picking.add(node.name)
                return (*known[0], self.named.get(node.references[0], ""))
        if node.op in _REDUCING:
            return self._reduced(node, known[0])
        if node.op in _ALIKE:
            return _broadcast(known)
        return ()

    def _follow(self, node: Node) -> None:
        source = node.references[0]
        if source in self.picking:
            self.picking.add(node.name)
        if source in self.named:
            self.named[node.name] = self.named[source]

    def _given(self, node: Node) -> Axes:
        """Of what a net gives: the axes between rows and width are places of its one view."""
        assert isinstance(node.type, TensorType)
        inner = node.type.rank - 2
        source = self.graph.by_name[node.references[0]] if node.references else None
        if inner < 1 or source is None:
            return ()
        if isinstance(source.type, TensorType) and node.op == APPLY:
            given = self.axes.get(source.name, ())
            return given if len(given) == node.type.rank else ()
        views = sorted(views_of(self.graph.by_name, node))
        if len(views) != 1:
            return ()
        numbers = ("",) if inner == 1 else tuple(f"[{at}]" for at in range(inner))
        return ("", *(f"{views[0]}{number}" for number in numbers), "")

    def _reduced(self, node: Node, axes: Axes) -> Axes:
        given = node.setting("axis")
        if given is None or not axes:
            return ()
        gone = {a % len(axes) for a in ((given,) if isinstance(given, int) else given)}
        if node.op == "argmax":
            self.named[node.name] = axes[min(gone)]
        if node.setting("keep"):
            return tuple("" if at in gone else axis for at, axis in enumerate(axes))
        return tuple(axis for at, axis in enumerate(axes) if at not in gone)


def _flat(node: Node, axes: Axes) -> Axes:
    """Axes made into one are places of the view that they were all of."""
    first, last = node.setting("axis") % len(axes), node.setting("last") % len(axes)
    merged = axes[first : last + 1]
    views = {axis.partition("[")[0] for axis in merged}
    joined = views.pop() if len(views) == 1 and all(merged) else ""
    return (*axes[:first], joined, *axes[last + 1 :])


def _broadcast(known: list[Axes]) -> Axes:
    """Of each axis what the first that knows it says, aligned at the last axis."""
    rank = max(map(len, known))
    padded = [("",) * (rank - len(axes)) + axes for axes in known]
    return tuple(next(filter(None, column), "") for column in zip(*padded, strict=True))
