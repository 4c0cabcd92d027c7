"""What belongs together: a view, a call, a net, a state is one box each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from graphlib import TopologicalSorter

from sslang.ir.graph import (
    APPLY,
    DRAW,
    FIELD,
    IMAGE,
    INPUT,
    LATCH,
    MEMBER,
    PERMUTE,
    READ,
    UNPERMUTE,
    WEIGHT,
    Graph,
    Node,
    Operand,
)
from sslang.ir.picture.parts import Box, Edge, Kind, Pairs, Sketch
from sslang.ops import PRIMITIVES
from sslang.types import SCALAR, Interval

_ALONE: Mapping[str, Kind] = {
    IMAGE: "image", INPUT: "image", DRAW: "image", PERMUTE: "shuffle", UNPERMUTE: "shuffle",
    READ: "state", LATCH: "state", WEIGHT: "net", "stop_grad": "cut",
}  # fmt: skip
_FIRST = (IMAGE, INPUT, DRAW, READ, LATCH, WEIGHT)  # boxes of their own, though nothing enters
_STATES = (READ, LATCH)
_INFIX = {"add": ("+", 1), "subtract": ("-", 1), "multiply": ("·", 2), "divide": ("/", 2),
          "modulo": ("%", 2), "matmul": ("@", 2), "power": ("^", 4), "equal": ("==", 0),
          "not_equal": ("!=", 0), "less": ("<", 0), "less_equal": ("<=", 0),
          "greater": (">", 0), "greater_equal": (">=", 0)}  # fmt: skip
_ATOM = 9  # binds closer than any operator
_WIDE = 46  # the longest line of a formula, in characters
_ACCENTS = ("#1f5fa8", "#2b7d4c", "#b5611a", "#7a4aa5", "#1e7f88", "#9c3f6b")


def sketch(graph: Graph, averages: Pairs = ()) -> Sketch:
    """The graph as boxes: views, calls, nets, states; members and constants are part of edges."""
    shown = {name: node for name, node in graph.outputs.items() if name != "embedding"}
    graph = replace(graph, outputs=shown).pruned()
    groups = _Groups(graph)
    order = groups.order()
    place_of = {number: at for at, number in enumerate(order)}
    accents = _accents(graph, averages)
    boxes = [_box(graph, groups.nodes[number], groups, accents) for number in order]
    edges = [Edge(place_of[s], place_of[t]) for t in order for s in sorted(groups.before[t])]
    states = {b.title: at for at, b in enumerate(boxes) if b.kind == "state"}
    for state, written in graph.writes.items():
        value = written.value
        if state not in states:
            states[state] = len(boxes)
            boxes.append(Box("state", state))
        edges.append(Edge(place_of[groups.of[value]], states[state], "write"))
    nets: dict[str, list[int]] = {}
    for at, box in enumerate(boxes):
        if box.kind in ("net", "average"):
            nets.setdefault(box.title, []).append(at)
    edges += [Edge(nets[source][0], nets[copy][0], "ema")
              for copy, source in averages if copy in nets and source in nets]  # fmt: skip
    return _folded(Sketch(tuple(boxes), tuple(edges)))


class _Groups:
    """The nodes of each box, found node by node; merging keeps the graph of boxes acyclic."""

    def __init__(self, graph: Graph) -> None:
        self.of: dict[str, int] = {}
        self.nodes: dict[int, list[Node]] = {}
        self.before: dict[int, set[int]] = {}
        self.constants: set[str] = set()
        self.rules = {node.name: _together(node) for node in graph.nodes}
        self._reads = Counter(i for node in graph.nodes for i in node.references)
        self._latest: dict[str, int] = {}  # the last box of a call, and the box of a state
        for number, node in enumerate(graph.nodes):
            known = [i for i in node.references if i in self.of]
            if known or node.op in _FIRST or node.name in graph.roots():
                self._add(number, node, known)
            else:
                self.constants.add(node.name)

    def _add(self, number: int, node: Node, known: list[str]) -> None:
        if node.op in (MEMBER, FIELD):
            number = self.of[known[0]]
        key = f"state {node.setting('state')}" if node.op in _STATES else node.scope
        if node.op in _STATES:
            number = self._latest.setdefault(key, number)
        self.of[node.name] = number
        self.nodes.setdefault(number, []).append(node)
        self.before.setdefault(number, {self.of[i] for i in known})
        for other in dict.fromkeys(self._candidates(node, known)):
            self._merge(other, self.of[node.name])
        if self.rules[node.name] == "call":
            self._latest[key] = self.of[node.name]

    def _candidates(self, node: Node, known: list[str]) -> list[int]:
        """The boxes that the node would share, if that makes no cycle."""
        match self.rules[node.name]:
            case "view":
                return [self.of[i] for i in known
                        if self.rules[i] == "view" and self._reads[i] == 1]  # fmt: skip
            case "call":
                return [self._latest[node.scope]] if node.scope in self._latest else []
            case "formula":
                return [self.of[i] for i in known if self.rules[i] == "formula"]
        return []

    def _merge(self, old: int, new: int) -> None:
        """One box of two, unless a path leads from one to the other through a third."""
        between = [(old, b) for b in self.before[new] - {old}]
        between += [(new, b) for b in self.before[old] - {new}]
        if old == new or any(first in self._ancestors(b) for first, b in between):
            return
        for node in self.nodes[new]:
            self.of[node.name] = old
        self.nodes[old] += self.nodes.pop(new)
        self.before[old] |= self.before.pop(new)
        for number, before in self.before.items():
            if new in before:
                before.remove(new)
                before.add(old)
            before.discard(number)

    def _ancestors(self, number: int) -> set[int]:
        found, waiting = {number}, [number]
        while waiting:
            fresh = self.before[waiting.pop()] - found
            found |= fresh
            waiting += fresh
        return found

    def order(self) -> list[int]:
        """The boxes, each after its inputs."""
        return list(TopologicalSorter({n: sorted(b) for n, b in sorted(self.before.items())})
                    .static_order())  # fmt: skip


def _together(node: Node) -> str:
    """By what rule a node shares a box: alone, view, call (of one function) or formula."""
    if node.op in _ALONE or node.op in (APPLY, MEMBER, FIELD):
        return "alone"
    if node.op in PRIMITIVES and PRIMITIVES[node.op].kind == "view":
        return "view"
    return "call" if node.scope else "formula"


def _accents(graph: Graph, averages: Pairs) -> dict[str, str]:
    """A colour for each net; a copy has the colour of what it follows."""
    sources = dict(averages)
    accents: dict[str, str] = {}
    for node in graph.nodes:
        if node.op == APPLY:
            name = _source(node.setting("net"), sources)
            accents.setdefault(name, _ACCENTS[len(accents) % len(_ACCENTS)])
    nets = {n.setting("net") for n in graph.nodes if n.op == APPLY}
    return {net: accents[_source(net, sources)] for net in nets}


def _source(net: str, sources: Mapping[str, str]) -> str:
    return sources.get(net, net.rpartition(".")[2])


def _box(graph: Graph, nodes: list[Node], groups: _Groups, accents: Mapping[str, str]) -> Box:
    """The box of nodes that belong together; the last of them gives its value."""
    nodes = [node for node in nodes if node.op not in (MEMBER, FIELD)]
    last = nodes[-1]
    value = _plain(last.name)
    if last.op == APPLY:
        net = last.setting("net")
        kind: Kind = "average" if "." in net else "net"
        box = Box(kind, net, (_valued(value, net, last),), accents[net])
    elif last.op in _ALONE:
        state = last.setting("state", "")
        titles = {IMAGE: "image", INPUT: last.setting("name", ""), DRAW: value, PERMUTE: "shuffle",
                  UNPERMUTE: "unshuffle", "stop_grad": "stop-grad", READ: state, LATCH: state,
                  WEIGHT: last.setting("net", "")}  # fmt: skip
        named = (value,) if value != "stop_grad" else ()
        shape = (f"{last.type}",)
        below = {READ: shape, LATCH: shape, WEIGHT: shape, DRAW: shape, "stop_grad": named}
        accent = _ACCENTS[0] if last.op == WEIGHT else ""
        box = Box(_ALONE[last.op], titles[last.op], below.get(last.op, ()), accent)
    elif groups.rules[last.name] == "view":
        sites = [n.setting("site", "").split("/") for n in nodes]
        names = [site[1] for site in sites if len(site) == 3]
        box = Box("view", names[-1] if names else last.name, tuple(_view_op(n) for n in nodes))
    elif groups.rules[last.name] == "call":
        function = last.scope.rpartition("/")[0] or last.scope
        box = Box("function", function, (_valued(value, function, last),))
    else:
        formula = _formula(graph, nodes, groups)
        box = Box("function", formula[0], (*formula[1:], _valued(value, last.op, last)))
    if graph.outputs.get("loss") not in [n.name for n in nodes]:
        return box
    lines = box.lines[:-1] if box.kind == "function" else box.lines
    return replace(box, kind="loss", title="loss", lines=(box.title, *lines))


def _plain(name: str) -> str:
    """A node's name without the number that makes it unique."""
    return re.sub(r"_\d+$", "", name)


