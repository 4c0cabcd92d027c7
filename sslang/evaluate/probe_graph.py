"""What a loss does with embeddings: a step cut where its nets give them.

Every trained net that follows an encoder gives an embedding; what it gives becomes a free table,
the same for a net and for the averages that follow it. A predictor, which the cut side of the
loss lacks, lies beyond: it becomes the identity. Where the loss reads how a view mixed its images,
the rows of the table are mixed in the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property

from sslang.checks.mixtures import mixtures, on_the_way
from sslang.ir.graph import (
    APPLY,
    DRAW,
    FIELD,
    LATCH,
    MEMBER,
    PERMUTE,
    READ,
    SCHEDULE,
    UNPERMUTE,
    WEIGHT,
    Graph,
    Node,
    Write,
)
from sslang.ir.program import Program, StatePlan
from sslang.types import Dim, TensorType, ViewType

TABLE = "table"  # an embedding: settings `table`, `views` (a key a member), `cut` and `mixed`
PREDICTOR = "predictor"  # the identity, or a fixed linear map where the widths differ

_CUTS = frozenset(("stop_grad", "argmax", READ, LATCH))


@dataclass(frozen=True)
class Excerpt:
    """The loss of a phase from its embeddings on, with the states and weights it reads."""

    nodes: tuple[Node, ...]
    loss: str
    writes: Mapping[str, Write]
    states: tuple[StatePlan, ...]
    weights: tuple[StatePlan, ...]

    @property
    def has_cut(self) -> bool:
        """Whether what training follows is not the gradient of the loss as a function."""
        return any(n.op in _CUTS or n.op == "scale_grad" or n.setting("cut") for n in self.nodes)

    @cached_property
    def key(self) -> str:
        """A hash of all that the numbers depend on; the names of nodes are no part of it."""
        place = {node.name: f"%{at}" for at, node in enumerate(self.nodes)}
        lines = [
            f"{n.op} {[place[i] if isinstance(i, str) else i for i in n.inputs]} "
            f"{[s for s in n.settings if s[0] != 'site']} {n.type}"
            for n in self.nodes
        ]
        writes = {
            state: (place[w.value], w.index and place[w.index]) for state, w in self.writes.items()
        }
        plans = [
            {f.name: getattr(plan, f.name) for f in fields(plan) if f.name != "span"}
            for plan in (*self.states, *self.weights)
        ]
        whole = "\n".join([*lines, place[self.loss], str(sorted(writes.items())), str(plans)])
        return hashlib.sha256(whole.encode()).hexdigest()[:32]


def excerpt(program: Program) -> Excerpt:
    """The loss of a phase that has one, from its embeddings on."""
    return _Cutter(program).excerpt()


class _Cutter:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.graph: Graph = program.step
        self.by_name = program.step.by_name
        self.loss = program.step.outputs["loss"]
        self.sources = {copy: source for a in program.averages for copy, source in a.pairs}
        self.predictors = self._predictors()
        read = mixtures(program.step.nodes)
        self.mixtures = {k: m for k, m in read.items() if m.partner and m.weight}

    def excerpt(self) -> Excerpt:
        kept: dict[str, Node] = {}
        waiting = [self.loss]
        while waiting:
            name = waiting.pop()
            if name in kept:
                continue
            node = kept[name] = self._cut(self.by_name[name])
            waiting.extend(node.references)
            waiting.extend(self._written(node))
        nodes = tuple(kept[n.name] for n in self.graph.nodes if n.name in kept)
        read = {n.setting("state") for n in nodes if n.op in (READ, LATCH)}
        weights = {n.setting("net") for n in nodes if n.op == WEIGHT}
        return Excerpt(
            nodes, self.loss,
            {state: write for state, write in self.graph.writes.items() if state in read},
            tuple(s for s in self.program.states if s.name in read),
            tuple(w for w in self.program.weights if w.name in weights),
        )  # fmt: skip

    def _cut(self, node: Node) -> Node:
        """The node as it stands in the excerpt."""
        applied = self.by_name[node.references[0]] if node.op == FIELD else node
        if applied.op != APPLY:
            return node
        net = self._net(applied)
        members = _members(node)
        if node.op == APPLY and (net in self.predictors or not members):
            inputs = tuple(i for i in node.references if self._is_embedded(i))
            return replace(node, op=PREDICTOR, inputs=inputs, settings=(("net", net),))
        cut = self.program.net(applied.setting("net")).kind == "average"
        cut = cut or bool(applied.setting("fixed"))
        table = f"{net}.{node.setting('name')}" if node.op == FIELD else net
        views = self._views(applied.name)
        mixed = tuple(map(self._mixed, views)) if self.mixtures else ()
        if len(views) != members:
            views, mixed = tuple(f"{node.name}/{at}" for at in range(members)), ()
        settings: tuple[tuple[str, object], ...]
        settings = (("table", table), ("views", views), ("cut", cut))
        if any(mixed):
            settings += (("mixed", mixed),)
        return replace(node, op=TABLE, inputs=(), settings=settings)

    def _mixed(self, view: str) -> tuple[tuple[str, str], ...]:
        """The nodes that draw partners and shares, of each op that mixes the images of a view."""
        found = on_the_way(self.by_name, view, self.mixtures)
        return tuple((m.partner.name, m.weight.name) for m in found if m.partner and m.weight)

    def _views(self, name: str) -> tuple[str, ...]:
        """The views that the members of a value come from, one for each batch of rows."""
        node = self.by_name[name]
        if node.op in (PERMUTE, UNPERMUTE, FIELD):
            return self._views(node.references[0])
        if isinstance(node.type, ViewType):
            return (name,)
        sources = [i for i in node.references if self._is_embedded(i)]
        if node.op == MEMBER:
            views = self._views(sources[0])
            each = len(views) // node.setting("of")
            return views[node.setting("at") * each :][:each]
        if node.op == APPLY or (node.op == "concat" and node.setting("axis") == 0):
            return tuple(v for i in sources for v in self._views(i))
        return max((self._views(i) for i in sources), key=len, default=())

    def _is_embedded(self, name: str) -> bool:
        """Whether an input of a net is what it acts on, not draws or a mask."""
        node = self.by_name[name]
        if isinstance(node.type, ViewType):
            return True
        return node.op != DRAW and node.type.dtype == "float"

    def _predictors(self) -> frozenset[str]:
        """Trained nets that act on an embedding and that nothing on the cut side has."""
        behind: set[str] = set()
        before: set[str] = set()
        seen: set[tuple[str, bool]] = set()
        waiting = [(self.loss, False)]
        while waiting:
            name, cut = waiting.pop()
            node = self.by_name[name]
            average = node.op == APPLY and self._net(node) != node.setting("net")
            cut = cut or node.op in _CUTS or average or bool(node.setting("fixed"))
            if (name, cut) in seen:
                continue
            seen.add((name, cut))
            if node.op == APPLY:
                (behind if cut else before).add(self._net(node))
            waiting.extend((i, cut) for i in (*node.references, *self._written(node)))
        if not behind:
            return frozenset()
        return frozenset(net for net in before - behind if self._follows(net, behind))

    def _follows(self, net: str, behind: set[str]) -> bool:
        """Whether each of its inputs comes from nets that the cut side has."""
        applied = [n for n in self.graph.nodes if n.op == APPLY and self._net(n) == net]
        return all(self._before(n) & behind for n in applied)

    def _before(self, node: Node) -> set[str]:
        found: set[str] = set()
        waiting = list(node.references)
        while waiting:
            source = self.by_name[waiting.pop()]
            if source.op == APPLY:
                found.add(self._net(source))
            waiting.extend(source.references)
        return found

    def _written(self, node: Node) -> tuple[str, ...]:
        """What enters the state that a node reads."""
        write = self.graph.writes.get(node.setting("state", "")) if node.op == READ else None
        return () if write is None else write.references

    def _net(self, node: Node) -> str:
        net: str = node.setting("net")
        return self.sources.get(net, net)


def _members(node: Node) -> int:
    """How many batches of rows are joined; 0 of what has other rows, as a queue has."""
    assert isinstance(node.type, TensorType)
    rows = node.type.shape[0]
    return dict(rows.terms).get("batch", 0) if isinstance(rows, Dim) else 0


def sharpening(program: Program) -> Node | None:
    """The division or product by a number, on the cut side, that enters a softmax."""
    by_name = program.step.by_name
    seen: set[tuple[str, bool, bool]] = set()
    waiting = [(program.step.outputs["loss"], False, False)]
    while waiting:
        name, cut, normalised = waiting.pop()
        if (name, cut, normalised) in seen:
            continue
        seen.add((name, cut, normalised))
        node = by_name[name]
        if cut and normalised and node.op in ("divide", "multiply") and _scales(node, by_name):
            return node
        cut = cut or node.op in _CUTS
        normalised = normalised or node.op in ("exp", "log_softmax")
        waiting.extend((i, cut, normalised) for i in node.references)
    return None


def _scales(node: Node, by_name: Mapping[str, Node]) -> bool:
    numbers = [i for i in node.inputs if not isinstance(i, str) or by_name[i].op == SCHEDULE]
    return len(numbers) == 1
