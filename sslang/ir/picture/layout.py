"""Where it stands: columns by longest path, few crossings, edges between columns only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise

from sslang.ir.picture.parts import MARGIN, Edge, Sketch
from sslang.records import record

_GAP, _BETWEEN = 52.0, 26.0  # between columns, between boxes

Place = tuple[float, float, float, float]  # x, y, width, height


@record(frozen=True)
class Course:
    """An edge as path data, and where its label begins."""

    data: str
    label: tuple[float, float]


@record(frozen=True)
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
    bottom = max((y + h for _, y, _, h in boxes), default=MARGIN)
    courses = _courses(drawn, chains, boxes, middles, [spans[n] for n in layers], spans, bottom)
    looped = any(e.line == "write" and n not in chains for n, e in enumerate(drawn.edges))
    return Layout(spans[-1][1] + MARGIN, bottom + MARGIN + 16 * looped, tuple(boxes), courses)


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
    shift = 2 * MARGIN + 20 - top  # below the title
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
    spans, left = [], MARGIN
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


def _nearest(drawn: Sketch, boxes: Sequence[Place], edge: Edge) -> tuple[Place, Place]:
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
