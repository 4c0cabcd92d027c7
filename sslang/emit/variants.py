"""The graphs of a step that differ in time: the first step latches what the later ones read."""

from __future__ import annotations

from dataclasses import replace

from sslang.ir.graph import LATCH, READ, Graph, Write


def has_latches(graph: Graph) -> bool:
    """Whether a state of the graph begins as a value of the first step."""
    return any(node.op == LATCH for node in graph.nodes)


def first_step(graph: Graph) -> Graph:
    """The step that sees its own value as the state, and keeps it unless the spec writes another.

    Before:  Z = latch(p) state=Z        After:  Z = stop_grad(p)
                                                 write Z <- Z
    """
    latches = {n.setting("state"): n.name for n in graph.nodes if n.op == LATCH}
    nodes = tuple(
        replace(n, op="stop_grad", settings=()) if n.op == LATCH else n for n in graph.nodes
    )
    kept = {state: Write(name) for state, name in latches.items()}
    return Graph(nodes, graph.outputs, {**kept, **graph.writes})


def later_step(graph: Graph) -> Graph:
    """The step that reads the latched states; what made them is pruned."""
    nodes = tuple(replace(n, op=READ, inputs=()) if n.op == LATCH else n for n in graph.nodes)
    return Graph(nodes, graph.outputs, graph.writes).pruned()
