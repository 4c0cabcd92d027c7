"""The IR as a picture: what belongs together in one box, layers from left to right, SVG or DOT.

A view is one box, a call of a function is one, an application of a net is one; `stop_grad` is a
double bar across its edge, a state is a cylinder with a dashed edge for what is written back, and
a dotted edge leads from a net to the copy that follows it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from html import escape
from itertools import pairwise
from typing import Literal

from sslang.ir.graph import APPLY, IMAGE, MEMBER, PERMUTE, READ, UNPERMUTE, Graph, Node, Operand
from sslang.ops import PRIMITIVES
from sslang.types import SCALAR, Interval

Kind = Literal["image", "view", "net", "average", "function", "shuffle", "cut", "state", "loss"]
Line = Literal["data", "write", "ema"]
Pairs = Sequence[tuple[str, str]]

_ALONE: Mapping[str, Kind] = {IMAGE: "image", PERMUTE: "shuffle", UNPERMUTE: "shuffle",
                              READ: "state", "stop_grad": "cut"}  # fmt: skip
_INFIX = {"add": ("+", 1), "subtract": ("-", 1), "multiply": ("·", 2), "divide": ("/", 2),
          "modulo": ("%", 2), "matmul": ("@", 2), "power": ("^", 4), "equal": ("==", 0),
          "not_equal": ("!=", 0), "less": ("<", 0), "less_equal": ("<=", 0),
          "greater": (">", 0), "greater_equal": (">=", 0)}  # fmt: skip
_ATOM = 9  # binds closer than any operator
_TITLE, _SMALL = 13.0, 10.5  # font sizes in pixels, and the heights of their lines
_TITLE_HEIGHT, _SMALL_HEIGHT = 17.0, 14.0
_GAP, _BETWEEN, _MARGIN = 52.0, 26.0, 24.0  # between columns, between boxes, around
_WIDE = 46  # the longest line of a formula, in characters
_ACCENTS = ("#1f5fa8", "#2b7d4c", "#b5611a", "#7a4aa5", "#1e7f88", "#9c3f6b")
_STYLES: Mapping[Kind, tuple[str, str, str]] = {  # fill, border, text
    "image": ("#ffffff", "#55606b", "#1c232b"),
    "view": ("#f0f3f6", "#8592a0", "#1c232b"),
    "function": ("#ffffff", "#55606b", "#1c232b"),
    "shuffle": ("#ffffff", "#8592a0", "#1c232b"),
    "cut": ("none", "#b3261e", "#b3261e"),
    "state": ("#fdf1d3", "#a97b00", "#1c232b"),
    "loss": ("#b3261e", "#7f1712", "#ffffff"),
}


@dataclass(frozen=True)
class Box:
    kind: Kind
    title: str
    lines: tuple[str, ...] = ()
    accent: str = ""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in pixels. The bars of a cut stand between its title and its line."""
        widths = [_width(self.title, _TITLE), *(_width(line, _SMALL) for line in self.lines)]
        height = _TITLE_HEIGHT + _SMALL_HEIGHT * len(self.lines)
        if self.kind == "cut":
            return max(widths), 45.0  # as a net's box, so that its edges stay level
        return max(widths) + 20, height + (24 if self.kind == "state" else 14)


@dataclass(frozen=True)
class Edge:
    source: int
    target: int
    line: Line = "data"


