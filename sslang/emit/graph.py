"""IR to `torch.fx.GraphModule`, whose printed code a person can read."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from sslang.emit import tensors
from sslang.emit.view_draws import (
    AUGMENT,
    GATED,
    OF_DRAWS,
    TRANSFORM,
    ViewDraw,
    is_augmentation,
    plain,
    view_draw,
)
from sslang.ir.graph import (
    APPLY,
    CROSSINGS,
    DRAW,
    FIELD,
    FUSED,
    IMAGE,
    INPUT,
    MEMBER,
    PERMUTATION,
    PERMUTE,
    READ,
    SCHEDULE,
    SIZE,
    UNPERMUTE,
    WEIGHT,
    Graph,
    Node,
)
from sslang.ops import PRIMITIVES
from sslang.ops.schedules import Schedule
from sslang.types import SCALAR, Dim, Size, TensorType, ViewType


@dataclass(frozen=True)
class ValueDraw:
    """A draw that is a value of the step; `shape` leaves the batch out."""

    parameter: str
    site: str
    kind: str  # uniform, normal, integers
    per: str  # row, step, run
    shape: tuple[int, ...]
    below: Size | None
    number: tuple[ViewDraw, str] | None = None  # one that an op of a view drew, and its name
    whole: bool = False  # in the code of a part: of all rows rather than of its own


@dataclass(frozen=True)
class Emitted:
    """A graph as code, and what its parameters are, in order."""

    module: fx.GraphModule
    views: tuple[str, ...]  # of `views`: its outputs; of `step`: its first parameters
    draws: tuple[ViewDraw, ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()  # (parameter, index or label)
    values: tuple[ValueDraw, ...] = ()
    permutations: tuple[tuple[str, str], ...] = ()  # (parameter, site)
    states: tuple[tuple[str, str], ...] = ()  # (parameter, state)
    schedules: tuple[tuple[str, Schedule], ...] = ()


def is_view_op(node: Node) -> bool:
    primitive = PRIMITIVES.get(node.op)
    return primitive is not None and primitive.kind == "view"


def boundary(graph: Graph) -> tuple[str, ...]:
    """The view nodes that nets read: results of `emit_views`, parameters of `emit_step`."""
    by_name = graph.by_name
    used = {
        name
        for node in graph.nodes if not is_view_op(node)
        for name in node.references if is_view_op(by_name[name])
    }  # fmt: skip
    return tuple(n.name for n in graph.nodes if n.name in used)


def emit_views(graph: Graph, outputs: tuple[str, ...] | None = None) -> Emitted:
    """(images, sizes, draws) -> views: the chains alone; of a pruned graph, those in `outputs`."""
    out = fx.Graph()
    known: dict[str, Any] = {}
    draws: list[ViewDraw] = []
    images, sizes = out.placeholder("images"), out.placeholder("sizes")
    chain = [n for n in graph.nodes if n.op == IMAGE or is_view_op(n)]
    types = {n.name: n.type for n in chain}
    for node in chain:
        if node.op != IMAGE and node.setting("site") is not None:
            before = types[node.references[0]]
            assert isinstance(before, ViewType)
            draw = view_draw(node, before, f"draw_{node.name}")
            draws.append(draw)
            known[draw.parameter] = out.placeholder(draw.parameter)
    for node in chain:
        if node.op == IMAGE:
            known[node.name] = images
            continue
        primitive, source = PRIMITIVES[node.op], node.references[0]
        arguments = [known[source]]
        if primitive.takes_sizes:
            type_ = types[source]
            assert isinstance(type_, ViewType)
            raw = type_.size is None
            arguments.append(sizes if raw else out.call_function(square_sizes, (known[source],)))
        if node.setting("site") is not None:
            arguments.append(known[f"draw_{node.name}"])
        settings = {k: plain(v) for k, v in node.settings if k not in OF_DRAWS}
        if is_augmentation(node.op):
            settings = {"op": node.op} | settings
        elif node.setting("site") is not None:
            settings["probability"] = node.setting("probability")
        lowering = primitive.fused if node.setting("form") == FUSED else primitive.lowering
        if is_augmentation(node.op):
            lowering = TRANSFORM if node.setting("site") is None else AUGMENT
        elif node.setting("site") is not None and not primitive.random:
            settings, lowering = {"function": lowering} | settings, GATED
        target = _target(lowering)
        known[node.name] = _call(out, target, tuple(arguments), settings, node.name)
    outputs = boundary(graph) if outputs is None else outputs
    out.output(tuple(known[name] for name in outputs))
    module = fx.GraphModule(nn.Module(), out, "Views")
    return Emitted(module, outputs, tuple(draws))


def square_sizes(x: Tensor) -> NDArray[np.int64]:
    """The size of each image of a batch whose images all have the size of the tensor."""
    return np.tile(np.array(x.shape[-2:], dtype=np.int64), (len(x), 1))


def emit_step(graph: Graph, nets: nn.Module, dims: Mapping[str, int]) -> Emitted:
    """(views, inputs, draws, states, schedules) -> outputs and writes, by the nets in `nets`.

    `dims` gives the sizes that the data decide: `dataset`, `classes`.
    """
    writer = Writer(graph, dims, boundary(graph))
    for node in graph.nodes:
        if node.op != IMAGE and not is_view_op(node):
            writer.write(node)
    writer.finish()
    return writer.emitted(nets, "Step")


class Writer:
    """Writes the nodes of a step, one call each, parameters first.

    `given` are values that come from elsewhere, as parameters beside `views`. In the code of a
    part of the batch, `part` says what the part is: how many rows the batch has, which are its
    own, and how it reaches the others.
    """

    def __init__(
        self,
        graph: Graph,
        dims: Mapping[str, int],
        views: tuple[str, ...],
        given: tuple[str, ...] = (),
        *,
        part: bool = False,
    ) -> None:
        self.graph = graph
        self.dims = dims
        self.out = fx.Graph()
        self.known: dict[str, Any] = {}
        self.views = views
        self.part = self.out.placeholder("part") if part else None
        self.inputs: list[tuple[str, str]] = []
        self.values: list[ValueDraw] = []
        self.permutations: list[tuple[str, str]] = []
        self.states: list[tuple[str, str]] = []
        self.schedules: list[tuple[str, Schedule]] = []
        for name in (*views, *given):
            self.known[name] = self.out.placeholder(name)
        for node in graph.nodes:
            if node.op in (INPUT, DRAW, PERMUTATION, READ, SCHEDULE) and node.name not in given:
                self.known[node.name] = self.out.placeholder(node.name)
        self._rows: dict[str, fx.Node] = {}
        self._fields: dict[str, list[str]] = {}  # of a record, the one it stands for first
        for node in graph.nodes:
            if node.op == FIELD and node.name not in given:
                names = self._fields.setdefault(node.references[0], [node.setting("default")])
                names.append(node.setting("name"))
        self._records: dict[str, fx.Node] = {}

    def write(self, node: Node) -> None:
        match node.op:
            case "input":
                self.inputs.append((node.name, node.setting("name")))
                return
            case "draw":
                self.values.append(_value_draw(node))
                return
            case "permutation":
                self.permutations.append((node.name, node.setting("site")))
                return
            case "read":
                self.states.append((node.name, node.setting("state")))
                return
            case "schedule":
                self.schedules.append((node.name, node.setting("schedule")))
                return
        self.known[node.name] = self._call(node)

    def finish(self) -> None:
        """Return the outputs and writes of the graph."""
        out = self.out
        results = {key: self.known[name] for key, name in self.graph.outputs.items()}
        if "loss" in results and self.graph.node(self.graph.outputs["loss"]).type != SCALAR:
            results["loss"] = out.call_function(tensors.mean, (results["loss"],))
        if "embedding" in results:
            results["embedding"] = out.call_function(tensors.stop_grad, (results["embedding"],))
        writes = {
            state: (
                out.call_function(tensors.stop_grad, (self.known[write.value],)),
                None if write.index is None else self.known[write.index],
            )
            for state, write in self.graph.writes.items()
        }
        out.output({**results, "writes": writes})

    def emitted(self, nets: nn.Module, title: str) -> Emitted:
        """What was written, as code over `nets`; it takes no `part` that it does not use."""
        if self.part is not None and not self.part.users:
            self.out.erase_node(self.part)
        module = fx.GraphModule(nets, self.out, title)
        return Emitted(
            module, self.views, (), tuple(self.inputs), tuple(self.values),
            tuple(self.permutations), tuple(self.states), tuple(self.schedules),
        )  # fmt: skip

    def _call(self, node: Node) -> fx.Node:
        inputs = tuple(self.known[i] if isinstance(i, str) else i for i in node.inputs)
        if node.op == APPLY:
            return self._apply(node, inputs)
        if node.op == FIELD:
            record = self._records[node.references[0]]
            at = self._fields[node.references[0]].index(node.setting("name"))
            return _call(self.out, operator.getitem, (record, at), {}, node.name)
        if node.op == WEIGHT:
            return self.out.create_node("call_module", node.setting("net"), (), {}, node.name)
        if node.op == SIZE:
            size = self._size(node.setting("size"))
            return size if isinstance(size, fx.Node) else self._number(size, node.name)
        if node.op in (PERMUTE, UNPERMUTE):
            return _call(self.out, getattr(tensors, node.op), inputs, {}, node.name)
        if node.op == MEMBER:
            return _call(self.out, tensors.member, inputs, dict(node.settings), node.name)
        if node.op in CROSSINGS:
            assert self.part is not None, f"{node.op} outside of a part"
            settings = {k: self._setting(v) for k, v in node.settings}
            return self.out.create_node(
                "call_method", node.op, (self.part, *inputs), settings, name=node.name
            )
        primitive = PRIMITIVES[node.op]
        settings = {k: self._setting(v) for k, v in node.settings if v is not None}
        if not inputs or node.op == "one_hot":  # made: takes device and precision from a view
            settings["like"] = self._like()
        if primitive.lowering.startswith("sslang.") and inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        return _call(self.out, _target(primitive.lowering), inputs, settings, node.name)

    def _apply(self, node: Node, inputs: tuple[Any, ...]) -> fx.Node:
        settings: dict[str, Any] = {}
        if node.setting("drop_path"):
            *inputs_, drops = inputs
            inputs = tuple(inputs_)
            settings |= {"drop_path": node.setting("drop_path"), "drops": self.out.call_function(
                tensors.by_view, (drops,), {"views": node.setting("views")})}  # fmt: skip
        if node.setting("keep"):
            shown = inputs[len(inputs) // 2 :]
            inputs = inputs[: len(inputs) // 2]
            settings["keep"] = (
                shown[0] if len(shown) == 1 else self.out.call_function(tensors.concat, shown)
            )
        joined = inputs[0] if len(inputs) == 1 else self.out.call_function(tensors.concat, inputs)
        for name in ("start", "stop", "grid", "evaluation"):
            if node.setting(name):
                settings[name] = node.setting(name)
        if node.setting("views") > 1:
            settings["views"] = node.setting("views")
            if not node.setting("joint", True):
                settings["joint"] = False
        if node.setting("group"):
            settings["group"] = node.setting("group")
        if node.setting("alike"):
            settings["alike"] = True
        if node.name not in self._fields:
            return self.out.create_node(
                "call_module", node.setting("net"), (joined,), settings, name=node.name
            )
        settings["fields"] = tuple(self._fields[node.name])
        name = f"{node.name}_record"
        record = self.out.create_node(
            "call_module", node.setting("net"), (joined,), settings, name=name
        )
        self._records[node.name] = record
        return _call(self.out, operator.getitem, (record, 0), {}, node.name)

    def _setting(self, value: Any) -> Any:
        if isinstance(value, Dim):
            return self._size(value)
        if isinstance(value, tuple):
            return tuple(self._setting(v) for v in value)
        if isinstance(value, slice):
            return slice(self._setting(value.start), self._setting(value.stop))
        return value

    def _size(self, size: Dim) -> fx.Node | int:
        """A size as a number of the run: arithmetic on the rows of views and queues."""
        total: fx.Node | int = size.constant
        for name, factor in size.terms:
            rows: Any = self.dims[name] if name in self.dims else self._count(name)
            if factor != 1:
                rows = self._arithmetic(operator.mul, factor, rows)
            total = rows if total == 0 else self._arithmetic(operator.add, rows, total)
        return total

    def _arithmetic(self, function: Any, left: Any, right: Any) -> Any:
        if isinstance(left, fx.Node) or isinstance(right, fx.Node):
            return self.out.call_function(function, (left, right))
        return function(left, right)

    def _number(self, value: int, name: str) -> fx.Node:
        return _call(self.out, tensors.number, (value,), {"like": self._like()}, name)

    def _like(self) -> fx.Node:
        """A tensor on the device, in the precision of the step."""
        if self.part is not None:
            return self._of_part("like")
        first: fx.Node = self.known[self.views[0]]
        return first

    def _of_part(self, field: str) -> fx.Node:
        if field not in self._rows:
            assert self.part is not None
            self._rows[field] = self.out.call_function(getattr, (self.part, field))
        return self._rows[field]

    def _count(self, name: str) -> fx.Node:
        """The rows of the batch, or of a queue that may be empty."""
        if name == "batch" and self.part is not None:
            return self._of_part("batch")
        if self.part is not None and name not in self._rows:
            sizes = self._of_part("sizes")
            self._rows[name] = self.out.call_function(operator.getitem, (sizes, name))
        if name not in self._rows:
            if name == "batch":
                source, patches = self.known[self.views[0]], self._patches(self.views[0])
            else:
                node = next(n for n in self.graph.nodes if n.op == READ
                            and n.setting("state") == name)  # fmt: skip
                source, patches = self.known[node.name], 1
            settings = {} if patches == 1 else {"of": patches}
            title = "batch" if name == "batch" else f"rows_{source.name}"
            self._rows[name] = _call(self.out, tensors.rows, (source,), settings, title)
        return self._rows[name]

    def _patches(self, view: str) -> int:
        type_ = self.graph.node(view).type
        assert isinstance(type_, ViewType)
        return type_.patches


def _value_draw(node: Node) -> ValueDraw:
    assert isinstance(node.type, TensorType)
    per = node.setting("per")
    sizes = node.type.shape[1:] if per == "row" else node.type.shape
    shape = tuple(s for s in sizes if isinstance(s, int))
    assert len(shape) == len(sizes), f"the sizes of {node.name}"
    number = node.setting("number")
    if number is not None:
        number = (view_draw(number.op, number.before, node.name), number.name)
    return ValueDraw(
        node.name, node.setting("site"), node.setting("kind"), per, shape,
        node.setting("below"), number, bool(node.setting("whole")),
    )  # fmt: skip


def _call(
    out: fx.Graph, target: Any, arguments: tuple[Any, ...], settings: dict[str, Any], name: str
) -> fx.Node:
    node: fx.Node = out.create_node("call_function", target, arguments, settings, name=name)
    return node


def _target(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
