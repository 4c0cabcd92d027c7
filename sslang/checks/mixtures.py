"""Views that mix images, and what the loss reads of how they were mixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sslang.ir.graph import DRAW, IMAGE, Node
from sslang.ops import PRIMITIVES
from sslang.ops.traits import MixesRows
from sslang.records import record


@record(frozen=True)
class Mixture:
    """An op of a view that mixes images, and its draws; None where the loss does not read them."""

    op: Node
    partner: Node | None
    weight: Node | None

    @property
    def range(self) -> tuple[float, float]:
        """Between what the partner's share is drawn."""
        shares = self.op.setting("weight")
        return (0.0, 1.0) if shares is None else (shares.low, shares.high)

    @property
    def varies(self) -> bool:
        """Whether images have shares of their own."""
        return self.op.op != "patch_mix" and self.range[0] < self.range[1]


def mixtures(nodes: Iterable[Node]) -> dict[str, Mixture]:
    """By their sites the ops that mix images and of which one of these nodes is a draw."""
    read: dict[str, dict[str, Node]] = {}
    ops: dict[str, Node] = {}
    for node in nodes:
        number = node.setting("number") if node.op == DRAW else None
        if number is None or not PRIMITIVES[number.op.op].has(MixesRows):
            continue
        if number.name in ("partner", "weight"):
            read.setdefault(node.setting("site"), {})[number.name] = node
            ops[node.setting("site")] = number.op
    return {
        site: Mixture(ops[site], found.get("partner"), found.get("weight"))
        for site, found in read.items()
    }


def on_the_way(
    by_name: Mapping[str, Node], view: str, found: Mapping[str, Mixture]
) -> tuple[Mixture, ...]:
    """Those that the images of a view have been through, the first one first."""
    passed: list[Mixture] = []
    node = by_name[view]
    while node.op != IMAGE:
        if node.setting("site") in found:
            passed.append(found[node.setting("site")])
        node = by_name[node.references[0]]
    return tuple(reversed(passed))
