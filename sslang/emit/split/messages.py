"""What the processes of a run tell each other in a step, counted from its compiled graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

from torch import nn

from sslang.emit.method import Method
from sslang.emit.nets.norms import norms_of
from sslang.emit.split.gradients import buckets_of
from sslang.emit.split.limits import partitions
from sslang.emit.states import incoming, size_of
from sslang.ir.graph import (
    APPLY,
    ASK,
    ENTER,
    FETCH,
    GATHER_ROWS,
    OWN_ROWS,
    PERMUTE,
    PRODUCT,
    TOTAL,
    Node,
)
from sslang.ir.partition import Partition, asked, carrying
from sslang.processes.shards import rows_of
from sslang.types import TensorType, ViewType

Way = Literal["gather", "sum", "exchange"]
_BYTES = {"float": 4, "int": 8, "bool": 1}


@dataclass(frozen=True)
class Message:
    """A collective of a step, called `calls` times. `bytes` are those of the whole, of all calls:
    of all rows, or of the sum; 0 for images, whose sizes only the data know.

    Over a ring of P processes each sends, and receives, (P - 1) / P of them in a gather, and
    2 (P - 1) / P in a sum. In an exchange each receives a part of P, and sends about as many.
    `at_most`: the data decide how many they are.
    """

    way: Way
    what: str
    backward: bool
    shape: tuple[int, ...]
    bytes: int
    calls: int = 1
    at_most: bool = False

    def sent(self, processes: int) -> float:
        """Bytes that each of so many processes sends."""
        if self.way == "exchange":
            return self.bytes / processes
        return self.bytes * (processes - 1) / processes * (2 if self.way == "sum" else 1)


def messages(method: Method, batch: int, processes: int) -> list[Message]:
    """The messages of a step after the first, on images already read, in float32.

    `method` is that of one of the processes, which knows the states that they share.
    """
    split = partitions(method)[-1]
    sizes = {**method.dims, "batch": batch}
    for state in method.program.states:
        sizes[state.name] = size_of(state.shape[0], sizes) if state.shape else 0
    trained = carrying(split) & asked(split)
    nodes = split.graph.nodes
    found = [m for n in nodes if n.op in (ASK, FETCH) for m in _asked(split, n, sizes, processes)]
    found += [m for n in nodes for m in _of(n, sizes, n.name in trained)]
    found += [
        m
        for n in nodes
        if n.op == PRODUCT
        for m in _product(split, n, sizes, processes, n.references[0] in trained)
    ]
    found += _entering(method, sizes, processes)
    found += [m for n in nodes for m in _batch_norms(split, n, method, processes)]
    for number, bucket in enumerate(buckets_of([p for _, p in method.trained()]), start=1):
        count = sum(p.numel() for p in bucket)
        found.append(Message("sum", f"gradients, part {number}", True, (count,), 4 * count))
    found += _statistics(method.nets)
    return found


def _of(node: Node, sizes: dict[str, int], trained: bool) -> Iterator[Message]:
    """The messages of a crossing, forward and backward."""
    if node.op == PERMUTE and isinstance(node.type, ViewType):
        what = f"images for {node.references[1]}, and their sizes"
        yield Message("sum", "the largest image", False, (2,), 16)
        yield Message("exchange", what, False, (sizes["batch"],), 0, 2)
        return
    if not isinstance(node.type, TensorType):
        return
    shape = tuple(size_of(s, sizes) for s in node.type.shape)
    bytes_ = prod(shape) * _BYTES[node.type.dtype]
    what = node.references[0] if node.references else node.name
    if node.op == GATHER_ROWS:
        yield Message("gather", what, False, shape, bytes_)
    elif node.op == TOTAL:
        yield Message("sum", what, False, shape, bytes_)
    elif node.op == ENTER and trained:
        yield Message("sum", what, True, shape, bytes_)
    elif node.op == OWN_ROWS and node.setting("batch") and trained:
        yield Message("gather", what, True, shape, bytes_)


def _asked(
    split: Partition, node: Node, sizes: dict[str, int], processes: int
) -> Iterator[Message]:
    """Rows of shared states: how many each asks of each, and which; and the rows.

    A row that a process names more than once is asked for once, and its own are no message but
    for the collective: how many there are of both only the indices know.
    """
    ask = node if node.op == ASK else split.graph.node(node.references[1])
    index = ask.references[0]
    assert isinstance(ask.type, TensorType)
    askers = 1 if split.local(ask.name) is not None else processes  # all ask for the same
    wanted = askers * prod(size_of(s, sizes) for s in ask.type.shape)
    count = min(wanted, processes * size_of(ask.setting("rows"), sizes))
    if node.op == ASK:
        yield Message("exchange", f"how many rows of {index} are whose", False,
                      (processes, processes, 2), 16 * processes**2)  # fmt: skip
        yield Message(
            "exchange", f"which rows of {index}", False, (count,), 8 * count, at_most=True
        )
        return
    state = split.graph.node(node.references[0])
    assert isinstance(state.type, TensorType)
    shape = (count, *(size_of(s, sizes) for s in state.type.shape[1:]))
    bytes_ = prod(shape) * _BYTES[state.type.dtype]
    what = f"rows of {state.name}[{index}]"
    yield Message("exchange", what, False, shape, bytes_, at_most=True)


def _product(
    split: Partition, node: Node, sizes: dict[str, int], processes: int, trained: bool
) -> Iterator[Message]:
    """`x @ state.T` of a shared state: rows of x to all, columns of the product to their rows."""
    left, state = (split.graph.node(name) for name in node.references)
    assert isinstance(left.type, TensorType) and isinstance(node.type, TensorType)
    shape = tuple(size_of(s, sizes) for s in left.type.shape)
    result = tuple(size_of(s, sizes) for s in node.type.shape)
    what, bytes_, of_result = f"{left.name} @ {state.name}.T", 4 * prod(shape), 4 * prod(result)
    if split.local(node.name) is None:
        yield Message("gather", what, False, result, of_result)
        if trained:
            yield Message("sum", left.name, True, shape, bytes_)
        return
    yield Message("gather", left.name, False, shape, bytes_)
    yield Message("exchange", what, False, result, of_result)
    if trained:
        yield Message("exchange", what, True, result, of_result)
        yield Message("exchange", left.name, True, (processes, *shape), processes * bytes_)


def _entering(method: Method, sizes: dict[str, int], processes: int) -> Iterator[Message]:
    """Rows of a shared queue that move to the process before, as others enter it."""
    for plan in method.program.states:
        write = method.graphs[-1].writes.get(plan.name)
        if plan.kind != "queue" or plan.name not in method.shared or write is None:
            continue
        type_ = method.graphs[-1].node(write.value).type
        assert isinstance(type_, TensorType)
        total, *row = (size_of(s, sizes) for s in plan.shape)
        count = min(size_of(type_.shape[0], sizes), total)
        places = [rows_of(total, rank, processes) for rank in range(processes)]
        moving = sum(high - low for low, high in (incoming(at, count) for at in places))
        yield Message("exchange", f"rows of {plan.name}", False, (moving, *row),
                      4 * moving * prod(row))  # fmt: skip


def _batch_norms(split: Partition, node: Node, method: Method, processes: int) -> Iterator[Message]:
    """Batch norm over the whole batch: statistics forward, sums of gradients backward."""
    if node.op != APPLY or node.setting("group") or node.setting("evaluation"):
        return
    if node.setting("alike") or split.local(node.name) is None:
        return
    net = method.nets.get_submodule(node.setting("net"))
    parts = list(net.children())[node.setting("start") or 0 : node.setting("stop")]
    norms = [norm for part in parts for norm in norms_of(part)]
    if not norms:
        return
    batches = 1 if node.setting("joint", True) else node.setting("views")
    widths = sum(norm.num_features for norm in norms)
    yield Message(
        "gather", f"statistics of {len(norms)} batch norms in {node.name}", False,
        (processes, batches, widths), processes * 4 * batches * (2 * widths + len(norms)),
        len(norms),
    )  # fmt: skip
    if any(p.requires_grad for part in parts for p in part.parameters()):
        yield Message(
            "sum", f"gradients of {len(norms)} batch norms in {node.name}", True,
            (batches, widths), 4 * batches * 2 * widths, len(norms),
        )  # fmt: skip


def _statistics(nets: nn.Module) -> list[Message]:
    norms = norms_of(nets)
    if not norms:
        return []
    count = sum(norm.num_features for norm in norms)
    what = "batch statistics of nets"
    return [
        Message("sum", what, False, (2 * count,), 4 * 2 * count),
        Message("sum", "how often they were taken", False, (len(norms),), 8 * len(norms)),
    ]