@dataclass(frozen=True)
class Sketch:
    """What is drawn: boxes, in an order that the data edges follow, and edges between them."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]

    def inputs(self, at: int) -> list[int]:
        return [e.source for e in self.edges if e.target == at and e.line == "data"]

    def users(self, at: int) -> list[int]:
        return [e.target for e in self.edges if e.source == at and e.line == "data"]


def graph_svg(graph: Graph, *, title: str, averages: Pairs = ()) -> str:
    """The graph as one SVG file that needs no other; `averages`: pairs of (copy, source)."""
    drawn = sketch(graph, averages)
    return _svg(drawn, place(drawn), title)


def graph_dot(graph: Graph, title: str, averages: Pairs = ()) -> str:
    """The same boxes and edges as text for Graphviz."""
    drawn = sketch(graph, averages)
    shapes = {"state": "cylinder", "cut": "plaintext", "image": "box3d", "loss": "doubleoctagon"}
    quoted = title.replace("\\", "\\\\").replace('"', '\\"')
    rows = [f'digraph "{quoted}" {{', f'  label="{quoted}"; labelloc=t; rankdir=LR;',
            '  node [shape=box, fontname="Helvetica", fontsize=11];']  # fmt: skip
    for at, box in enumerate(drawn.boxes):
        lines = (("‖ " if box.kind == "cut" else "") + box.title, *box.lines)
        label = "\\n".join(t.replace("\\", "\\\\").replace('"', '\\"') for t in lines)
        style = "dashed" if box.kind == "average" else "solid"
        colour = _style(box)[1]
        rows.append(f'  n{at} [label="{label}", shape={shapes.get(box.kind, "box")}, '
                    f'style={style}, color="{colour}"];')  # fmt: skip
    styles = {"data": "", "write": ' [style=dashed, label="write", constraint=false]',
              "ema": ' [style=dotted, label="ema", constraint=false]'}  # fmt: skip
    rows += [f"  n{e.source} -> n{e.target}{styles[e.line]};" for e in drawn.edges]
    return "\n".join([*rows, "}"]) + "\n"


# What belongs together.


def sketch(graph: Graph, averages: Pairs = ()) -> Sketch:
    """The graph as boxes: views, calls, nets, states; members and constants are part of edges."""
    groups = _Groups(graph)
    order = groups.order()
    place_of = {number: at for at, number in enumerate(order)}
    accents = _accents(graph, averages)
    boxes = [_box(graph, groups.nodes[number], groups, accents) for number in order]
    edges = [Edge(place_of[s], place_of[t]) for t in order for s in sorted(groups.before[t])]
    states = {b.title: at for at, b in enumerate(boxes) if b.kind == "state"}
    for state, value in graph.writes.items():
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
            if known or node.op in (IMAGE, READ) or node.name in graph.roots():
                self._add(number, node, known)
            else:
                self.constants.add(node.name)

    def _add(self, number: int, node: Node, known: list[str]) -> None:
        if node.op == MEMBER:
            number = self.of[known[0]]
        key = f"state {node.setting('state')}" if node.op == READ else node.scope
        if node.op == READ:
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
    if node.op in _ALONE or node.op == APPLY:
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
    nodes = [node for node in nodes if node.op != MEMBER]
    last = nodes[-1]
    value = _plain(last.name)
    if last.op == APPLY:
        net = last.setting("net")
        kind: Kind = "average" if "." in net else "net"
        box = Box(kind, net, (_valued(value, net, last),), accents[net])
    elif last.op in _ALONE:
        titles = {IMAGE: "image", PERMUTE: "shuffle", UNPERMUTE: "unshuffle",
                  "stop_grad": "stop-grad", READ: last.setting("state", "")}  # fmt: skip
        named = (value,) if value != "stop_grad" else ()
        below = {READ: (f"{last.type}",), "stop_grad": named}.get(last.op, ())
        box = Box(_ALONE[last.op], titles[last.op], below)
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


# Where it stands: columns by longest path, few crossings, edges between columns only.


Place = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True)
class Course:
    """An edge as path data, and where its label begins."""

    data: str
    label: tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """In pixels: the whole, the place of each box, the course of each edge."""

    width: float
    height: float
    boxes: tuple[Place, ...]
    courses: tuple[Course, ...]


def place(drawn: Sketch) -> Layout:
    """Boxes in columns from left to right; data edges bend only between columns."""
    layers = _layers(drawn)
    columns: list[list[int]] = [[] for _ in range(max(layers, default=0) + 1)]
    for at, layer in enumerate(layers):
        columns[layer].append(at)
    chains: dict[int, list[int]] = {}  # of an edge: its ends and the bends between them
    count = len(layers)
    for number, edge in enumerate(drawn.edges):
        first, last = layers[edge.source], layers[edge.target]
        if edge.line == "ema" or first >= last:
            continue
        bends = list(range(count, count + last - first - 1))
        count += len(bends)
        for bend, layer in zip(bends, range(first + 1, last), strict=True):
            columns[layer].append(bend)
        chains[number] = [edge.source, *bends, edge.target]
    links = [pair for chain in chains.values() for pair in pairwise(chain)]
    _order(columns, links, drawn)
    sizes = {at: box.size for at, box in enumerate(drawn.boxes)}
    middles = _middles(columns, links, sizes)
    spans = _columns(columns, sizes)
    layer_of = {at: layer for layer, column in enumerate(columns) for at in column}
    boxes = []
    for at, (width, height) in sizes.items():
        left, right = spans[layer_of[at]]
        boxes.append(((left + right - width) / 2, middles[at] - height / 2, width, height))
    bottom = max((y + h for _, y, _, h in boxes), default=_MARGIN)
    courses = _courses(drawn, chains, boxes, middles, [spans[n] for n in layers], spans, bottom)
    looped = any(e.line == "write" and n not in chains for n, e in enumerate(drawn.edges))
    return Layout(spans[-1][1] + _MARGIN, bottom + _MARGIN + 16 * looped, tuple(boxes), courses)


def _layers(drawn: Sketch) -> list[int]:
    """The column of each box; a copy stands under what it follows where that costs no column."""
    least = [0] * len(drawn.boxes)
    unread = {e for e in drawn.edges if e.line == "write" and not drawn.users(e.target)}
    forward = [e for e in drawn.edges if e.line == "data" or e in unread]
    inputs = {at: [e.source for e in forward if e.target == at] for at in range(len(least))}
    users = {at: [e.target for e in forward if e.source == at] for at in range(len(least))}
    order = list(TopologicalSorter(inputs).static_order())

    def earliest() -> list[int]:
        layers = list(least)
        for at in order:
            layers[at] = max([least[at], *(layers[i] + 1 for i in inputs[at])])
        return layers

    layers = earliest()
    latest = [max(layers, default=0)] * len(least)
    for at in reversed(order):
        latest[at] = min([latest[at], *(latest[i] - 1 for i in users[at])])
    for edge in drawn.edges:
        if edge.line == "ema":
            least[edge.source] = min(latest[edge.source], layers[edge.target])
    layers = earliest()
    for at, box in enumerate(drawn.boxes):
        if box.kind == "state" and not inputs[at] and users[at]:
            layers[at] = min(layers[i] for i in users[at]) - 1
    return layers


def _order(columns: list[list[int]], links: Sequence[tuple[int, int]], drawn: Sketch) -> None:
    """Sort each column by the mean place of the neighbours, then swap while crossings go."""
    near = _neighbours(links)
    last = {at for at, box in enumerate(drawn.boxes) if box.kind == "state"}
    for sweep in range(12):
        forward = sweep % 2 == 0
        place = {at: float(i) for column in columns for i, at in enumerate(column)}
        for column in columns if forward else columns[::-1]:
            wanted = {}
            for at in column:
                wanted[at] = _mean(near[not forward].get(at, []), place, place[at])
            column.sort(key=lambda at: (at in last, wanted[at]))
            place |= {at: float(i) for i, at in enumerate(column)}
    for _ in range(8):
        for column in columns:
            place = {at: float(i) for c in columns for i, at in enumerate(c)}
            for i in range(len(column) - 1):
                a, b = column[i], column[i + 1]
                if (a in last) == (b in last) and _gain(near, place, a, b) > 0:
                    column[i], column[i + 1] = b, a


def _neighbours(links: Iterable[tuple[int, int]]) -> tuple[dict[int, list[int]], ...]:
    """Of each place: those linked to it in the column before, and in the column after."""
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for source, target in links:
        before.setdefault(target, []).append(source)
        after.setdefault(source, []).append(target)
    return before, after


def _gain(
    near: Sequence[Mapping[int, list[int]]], place: Mapping[int, float], a: int, b: int
) -> int:
    """How many crossings go when b comes before a."""
    pairs = [(place[i], place[j]) for side in near
             for i in side.get(a, []) for j in side.get(b, [])]  # fmt: skip
    return sum(i > j for i, j in pairs) - sum(i < j for i, j in pairs)


def _middles(
    columns: Sequence[list[int]],
    links: Sequence[tuple[int, int]],
    sizes: Mapping[int, tuple[float, float]],
) -> dict[int, float]:
    """The height at which the middle of each box and bend lies: edges as level as they can be."""
    heights = {at: sizes[at][1] if at in sizes else 4.0 for column in columns for at in column}
    pulls: dict[int, list[int]] = {at: [] for at in heights}
    for a, b in links:
        pulls[a].append(b)
        pulls[b].append(a)
    middles = dict.fromkeys(heights, 0.0)
    for column in columns:
        middles |= _apart(column, dict.fromkeys(column, 0.0), heights)
    for sweep in range(30):
        for column in columns if sweep % 2 == 0 else columns[::-1]:
            wanted = {at: _mean(pulls[at], middles, middles[at]) for at in column}
            middles |= _apart(column, wanted, heights)
    before = _neighbours(links)[0]
    for column in columns:  # at last level with what is left of it
        wanted = {at: _mean(before.get(at, []), middles, middles[at]) for at in column}
        middles |= _apart(column, wanted, heights)
    top = min((middles[at] - heights[at] / 2 for at in heights), default=0.0)
    shift = 2 * _MARGIN + 20 - top  # below the title
    return {at: middle + shift for at, middle in middles.items()}


def _mean(places: Sequence[int], values: Mapping[int, float], otherwise: float) -> float:
    return sum(values[at] for at in places) / len(places) if places else otherwise


def _apart(
    column: Sequence[int], wanted: Mapping[int, float], heights: Mapping[int, float]
) -> dict[int, float]:
    """The nearest middles in least squares that keep order and distance (pooled violators)."""
    offsets = [0.0]
    for a, b in pairwise(column):
        offsets.append(offsets[-1] + (heights[a] + heights[b]) / 2 + _BETWEEN)
    pools: list[tuple[float, int]] = []  # the sum of what its places want, and their number
    for at, offset in zip(column, offsets, strict=False):
        total, count = wanted[at] - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            before, more = pools.pop()
            total, count = total + before, count + more
        pools.append((total, count))
    bases = [total / count for total, count in pools for _ in range(count)]
    return {at: b + o for at, b, o in zip(column, bases, offsets, strict=False)}


def _columns(
    columns: Sequence[list[int]], sizes: Mapping[int, tuple[float, float]]
) -> list[tuple[float, float]]:
    """Left and right of each column."""
    spans, left = [], _MARGIN
    for column in columns:
        width = max((sizes[at][0] for at in column if at in sizes), default=0.0)
        spans.append((left, left + width))
        left += width + _GAP
    return spans


def _courses(
    drawn: Sketch,
    chains: Mapping[int, list[int]],
    boxes: Sequence[Place],
    middles: Mapping[int, float],
    own: Sequence[tuple[float, float]],
    spans: Sequence[tuple[float, float]],
    bottom: float,
) -> tuple[Course, ...]:
    ends = _ports(drawn, chains, boxes, middles)
    courses = []
    for number, edge in enumerate(drawn.edges):
        source, target = boxes[edge.source], boxes[edge.target]
        if edge.line == "ema":
            courses.append(_upright(*_nearest(drawn, boxes, edge)))
        elif number in chains:
            chain = chains[number]
            first = spans.index(own[edge.source])
            between = list(pairwise(spans[first : first + len(chain)]))
            heights = [ends[number, 0], *(middles[b] for b in chain[1:-1]), ends[number, 1]]
            cut = [drawn.boxes[i].kind == "cut" for i in (edge.source, edge.target)]
            start = source[0] + source[2] * (0.5 if cut[0] else 1)
            stop = target[0] + target[2] * (0.5 if cut[1] else 0)
            courses.append(_across(start, stop, between, heights))
        elif _touching(boxes, edge):
            courses.append(_upright(source, target))
        else:
            courses.append(_around(source, target, own[edge.source], own[edge.target], bottom))
    return tuple(courses)


def _ports(
    drawn: Sketch,
    chains: Mapping[int, list[int]],
    boxes: Sequence[Place],
    middles: Mapping[int, float],
) -> dict[tuple[int, int], float]:
    """The height at which each edge leaves its source (0) and meets its target (1)."""
    sides: dict[tuple[int, int], list[int]] = {}
    for number in chains:
        sides.setdefault((drawn.edges[number].source, 0), []).append(number)
        sides.setdefault((drawn.edges[number].target, 1), []).append(number)
    ports = {}
    for (at, end), numbers in sides.items():
        numbers.sort(key=lambda n: middles[chains[n][1 if end == 0 else -2]])
        room = 0.0 if drawn.boxes[at].kind == "cut" else boxes[at][3] - 10
        step = min(16.0, room / len(numbers))
        for i, number in enumerate(numbers):
            ports[number, end] = middles[at] + step * (i - (len(numbers) - 1) / 2)
    return ports


def _across(
    start: float,
    stop: float,
    between: Sequence[tuple[tuple[float, float], tuple[float, float]]],
    heights: Sequence[float],
) -> Course:
    """Level through the columns, bent between them."""
    path = f"M{start:.1f} {heights[0]:.1f}"
    for ((_, left), (right, _)), (y, z) in zip(between, pairwise(heights), strict=True):
        half = (left + right) / 2
        path += f"H{left:.1f}C{half:.1f} {y:.1f} {half:.1f} {z:.1f} {right:.1f} {z:.1f}"
    return Course(f"{path}H{stop:.1f}", (between[-1][1][0] - 30, heights[-1] - 6))


def _nearest(
    drawn: Sketch, boxes: Sequence[Place], edge: Edge
) -> tuple[Place, Place]:
    """Of the applications of the two nets, the two that are closest."""
    ends = [[where for box, where in zip(drawn.boxes, boxes, strict=True)
             if box.title == drawn.boxes[end].title and box.kind == drawn.boxes[end].kind]
            for end in (edge.source, edge.target)]  # fmt: skip
    pairs = [(a, b) for a in ends[0] for b in ends[1]]
    return min(pairs, key=lambda pair: 3 * abs(_centre(pair[0]) - _centre(pair[1]))
               + abs(pair[0][1] - pair[1][1]))  # fmt: skip


def _centre(where: Place) -> float:
    return where[0] + where[2] / 2


def _touching(boxes: Sequence[Place], edge: Edge) -> bool:
    """Whether the target is next in the source's column: nothing stands between their middles."""
    x, y, width, height = boxes[edge.source]
    a, b, wide, high = boxes[edge.target]
    middle, low, upper = x + width / 2, min(y + height, b + high), max(y, b)
    free = not any(u < middle < u + w and v < upper and v + h > low for u, v, w, h in boxes)
    return abs(middle - a - wide / 2) < 1 and free


