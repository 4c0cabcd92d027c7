"""The dataflow IR: pure nodes in order, explicit state reads and writes, each with its range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from functools import cached_property
from typing import Any

from sslang.diagnostics import Span
from sslang.records import record
from sslang.types import TensorType, Type, ViewType

# An input is the name of an earlier node, a number that stands for itself, or None (not given).
Operand = str | float | int | bool | None

# Ops of the IR that are not primitives of the language.
IMAGE = "image"  # the batch as the data gives it
APPLY = "apply"  # a net on members joined along rows
MEMBER = "member"  # the rows of one member
FIELD = "field"  # a field of the record that a net gives, beside the one it stands for
PERMUTATION = "permutation"  # a draw: one permutation of the batch
PERMUTE = "permute_rows"  # rows (of each member) taken in the order of a permutation
UNPERMUTE = "unpermute_rows"  # and back
READ = "read"  # a state as of t
LATCH = "latch"  # a state whose initialiser reads the batch: in the first step that value
WEIGHT = "weight"  # a trained tensor that belongs to no net
INPUT = "input"  # the index or the label of each row
DRAW = "draw"  # random numbers as a value
SCHEDULE = "schedule"  # a number as of t
SIZE = "size"  # a symbolic size as a number

FUSED = "fused"  # the setting `form` of an op of views: ours in the place of kornia's

# Ops that `ir.partition` inserts, where rows are split over processes and micro-batches.
GATHER_ROWS = "gather_rows"  # the rows of all
OWN_ROWS = "own_rows"  # of a value that all have, the rows of this part
ENTER = "enter"  # a value that all have, used by a part: gradients of all parts add up
TOTAL = "total"  # the sum over all parts
ONCE = "once"  # of a trained value that all use alike, the gradient counts once
ASK = "ask"  # who has which of the rows that an index names
FETCH = "fetch"  # of a state whose rows the processes share, those that are asked for
PRODUCT = "product"  # x @ state.T of a state whose rows the processes share
CROSSINGS = frozenset((GATHER_ROWS, OWN_ROWS, ENTER, TOTAL, ONCE, ASK, FETCH, PRODUCT))
_CUTS = frozenset(("stop_grad", "argmax", READ, LATCH))


@record(frozen=True)
class Node:
    name: str
    op: str
    inputs: tuple[Operand, ...]
    settings: tuple[tuple[str, Any], ...]
    type: Type
    span: Span | None = field(default=None, compare=False, repr=False)
    scope: str = field(default="", compare=False)  # the outermost call it was inlined from
    call: Span | None = field(default=None, compare=False, repr=False)  # if that is in another file
    references: tuple[str, ...] = field(init=False, repr=False, compare=False)  # nodes it reads

    def __post_init__(self) -> None:
        # Made once: every walk over a graph asks for them.
        object.__setattr__(
            self, "references", tuple([i for i in self.inputs if isinstance(i, str)])
        )

    @property
    def is_cut(self) -> bool:
        """Whether no gradient goes on through it."""
        counts = isinstance(self.type, TensorType) and self.type.dtype != "float"
        return self.op in _CUTS or counts

    @property
    def place(self) -> Span | None:
        """Where the author wrote it: of what another file's function computes, the call."""
        return self.call or self.span

    def setting(self, name: str, default: Any = None) -> Any:
        for key, value in self.settings:
            if key == name:
                return value
        return default


@record(frozen=True)
class OpNumber:
    """A number that an op of a view draws; the op is given images of the type `before`."""

    op: Node
    before: ViewType
    name: str

    def __str__(self) -> str:
        return f"{self.op.name}.{self.name}"


@record(frozen=True)
class Write:
    """`state <- value`, or `state[index] <- value`, both names of nodes."""

    value: str
    index: str | None = None

    @property
    def references(self) -> tuple[str, ...]:
        return (self.value,) if self.index is None else (self.value, self.index)


@record(frozen=True)
class Graph:
    """Nodes in an order in which each follows its inputs; named outputs; writes of states."""

    nodes: tuple[Node, ...]
    outputs: Mapping[str, str]
    writes: Mapping[str, Write]

    def node(self, name: str) -> Node:
        return self.by_name[name]

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def reached(self) -> Mapping[str, Node]:
        """The nodes that the gradient of the loss flows into, by name."""
        found: dict[str, Node] = {}
        waiting = [self.outputs["loss"]] if "loss" in self.outputs else []
        while waiting:
            name = waiting.pop()
            node = self.by_name[name]
            if name not in found and not node.is_cut:
                found[name] = node
                waiting.extend(node.references)
        return found

    def roots(self) -> tuple[str, ...]:
        written = (name for write in self.writes.values() for name in write.references)
        return (*self.outputs.values(), *written)

    def pruned(self) -> Graph:
        """The graph without the nodes that no output or write needs."""
        needed = set(self.roots())
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.references)
        kept = tuple(node for node in self.nodes if node.name in needed)
        return Graph(kept, self.outputs, self.writes)

    def renamed(self, names: Mapping[str, str]) -> Graph:
        """The graph with every node called as `names` says."""
        return self._over(names, tuple(_renamed(n, names) for n in self.nodes))

    def replaced(self, names: Mapping[str, str], nodes: Iterable[Node]) -> Graph:
        """The graph over `nodes`, with every use of a name in `names` renamed."""
        return self._over(names, tuple(replace(n, inputs=_operands(n, names)) for n in nodes))

    def _over(self, names: Mapping[str, str], nodes: tuple[Node, ...]) -> Graph:
        return Graph(
            nodes,
            {k: names.get(v, v) for k, v in self.outputs.items()},
            {
                k: Write(names.get(w.value, w.value), w.index and names.get(w.index, w.index))
                for k, w in self.writes.items()
            },
        )


def _operands(node: Node, names: Mapping[str, str]) -> tuple[Operand, ...]:
    return tuple([names.get(i, i) if isinstance(i, str) else i for i in node.inputs])


def _renamed(node: Node, names: Mapping[str, str]) -> Node:
    name, inputs = names[node.name], _operands(node, names)
    if name == node.name and inputs == node.inputs:
        return node
    return Node(name, node.op, inputs, node.settings, node.type, node.span, node.scope, node.call)
