"""What a batch can be split into: the groups that batch norm keeps together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import lcm

from torch import nn

from sslang.diagnostics import Diagnostic, Span
from sslang.emit.method import Method
from sslang.emit.nets.norms import has_batch_norm
from sslang.ir.graph import APPLY, Node
from sslang.ir.partition import Partition, partition
from sslang.types import ViewType


@dataclass(frozen=True)
class Limits:
    """`unit` images in a row stay together, for a net applied at `unit_at`.

    `of_images` is the first net that is applied to images with batch norm over the whole batch, if
    one is. `waiting` is one whose images wait for a value that is not known before all images have
    been seen.
    """

    unit: int = 1
    unit_at: Span | None = None
    of_images: Node | None = None
    waiting: Node | None = None


@dataclass(frozen=True)
class _Normed:
    """Applications of nets that train with batch norm, and those `whole` over the whole batch."""

    names: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    of_images: Node | None = None


def limits_of(method: Method) -> Limits:
    """The limits of a method's steps.

    Groups of rows that all compute alike, for they are no runs of images, set none.
    """
    normed = _normed(method)
    splits = partitions(method)
    waiting = next((n for split in splits for n in _waiting(split)), None)
    found = Limits(of_images=normed.of_images, waiting=waiting)
    for node in (n for split in splits for n in split.graph.nodes):
        if node.name not in normed.names or node.setting("alike"):
            continue
        unit = lcm(found.unit, node.setting("group") or 1)
        if unit > found.unit:
            found = replace(found, unit=unit, unit_at=node.place)
    return found


def _waiting(split: Partition) -> Iterator[Node]:
    """Nets on images that take what depends on other images of the batch, such as a mask."""
    for node in split.graph.nodes:
        if node.op == APPLY and not split.is_embedding(node):
            types = (split.graph.node(n).type for n in node.references)
            if any(isinstance(type_, ViewType) for type_ in types):
                yield node


def partitions(method: Method, *, micro_batches: bool = False) -> list[Partition]:
    """The graphs of a method's steps, split by rows."""
    normed = _normed(method)
    whole = normed.whole if micro_batches else frozenset()
    shared = frozenset(method.shared)
    return [partition(graph, whole, shared, normed.names) for graph in method.graphs]


def _normed(method: Method) -> _Normed:
    found = _Normed()
    for graph, node in ((g, n) for g in method.graphs for n in g.nodes if n.op == APPLY):
        parts = _applied(node, method.nets)
        if node.setting("evaluation") or not any(has_batch_norm(part) for part in parts):
            continue
        found = replace(found, names=found.names | {node.name})
        if node.setting("group"):
            continue
        first = graph.node(node.references[0])
        of_images = node if isinstance(first.type, ViewType) else None
        found = replace(
            found, whole=found.whole | {node.name}, of_images=found.of_images or of_images
        )
    return found


def _applied(node: Node, nets: nn.Module) -> list[nn.Module]:
    """The parts of a net that a node applies."""
    net = nets.get_submodule(node.setting("net"))
    return list(net.children())[node.setting("start") or 0 : node.setting("stop")]


def _too_early(waiting: Node) -> Diagnostic:
    """Why a batch cannot be split at all."""
    return Diagnostic(
        "E743",
        f"`{waiting.setting('net')}` is applied to images with a mask that depends on other "
        "images of the batch",
        waiting.place,
        hint="one process computes it, in one piece; a mask by draws or by its own image is split",
    )


def micro_batch_problem(limits: Limits, micro_batch: int, rows: int) -> Diagnostic | None:
    """Why a process's `rows` images of a batch cannot be split into micro-batches, if so."""
    if micro_batch >= rows:
        return None
    if limits.waiting is not None:
        return _too_early(limits.waiting)
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
    if limits.waiting is not None:
        return _too_early(limits.waiting)
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