def _upright(source: Place, target: Place) -> Course:
    """From the side of the source that faces the target, upright at both ends."""
    x, a = source[0] + source[2] / 2, target[0] + target[2] / 2
    down = source[1] < target[1]
    y = source[1] + source[3] * down
    b = target[1] + target[3] * (not down)
    half = (y + b) / 2
    data = f"M{x:.1f} {y:.1f}C{x:.1f} {half:.1f} {a:.1f} {half:.1f} {a:.1f} {b:.1f}"
    return Course(data, ((x + a) / 2 + 6, half + 3))


def _around(
    source: Place,
    target: Place,
    out: tuple[float, float],
    back: tuple[float, float],
    bottom: float,
) -> Course:
    """Out at the right, below everything, and in at the left: for what is written back."""
    y, b, low = source[1] + source[3] / 2, target[1] + target[3] / 2, bottom + 16
    right, left = out[1] + _GAP / 3, back[0] - _GAP / 3
    start = source[0] + source[2]
    data = (f"M{start:.1f} {y:.1f}H{right - 8:.1f}q8 0 8 8V{low - 8:.1f}q0 8 -8 8"
            f"H{left + 8:.1f}q-8 0 -8 -8V{b + 8:.1f}q0 -8 8 -8H{target[0]:.1f}")  # fmt: skip
    return Course(data, (left + 12, low - 5))


