"""How it is drawn: SVG, or text for Graphviz."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from sslang.ir.graph import Graph
from sslang.ir.picture.layout import Course, Layout, Place, place
from sslang.ir.picture.parts import (
    MARGIN,
    SMALL,
    SMALL_HEIGHT,
    TITLE,
    TITLE_HEIGHT,
    Box,
    Edge,
    Kind,
    Pairs,
    Sketch,
    text_width,
)
from sslang.ir.picture.sketch import sketch

_STYLES: Mapping[Kind, tuple[str, str, str]] = {  # fill, border, text
    "image": ("#ffffff", "#55606b", "#1c232b"),
    "view": ("#f0f3f6", "#8592a0", "#1c232b"),
    "function": ("#ffffff", "#55606b", "#1c232b"),
    "shuffle": ("#ffffff", "#8592a0", "#1c232b"),
    "cut": ("none", "#b3261e", "#b3261e"),
    "state": ("#fdf1d3", "#a97b00", "#1c232b"),
    "loss": ("#b3261e", "#7f1712", "#ffffff"),
}


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


def _svg(drawn: Sketch, layout: Layout, title: str) -> str:
    width = max(layout.width, text_width(title, 20) + 2 * MARGIN)
    head = _text(MARGIN, MARGIN + 16, title, 'font-size="20" font-weight="bold"')
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
    font = f'font-size="{SMALL}" font-style="italic"'
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
    lines = len(box.lines) * SMALL_HEIGHT
    top = y + (height - TITLE_HEIGHT - lines) / 2 + (4 if box.kind == "state" else 0)
    below = 14 if box.kind == "cut" else 0  # its bars stand between
    if below:
        top = y - 2
    colour = f'fill="{_style(box)[2]}"'
    middle = x + width / 2
    anchor = 'text-anchor="middle"'
    rows = [_text(middle, top + 13, box.title,
                  f'{anchor} {colour} font-size="{TITLE}" font-weight="bold"')]  # fmt: skip
    left = box.kind == "view"
    for i, line in enumerate(box.lines):
        base = top + TITLE_HEIGHT + SMALL_HEIGHT * i + 10.5 + below
        extra = f'{colour} font-size="{SMALL}"' + ("" if left else f" {anchor}")
        rows.append(_text(x + 10 if left else middle, base, line, extra))
    return "".join(rows)


def _text(x: float, y: float, text: str, attributes: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{_safe(text)}</text>'


def _safe(text: str) -> str:
    """Escaped, and without the characters that XML cannot hold."""
    return escape(re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))
