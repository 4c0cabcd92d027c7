"""Which states of a step the processes share, so that each holds some rows of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

from sslang.emit.states import size_of
from sslang.ir.graph import Graph
from sslang.ir.partition import read_in_parts, reads
from sslang.ir.program import Program, StatePlan
from sslang.processes.group import Processes
from sslang.processes.shards import Rows, rows_of

SHARD_BYTES = 64 * 2**20  # a smaller state is not worth its messages
_BYTES = 4  # of a float32


def sharded_states(
    program: Program,
    graphs: Iterable[Graph],
    dims: Mapping[str, int],
    processes: Processes,
    least: int = SHARD_BYTES,
) -> dict[str, Rows]:
    """Banks and queues of at least `least` bytes, each with the rows that this process holds.

    All that reads them, in the `graphs` of the step, reads in parts; features do not read them.
    """
    if processes.alone:
        return {}
    listed = list(graphs)
    found: dict[str, Rows] = {}
    for plan in program.states:
        if _can_be_sharded(plan, program, listed):
            rows, *rest = (size_of(s, dims) for s in plan.shape)
            if rows * prod(rest) * _BYTES >= least:
                found[plan.name] = rows_of(rows, processes.rank, processes.count)
    return found


def _can_be_sharded(plan: StatePlan, program: Program, graphs: list[Graph]) -> bool:
    if plan.kind not in ("bank", "queue") or plan.latched:
        return False
    written = [graph.writes[plan.name] for graph in graphs if plan.name in graph.writes]
    if plan.kind == "bank" and any(write.index is None for write in written):
        return False
    if program.features is not None and reads(program.features, plan.name):
        return False
    return all(read_in_parts(graph, plan.name) for graph in graphs)