# How it is drawn.


def _svg(drawn: Sketch, layout: Layout, title: str) -> str:
    width = max(layout.width, _width(title, 20) + 2 * _MARGIN)
    head = _text(_MARGIN, _MARGIN + 16, title, 'font-size="20" font-weight="bold"')
    rows = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
        f'height="{layout.height:.0f}" viewBox="0 0 {width:.0f} {layout.height:.0f}" role="img" '
        'font-family="Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif" '
        'fill="#1c232b">',
        f"<title>{_safe(title)}</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0.6L8 4L0 7.4z" fill="#55606b"/></marker>'
        "</defs>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        head,
    ]
    for edge, course in zip(drawn.edges, layout.courses, strict=True):
        rows.append(_edge(drawn, edge, course))
    for box, where in zip(drawn.boxes, layout.boxes, strict=True):
        rows.append(f'<g class="{box.kind}">{_shape(box, where)}{_labels(box, where)}</g>')
    return "\n".join([*rows, "</svg>"]) + "\n"


def _edge(drawn: Sketch, edge: Edge, course: Course) -> str:
    dashes = {"data": "", "write": ' stroke-dasharray="7 4"', "ema": ' stroke-dasharray="1.5 4"'}
    bare = edge.line == "data" and drawn.boxes[edge.target].kind == "cut"
    tip = "" if bare else ' marker-end="url(#tip)"'
    line = (f'<path class="{edge.line}" d="{course.data}" fill="none" stroke="#55606b" '
            f'stroke-width="1.5"{dashes[edge.line]}{tip}/>')  # fmt: skip
    if edge.line == "data":
        return line
    halo = 'stroke="#ffffff" stroke-width="3" paint-order="stroke"'
    font = f'font-size="{_SMALL}" font-style="italic"'
    return line + _text(*course.label, edge.line, f"{font} {halo}")


