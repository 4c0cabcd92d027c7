"""What a batch can be split into: the groups that batch norm keeps together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import lcm

from torch import nn

from sslang.diagnostics import Diagnostic, Span
from sslang.emit.method import Method
from sslang.emit.nets.norms import has_batch_norm
from sslang.ir.graph import APPLY, Graph, Node
from sslang.ir.partition import Partition, partition
from sslang.types import ViewType


@dataclass(frozen=True)
class Limits:
    """`unit` images in a row stay together, for a net applied at `unit_at`.

    `normed` are applications of nets with batch norm, `whole` those whose batch norm is over the
    whole batch; `of_images` is the first of these that is applied to images, if one is.
    """

    unit: int = 1
    unit_at: Span | None = None
    normed: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    of_images: Node | None = None


def limits_of(graphs: Iterable[Graph], nets: nn.Module) -> Limits:
    """The limits of a step."""
    found = Limits()
    for graph, node in ((g, n) for g in graphs for n in g.nodes if n.op == APPLY):
        parts = _applied(node, nets)
        if node.setting("evaluation") or not any(has_batch_norm(part) for part in parts):
            continue
        found = replace(found, normed=found.normed | {node.name})
        group = node.setting("group")
        if group:
            if lcm(found.unit, group) > found.unit:
                found = replace(found, unit=lcm(found.unit, group), unit_at=node.place)
            continue
        first = graph.node(node.references[0])
        of_images = node if isinstance(first.type, ViewType) else None
        found = replace(
            found, whole=found.whole | {node.name}, of_images=found.of_images or of_images
        )
    return found


def partitions(method: Method, *, micro_batches: bool = False) -> list[Partition]:
    """The graphs of a method's steps, split by rows."""
    limits = limits_of(method.graphs, method.nets)
    whole = limits.whole if micro_batches else frozenset()
    shared = frozenset(method.shared)
    return [partition(graph, whole, shared, limits.normed) for graph in method.graphs]


def _applied(node: Node, nets: nn.Module) -> list[nn.Module]:
    """The parts of a net that a node applies."""
    net = nets.get_submodule(node.setting("net"))
    return list(net.children())[node.setting("start") or 0 : node.setting("stop")]


def micro_batch_problem(limits: Limits, micro_batch: int, rows: int) -> Diagnostic | None:
    """Why a process's `rows` images of a batch cannot be split into micro-batches, if so."""
    if micro_batch >= rows:
        return None
    if limits.of_images is not None:
        return Diagnostic(
            "E740",
            f"micro-batches of {micro_batch} images cannot give the batch norm of "
            f"`{limits.of_images.setting('net')}`, whose statistics are those of the whole batch",
            limits.of_images.place,
            hint="--processes gives the same result on more devices; `with (batch_norm = "
            f"groups({micro_batch}))` is a method that micro-batches can compute",
        )
    if micro_batch % limits.unit:
        fitting = -(-micro_batch // limits.unit) * limits.unit
        return Diagnostic(
            "E741",
            f"micro-batches of {micro_batch} images would cut through groups of batch norm, which "
            f"are runs of {limits.unit} images",
            limits.unit_at,
            hint=f"--micro-batch {fitting}",
        )
    return None


def processes_problem(limits: Limits, processes: int, batch: int) -> Diagnostic | None:
    """Why a batch cannot be split over so many processes, if so."""
    runs = -(-batch // limits.unit)
    if processes <= runs:
        return None
    what = "images" if limits.unit == 1 else f"groups of batch norm, of {limits.unit} images each"
    return Diagnostic(
        "E742",
        f"{processes} processes cannot share a batch of {runs} {what}",
        limits.unit_at,
        hint=_shared_by(limits.unit, processes, batch),
    )


def _shared_by(unit: int, processes: int, batch: int) -> str:
    """What so many processes could share, and how many can share the batch as it is."""
    hint = f"--processes {-(-batch // unit)}, or a batch of {processes * unit} images"
    smaller = batch // processes
    return f"{hint}, or groups of {smaller}" if unit > 1 and smaller > 1 else hint