def _valued(value: str, title: str, node: Node) -> str:
    """The type of a box's value, after the value's name where it has one of its own."""
    same = value in (title.replace(".", "_"), node.op)
    shape = "scalar" if node.type == SCALAR else f"{node.type}"
    return shape if same else f"{value}: {shape}"


def _view_op(node: Node) -> str:
    given = [v for k, v in node.settings if k not in ("site", "probability")]
    shown = [_number(v) for v in given if isinstance(v, int | float | Interval)]
    share = node.setting("probability", 1)
    return f"{node.op} {', '.join(shown)}".rstrip() + (f" @ {share:g}" if share != 1 else "")


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else f"{value}"


def _formula(graph: Graph, nodes: list[Node], groups: _Groups) -> tuple[str, ...]:
    """What nodes compute, as lines of a formula over the values that enter; else their ops."""
    inside = {n.name for n in nodes}
    known: dict[str, tuple[str, int]] = {}
    for node in graph.nodes:
        if node.op == MEMBER and node.name.startswith(MEMBER):
            known[node.name] = known[node.references[0]]
        elif node.op == FIELD:
            known[node.name] = (f"{known[node.references[0]][0]}.{node.setting('name')}", _ATOM)
        elif node.name in inside or (node.name in groups.constants and node.references):
            known[node.name] = _expression(node, known)
        else:
            known[node.name] = (_plain(node.name), _ATOM)
    lines: list[str] = []
    for term in re.split(r" (?=\+ )", known[nodes[-1].name][0]):
        fits = lines and len(lines[-1]) + len(term) < 30
        lines = [*lines[:-1], f"{lines[-1]} {term}"] if fits else [*lines, term]
    if len(lines) <= 4 and max(map(len, lines)) <= _WIDE:
        return tuple(lines)
    ops = list(dict.fromkeys(n.op for n in nodes))
    return (", ".join(ops[:3]) + (", …" if len(ops) > 3 else ""),)


