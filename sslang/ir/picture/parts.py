"""What a picture consists of: boxes and edges, and how large a text is."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal

from sslang.records import record

Kind = Literal["image", "view", "net", "average", "function", "shuffle", "cut", "state", "loss"]
Line = Literal["data", "write", "ema"]
Pairs = Sequence[tuple[str, str]]

TITLE, SMALL = 13.0, 10.5  # font sizes in pixels, and the heights of their lines
TITLE_HEIGHT, SMALL_HEIGHT = 17.0, 14.0
MARGIN = 24.0  # around the picture


@record(frozen=True)
class Box:
    kind: Kind
    title: str
    lines: tuple[str, ...] = ()
    accent: str = ""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in pixels. The bars of a cut stand between its title and its line."""
        widths = [text_width(self.title, TITLE), *(text_width(line, SMALL) for line in self.lines)]
        height = TITLE_HEIGHT + SMALL_HEIGHT * len(self.lines)
        if self.kind == "cut":
            return max(widths), 45.0  # as a net's box, so that its edges stay level
        return max(widths) + 20, height + (24 if self.kind == "state" else 14)


@record(frozen=True)
class Edge:
    source: int
    target: int
    line: Line = "data"


@record(frozen=True)
class Sketch:
    """What is drawn: boxes, in an order that the data edges follow, and edges between them."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]

    def inputs(self, at: int) -> list[int]:
        return [e.source for e in self.edges if e.target == at and e.line == "data"]

    def users(self, at: int) -> list[int]:
        return [e.target for e in self.edges if e.source == at and e.line == "data"]


def text_width(text: str, size: float) -> float:
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
