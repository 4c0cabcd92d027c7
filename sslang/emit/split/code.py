"""A partition of a step as code: the embeddings of a part, then the rest of the step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import nn

from sslang.emit.graph import Emitted, Writer, emit_views, is_view_op
from sslang.ir.graph import IMAGE, PERMUTE, Graph
from sslang.ir.partition import Local, Partition, is_affine
from sslang.types import Size, TensorType, ViewType


@dataclass(frozen=True)
class Embedded:
    """A value that a part's images give: its name, and how the values of parts are put together.

    `outer` members of `inner` rows an image; 0 where the values of parts are added up.
    """

    name: str
    outer: int
    inner: int
    shape: tuple[Size, ...]  # over the whole batch


@dataclass(frozen=True)
class Fetched:
    """Rows of shared states: `outer` members of `inner` rows an image; 0 where all have them."""

    name: str
    outer: int
    inner: int


@dataclass(frozen=True)
class Stage:
    """Embeddings of the images in one order: the batch's own (None), or that of a permutation.

    `step` takes (part, views, ...) and gives a tuple of the values of `gives`.
    """

    order: str | None
    site: str | None  # of the permutation's draw
    views: Emitted
    step: Emitted
    gives: tuple[Embedded, ...]


@dataclass(frozen=True)
class SplitCode:
    """A step in parts. `rest` takes (part, embeddings, ...) and gives what a whole step gives.

    `fetch` takes (part, ...) and gives the rows of shared states that the stages and the rest
    take, those in `fetched`: once a step, for the messages of all processes have to meet. `loss`
    is the part of `rest` that the loss needs, where gradients of the embeddings are known before
    the embeddings are.
    """

    fetch: Emitted | None
    fetched: tuple[Fetched, ...]
    stages: tuple[Stage, ...]
    rest: Emitted
    loss: Emitted | None
    rows_of_embedding: int  # an image, of the output `embedding` if a part has only its own; else 0

    @property
    def takes(self) -> tuple[Embedded, ...]:
        """The embeddings, in the order in which `rest` takes them."""
        return tuple(e for stage in self.stages for e in stage.gives)


def emit_split(split: Partition, nets: nn.Module, dims: Mapping[str, int]) -> SplitCode:
    """The code of a partition over the nets in `nets`."""
    stages = tuple(
        stage for order in split.orders
        if (stage := _stage(split, order, nets, dims)) is not None
    )  # fmt: skip
    given = (*split.fetched, *(e.name for stage in stages for e in stage.gives))
    rest = _rest(split.graph, given, nets, dims)
    loss = None
    if is_affine(split):
        only = Graph(split.graph.nodes, {"loss": split.graph.outputs["loss"]}, {})
        loss = _rest(only, given, nets, dims)
    shown = split.graph.outputs.get("embedding")
    placed = None if shown is None else split.local(shown)
    rows = 0 if placed is None else placed.outer * placed.inner
    fetch = _fetch(split, nets, dims) if split.fetched else None
    fetched = tuple(_fetched(split, name) for name in split.fetched)
    return SplitCode(fetch, fetched, stages, rest, loss, rows)


def _fetch(split: Partition, nets: nn.Module, dims: Mapping[str, int]) -> Emitted:
    """The code from what is known of the images' places to rows of shared states."""
    graph = Graph(split.graph.nodes, {name: name for name in split.fetched}, {}).pruned()
    writer = Writer(graph, dims, (), part=True)
    for node in graph.nodes:
        writer.write(node)
    writer.out.output(tuple(writer.known[name] for name in split.fetched))
    return writer.emitted(nets, "Fetched")


def _fetched(split: Partition, name: str) -> Fetched:
    placed = split.local(name)
    return Fetched(name, 0, 0) if placed is None else Fetched(name, placed.outer, placed.inner)


def _stage(
    split: Partition, order: str | None, nets: nn.Module, dims: Mapping[str, int]
) -> Stage | None:
    gives = tuple(_embedded(split, name) for name in split.embeddings if _in(split, name, order))
    if not gives:
        return None
    nodes = split.graph.nodes
    if order is not None:  # from here on a permuted view is a view like another
        sources = {n.name: n.references[0] for n in nodes if n.op == PERMUTE
                   and isinstance(n.type, ViewType)}  # fmt: skip
        nodes = split.graph.replaced(sources, [n for n in nodes if n.name not in sources]).nodes
    outputs = {e.name: e.name for e in gives}
    graph = _from(split.fetched, Graph(nodes, outputs, {}))
    by_name = graph.by_name
    read = {
        n for node in graph.nodes if not is_view_op(node)
        for n in node.references if is_view_op(by_name[n])
    }  # fmt: skip
    views = tuple(n.name for n in graph.nodes if n.name in read)
    given = tuple(name for name in split.fetched if name in by_name)
    writer = Writer(graph, dims, views, given, part=True)
    for node in graph.nodes:
        if node.op != IMAGE and not is_view_op(node) and node.name not in given:
            writer.write(node)
    writer.out.output(tuple(writer.known[e.name] for e in gives))
    site = None if order is None else split.graph.node(order).setting("site")
    title = "Embeddings" if order is None else "PermutedEmbeddings"
    return Stage(order, site, emit_views(graph, views), writer.emitted(nets, title), gives)


def _in(split: Partition, name: str, order: str | None) -> bool:
    placed = split.local(name)
    assert placed is not None
    return placed.order == order or (order is None and placed.order == "*")


def _embedded(split: Partition, name: str) -> Embedded:
    placed, type_ = split.placed[name], split.graph.node(name).type
    assert isinstance(placed, Local) and isinstance(type_, TensorType)
    if name in split.partial:
        return Embedded(name, 0, 0, type_.shape)
    return Embedded(name, placed.outer, placed.inner, type_.shape)


def _rest(
    graph: Graph, given: tuple[str, ...], nets: nn.Module, dims: Mapping[str, int]
) -> Emitted:
    """The code from the embeddings on."""
    roots = _from(given, graph)
    writer = Writer(roots, dims, (), given, part=True)
    for node in roots.nodes:
        if node.name not in given:
            assert node.op != IMAGE and not is_view_op(node), f"{node.name} is no embedding"
            writer.write(node)
    writer.finish()
    return writer.emitted(nets, "Rest")


def _from(given: tuple[str, ...], graph: Graph) -> Graph:
    """The part of a graph that is left to compute where some values are given."""
    nodes = tuple(replace(n, inputs=()) if n.name in given else n for n in graph.nodes)
    return Graph(nodes, graph.outputs, graph.writes).pruned()