def _expression(node: Node, known: Mapping[str, tuple[str, int]]) -> tuple[str, int]:
    """A node as text, and how close it binds. Text too long to be shown stays short."""

    def operand(value: Operand) -> tuple[str, int]:
        if isinstance(value, str):
            return known[value]
        return (_number(value), _ATOM) if value is not None else ("none", _ATOM)

    def bound(value: Operand, least: int) -> str:
        text, binds = operand(value)
        return text if binds >= least else f"({text})"

    if node.op in _INFIX:
        sign, binds = _INFIX[node.op]
        left, right = node.inputs
        closer = binds + (node.op in ("subtract", "divide", "modulo", "power"))
        space = "" if binds in (2, 4) and sign != "@" else " "
        text = f"{bound(left, binds)}{space}{sign}{space}{bound(right, closer)}"
    elif node.op == "negative":
        text, binds = f"-{bound(node.inputs[0], 3)}", 3
    elif node.op == "transpose":
        text, binds = f"{bound(node.inputs[0], _ATOM)}.T", _ATOM
    else:
        text, binds = f"{node.op}({', '.join(operand(i)[0] for i in node.inputs)})", _ATOM
    return (text, binds) if len(text) < 5 * _WIDE else ("…" * 5 * _WIDE, _ATOM)


def _folded(drawn: Sketch) -> Sketch:
    """Equal calls on the members of one value, with the same users, drawn as one box."""
    alike: dict[object, list[int]] = {}
    for at, box in enumerate(drawn.boxes):
        around = (tuple(drawn.inputs(at)), tuple(drawn.users(at)))
        joins = box.kind == "function" and all(around)
        alike.setdefault((box, around) if joins else at, []).append(at)
    new = {old: place for place, group in enumerate(alike.values()) for old in group}
    boxes = [replace(drawn.boxes[g[0]], title=drawn.boxes[g[0]].title + (f" × {len(g)}" if
             len(g) > 1 else "")) for g in alike.values()]  # fmt: skip
    edges = dict.fromkeys(Edge(new[e.source], new[e.target], e.line) for e in drawn.edges)
    return Sketch(tuple(boxes), tuple(edges))
