"""Collapse, by structure alone (T0): can a constant embedding minimise the loss?

A loss whose every term is about one row, and about nothing but embeddings, has a constant that
minimises it. What can keep training away from that constant is asymmetry: a target that no
gradient enters, and on the other side a trained net that the target lacks (BYOL, SimSiam), or an
input of which a part is masked. A term that compares rows (negatives, a centre, Sinkhorn, a
covariance) is another matter, which numbers decide (`sslang.evaluate.probe`). Batch norm inside a
net does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from sslang.checks.content import DRAWN, content_of
from sslang.checks.gradient import is_frozen
from sslang.checks.joined import unjoined
from sslang.checks.selected import covers
from sslang.checks.zeros import zeros
from sslang.diagnostics import Diagnostic, Label
from sslang.ir.graph import APPLY, DRAW, INPUT, LATCH, READ, Node
from sslang.ir.program import NetPlan, Program
from sslang.ir.rows import Rows, row_analysis
from sslang.ops.schedules import ends_of
from sslang.records import record
from sslang.types import TensorType, ViewType

_REDUCING = frozenset(("mean", "sum"))
_LINEAR = _REDUCING | {"add", "subtract", "negative", "concat", "stack"}
_SCALED = frozenset(("multiply", "divide"))
_BARE = frozenset(("relu", "gelu"))  # layers that have no parameters
_NORMS = frozenset(("batch_norm", "layer_norm"))  # that have none without scale and shift
NO_COLLAPSE = "no_collapse"


@record(frozen=True)
class Structure:
    """What structure alone says of a phase; `undecided` where terms compare rows."""

    outcome: Literal["pass", "note", "error", "undecided"]
    reason: str
    labels: tuple[Label, ...] = ()


def assumed(program: Program) -> str:
    """The reason of `assume no_collapse "reason"`; empty where the spec has none."""
    return next((reason for name, reason in program.spec.assumes if name == NO_COLLAPSE), "")


def collapse(program: Program, found: Structure) -> Iterator[Diagnostic]:
    """E410 where nothing in the spec prevents collapse, unless it says `assume no_collapse`."""
    if found.outcome == "error" and not assumed(program):
        message = f"a constant embedding minimises the loss: {found.reason}"
        yield Diagnostic(
            "E410", message, program.spans.get("loss"), found.labels,
            hint='cut the target with stop_grad and give the other side a predictor, or compare '
            'rows; who means it writes `assume no_collapse "why"`',
        )  # fmt: skip


def structure(program: Program) -> Structure:
    """The verdict of T0 on a phase that has a loss."""
    finder = _Finder(program)
    terms = finder.terms()
    if not terms:
        return Structure("pass", "no embedding is trained")
    rows = {finder.rows[t] for t in terms}
    content = frozenset[str]().union(*(finder.content[t] for t in terms))
    if content & {"labels"} and Rows.OTHER in rows:
        return Structure("pass", "collapses to classes, by design")
    if content - {"index", DRAWN} or (content and Rows.OTHER not in rows):
        return Structure("pass", f"the target is content: {', '.join(sorted(content))}")
    if Rows.OTHER in rows:
        return Structure("undecided", "its terms compare rows")
    return finder.asymmetry(terms)


def asymmetry(program: Program) -> str:
    """What asymmetry a loss rests on if nothing else prevents collapse; empty without any."""
    finder = _Finder(program)
    found = finder.asymmetry(finder.terms())
    return found.reason if found.outcome == "note" else ""


class _Finder:
    """Walks through the step of one program."""

    def __init__(self, program: Program) -> None:
        program = replace(program, step=unjoined(program.step))
        self.program = program
        self.graph = program.step
        self.by_name = program.step.by_name
        self.rows = row_analysis(program.step)
        self.zeros = zeros(program.step)
        self.sources = {copy: source for a in program.averages for copy, source in a.pairs}
        self.untrained = {n.name: why for n in program.nets if (why := self._untrained(n))}
        self.content = content_of(program, self.untrained)
        self.embedding = self._embedding()

    def terms(self) -> list[str]:
        """The terms of the loss whose gradient trains an embedding."""
        trains: set[str] = set()  # a node by which a gradient comes to an embedding
        for node in self.graph.nodes:
            own = node.op == APPLY and self._net(node) in self.embedding
            through = any(i in trains and i not in self.zeros for i in node.references)
            if (own or through) and not self._is_cut(node):
                trains.add(node.name)
        return [t for t in self._summands(self.graph.outputs["loss"]) if t in trains]

    def _embedding(self) -> frozenset[str]:
        """The nets whose collapse is in question: encoders, or heads where none is trained."""
        reached = self._uncut([self.graph.outputs["loss"]])
        trained = {self._net(n) for n in reached if n.op == APPLY} - self.untrained.keys()
        encoders = {n for n in trained if self.program.net(n).kind == "encoder"}
        return frozenset(encoders or trained)

    def _summands(self, loss: str) -> Iterator[str]:
        """The parts that the loss is a sum of, sums and means over the batch taken apart."""
        seen, waiting = set(), [loss]
        while waiting:
            name = waiting.pop()
            if name in seen or name in self.zeros:
                continue
            seen.add(name)
            node = self.by_name[name]
            moving = [i for i in node.references if self.rows[i] != Rows.NONE]
            if node.op in _REDUCING and len(moving) == 2 and self._is_of_draws(moving[1]):
                moving = moving[:1]  # the mask of a `where`, which says nothing of rows
            if node.op == "multiply":
                moving = [i for i in moving if not self._is_weight(i)] or moving
            linear = node.op in _LINEAR and (node.op not in _REDUCING or len(moving) == 1)
            if (linear and moving) or (node.op in _SCALED and len(moving) == 1):
                waiting.extend(moving)
            elif self.rows[name] != Rows.NONE:
                yield name

    def asymmetry(self, terms: list[str]) -> Structure:
        """The verdict where every term is about one row and nothing but embeddings."""
        every = "every term is about one row"
        cut = self._behind_cuts(terms)
        if not cut:
            return Structure("error", f"{every}, and no side of it is cut")
        predictors: dict[str, None] = {}
        idle: dict[str, str] = {}
        if not self._reach_embedding(terms, cut, predictors, idle):
            names = ", ".join(f"`{name}`" for name in predictors)
            return Structure("note", f"only asymmetry prevents collapse: {names}")
        reason = f"{every}, and the side that is trained has no net that its target lacks"
        labels = tuple(Label(self.program.net(n).span, f"{why}: it does not count")
                       for n, why in idle.items())  # fmt: skip
        return Structure("error", reason, labels)

    def _behind_cuts(self, terms: list[str]) -> dict[str, bool]:
        """Trained nets, by what averages follow, that a term reads behind a cut: masked there?"""
        found: dict[str, bool] = {}
        seen: set[tuple[str, bool]] = set()
        waiting = [(term, False) for term in terms]
        while waiting:
            name, cut = waiting.pop()
            node = self.by_name[name]
            cut = cut or self._is_cut(node)
            if (name, cut) in seen:
                continue
            seen.add((name, cut))
            net = self._net(node) if cut and node.op == APPLY else ""
            if net and net not in self.untrained:
                found[net] = found.get(net, False) or self._is_masked(node)
            read = node.references
            if node.op == "where" and isinstance(node.inputs[0], str):
                read = read[1:]  # the condition chooses between targets, and is none
            waiting.extend((i, cut) for i in read)
        return found

    def _reach_embedding(
        self,
        terms: list[str],
        cut: dict[str, bool],
        predictors: dict[str, None],
        idle: dict[str, str],
    ) -> bool:
        """Whether the gradient of a term reaches the views through nets alone that the target has.

        What stands in the way is added to `predictors`, and to `idle` what would, were it trained.
        """
        reached = False
        seen: set[str] = set()
        waiting = terms[::-1]
        while waiting:
            node = self.by_name[waiting.pop()]
            if node.name in seen or self._is_cut(node):
                continue
            seen.add(node.name)
            if node.op == APPLY:
                net = self._net(node)
                if net not in cut and net in self.untrained:
                    if self.program.net(net).kind == "head":
                        idle[net] = self.untrained[net]
                elif net not in cut or (self._is_masked(node) and not cut[net]):
                    predictors[net] = None
                    continue
                if net in self.embedding or self.program.net(net).kind == "encoder":
                    reached = True
                    continue
            waiting.extend(node.references)
        return reached

    def _uncut(self, names: Iterable[str]) -> list[Node]:
        """The nodes that a gradient from these reaches."""
        seen: dict[str, Node] = {}
        waiting = list(names)
        while waiting:
            node = self.by_name[waiting.pop()]
            if node.name not in seen and not self._is_cut(node):
                seen[node.name] = node
                waiting.extend(i for i in node.references if i not in self.zeros)
        return list(seen.values())

    def _is_cut(self, node: Node) -> bool:
        if node.op == APPLY:
            net = node.setting("net")
            return self.program.net(net).kind == "average" or bool(node.setting("fixed"))
        if node.op in ("stop_grad", "read", "latch") or isinstance(node.type, ViewType):
            return True
        if node.op == "scale_grad":
            return 0 in node.inputs or dict(node.settings).get("factor") == 0
        return isinstance(node.type, TensorType) and node.type.dtype != "float"

    def _is_masked(self, node: Node) -> bool:
        """Whether draws decide which parts of its input the net is shown."""
        for source in self._tensors([node.name]):
            masks: tuple[str, ...] = ()
            if source.op == APPLY and source.setting("keep"):
                masks = source.references
            elif source.op == "where":
                masks = source.references[:1]
            if any(n.op == DRAW for n in self._tensors(m for m in masks if self._is_mask(m))):
                return True
        return False

    def _is_of_draws(self, name: str) -> bool:
        return not any(n.op in (APPLY, INPUT, READ, LATCH) for n in self._tensors([name]))

    def _is_weight(self, name: str) -> bool:
        """Whether this is a number a row that was drawn, by which something counts."""
        type_ = self.by_name[name].type
        return isinstance(type_, TensorType) and type_.rank < 2 and self._is_of_draws(name)

    def _is_mask(self, name: str) -> bool:
        type_ = self.by_name[name].type
        return isinstance(type_, TensorType) and type_.dtype == "bool"

    def _tensors(self, names: Iterable[str]) -> Iterator[Node]:
        """The nodes that these are made of, views left out."""
        waiting, seen = list(names), set[str]()
        while waiting:
            node = self.by_name[waiting.pop()]
            if node.name not in seen and not isinstance(node.type, ViewType):
                seen.add(node.name)
                yield node
                waiting.extend(node.references)

    def _net(self, node: Node) -> str:
        """The net that is applied; of an average, the one it follows."""
        net: str = node.setting("net")
        return self.sources.get(net, net)

    def _untrained(self, net: NetPlan) -> str:
        """Why a net does not learn in this phase; empty where it does."""
        if net.name in self.program.fixed:
            return "it is only applied as fixed"
        if net.kind == "average":
            return self._untrained(self.program.net(self.sources[net.name]))
        if is_frozen(self.program, net.name):
            return "it is frozen"
        if _has_no_parameters(net):
            return "it has no parameters"
        recipe = self.program.spec.recipe
        if recipe is not None and any(
            g.lr is not None and not any(ends_of(g.lr)) and covers(g.selector, net.name)
            for g in recipe.groups
        ):
            return "its learning rate is 0"
        return ""


def _has_no_parameters(net: NetPlan) -> bool:
    for path, arguments in net.stages:
        layer = path.rpartition(".")[2]
        if layer in _NORMS and not arguments["scale"] and not arguments["shift"]:
            continue
        if layer not in _BARE:
            return False
    return True
