"""A partitioned graph as it grows: nodes, and the crossings between parts, each made once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sslang.ir.graph import DRAW, ENTER, GATHER_ROWS, IMAGE, ONCE, OWN_ROWS, Graph, Node
from sslang.ir.partition.placement import ANY_ORDER, Columns, Local, Placement, Whole
from sslang.ops import PRIMITIVES


class Growing:
    """The nodes so far, where their rows are, and what has crossed."""

    def __init__(self, graph: Graph) -> None:
        self.nodes: list[Node] = []
        self.by_name: dict[str, Node] = {}
        self.placed: dict[str, Placement] = {}
        self.of_images: set[str] = set()  # values that depend on an image
        self.taken = {n.name for n in graph.nodes}
        self.crossings: dict[tuple[str, str, Any], str] = {}

    # --- adding nodes --------------------------------------------------------------------

    def add(self, node: Node, placement: Placement) -> str:
        assert node.name not in self.by_name
        self.nodes.append(node)
        self.by_name[node.name] = node
        self.placed[node.name] = placement
        if node.op == IMAGE or not self.of_images.isdisjoint(node.references):
            self.of_images.add(node.name)
        return node.name

    def fresh(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self.taken:
            name, number = f"{wanted}_{number}", number + 1
        self.taken.add(name)
        return name

    def cross(
        self, op: str, title: str, value: str, settings: tuple[tuple[str, Any], ...], to: Placement
    ) -> str:
        """The value after a crossing between parts, made once."""
        key = (op, value, settings)
        if key not in self.crossings:
            source = self.by_name[value]
            node = Node(
                self.fresh(f"{title}_{value}"), op, (value,), settings, source.type, source.span
            )
            self.crossings[key] = self.add(node, to)
        return self.crossings[key]

    # --- what a part has, made into what is needed ---------------------------------------

    def whole(self, name: str, user: Whole) -> str:
        """The value as all have it, for a result that is placed as `user`."""
        placement = self.placed[name]
        match placement:
            case Whole(batch=False, trained=True) if user.batch:
                return self.cross(ONCE, "once", name, (), Whole(True))
            case Whole():
                return name
            case Columns(source=source):
                rows = self.whole(source, Whole(True))
                key = ("transpose", source, None)
                if key not in self.crossings:
                    node = replace(self.by_name[name], name=self.fresh(f"all_{name}"),
                                   inputs=(rows,))  # fmt: skip
                    self.crossings[key] = self.add(node, Whole(True))
                return self.crossings[key]
            case Local() if self.by_name[name].op == DRAW:
                return self._drawn_whole(name)
            case Local():
                settings = (("outer", placement.outer), ("inner", placement.inner))
                return self.cross(GATHER_ROWS, "all", name, settings, Whole(True))
        raise AssertionError(placement)

    def _drawn_whole(self, name: str) -> str:
        """A draw that all make alike needs no message."""
        key = (DRAW, name, None)
        if key not in self.crossings:
            node = self.by_name[name]
            settings = (*node.settings, ("whole", True))
            made = replace(node, name=self.fresh(f"all_{name}"), settings=settings)
            self.crossings[key] = self.add(made, Whole())
        return self.crossings[key]

    def made_by_all(self, name: str) -> str | None:
        """The value as all make it of draws alone, without a message; None where they cannot."""
        placement, node = self.placed[name], self.by_name[name]
        if isinstance(placement, Whole):
            return None if placement.batch or placement.trained else name
        if not isinstance(placement, Local) or name in self.of_images:
            return None
        if node.op == DRAW:
            return self._drawn_whole(name)
        if node.op == OWN_ROWS:
            return self.made_by_all(node.references[0])
        if node.op not in PRIMITIVES:
            return None
        key = ("alike", name, None)
        if key not in self.crossings:
            names = {n: self.made_by_all(n) for n in node.references}
            if None in names.values():
                return None
            inputs = tuple(names[i] if isinstance(i, str) else i for i in node.inputs)
            made = replace(node, name=self.fresh(f"all_{name}"), inputs=inputs)
            self.crossings[key] = self.add(made, Whole())
        return self.crossings[key]

    def entered(self, name: str) -> str:
        """The whole value for use by a part."""
        placement = self.placed[name]
        if isinstance(placement, Whole) and not placement.batch:
            return name
        whole = self.whole(name, Whole(True))
        return self.cross(ENTER, "enter", whole, (), Whole(True))

    def rows_of(self, name: str, like: Local) -> str:
        """The rows of the part of a value that all have."""
        placement = self.placed[name]
        if isinstance(placement, Local):
            return name
        whole = self.whole(name, Whole()) if isinstance(placement, Columns) else name
        batch = not isinstance(placement, Whole) or placement.batch
        settings = (("outer", like.outer), ("inner", like.inner), ("batch", batch))
        to = replace(like, order=ANY_ORDER, embedding=not batch)
        return self.cross(OWN_ROWS, "own", whole, settings, to)