def _style(box: Box) -> tuple[str, str, str]:
    """Fill, border and text. A net is filled with a tint of its colour, a copy is hollow."""
    if box.kind not in ("net", "average"):
        return _STYLES[box.kind]
    if box.kind == "average":
        return "#ffffff", box.accent, box.accent
    tint = "".join(f"{255 - (255 - int(box.accent[i : i + 2], 16)) // 5:02x}" for i in (1, 3, 5))
    return f"#{tint}", box.accent, "#1c232b"


def _shape(box: Box, where: Place) -> str:
    x, y, width, height = where
    fill, border, _ = _style(box)
    paint = f'fill="{fill}" stroke="{border}" stroke-width="{1.5 + 0.5 * (box.kind == "loss")}"'
    if box.kind == "cut":
        a, b = x + width / 2, y + height / 2
        return (f'<path d="M{a - 3:.1f} {b - 7:.1f}v14M{a + 3:.1f} {b - 7:.1f}v14" '
                f'fill="none" stroke="{border}" stroke-width="2.5"/>')  # fmt: skip
    if box.kind == "state":
        arc, half = 6.0, width / 2
        d = (f"M{x:.1f} {y + arc:.1f}a{half:.1f} {arc} 0 0 1 {width:.1f} 0v{height - 2 * arc:.1f}"
             f"a{half:.1f} {arc} 0 0 1 {-width:.1f} 0z"
             f"m0 0a{half:.1f} {arc} 0 0 0 {width:.1f} 0")  # fmt: skip
        return f'<path d="{d}" {paint}/>'
    radius = {"function": 12, "image": 0, "loss": 8}.get(box.kind, 4)
    dashes = ' stroke-dasharray="6 3"' if box.kind == "average" else ""
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'rx="{radius}" {paint}{dashes}/>')  # fmt: skip


def _labels(box: Box, where: Place) -> str:
    x, y, width, height = where
    lines = len(box.lines) * _SMALL_HEIGHT
    top = y + (height - _TITLE_HEIGHT - lines) / 2 + (4 if box.kind == "state" else 0)
    below = 14 if box.kind == "cut" else 0  # its bars stand between
    if below:
        top = y - 2
    colour = f'fill="{_style(box)[2]}"'
    middle = x + width / 2
    anchor = 'text-anchor="middle"'
    rows = [_text(middle, top + 13, box.title,
                  f'{anchor} {colour} font-size="{_TITLE}" font-weight="bold"')]  # fmt: skip
    left = box.kind == "view"
    for i, line in enumerate(box.lines):
        base = top + _TITLE_HEIGHT + _SMALL_HEIGHT * i + 10.5 + below
        extra = f'{colour} font-size="{_SMALL}"' + ("" if left else f" {anchor}")
        rows.append(_text(x + 10 if left else middle, base, line, extra))
    return "".join(rows)


def _text(x: float, y: float, text: str, attributes: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{_safe(text)}</text>'


def _safe(text: str) -> str:
    """Escaped, and without the characters that XML cannot hold."""
    return escape(re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))


def _width(text: str, size: float) -> float:
    """A text's width in pixels, a little generous: fonts differ between machines."""
    share = 0.0
    for c in text:
        if c in "iljtfr.,:;|!'()[] ":
            share += 0.34
        elif c in "mwMW@%…" or unicodedata.east_asian_width(c) in "WF":
            share += 1.0
        else:
            share += 0.68 if c.isupper() else 0.59
    return share * size
