"""Nets in PyTorch: builders, batch norm by groups of rows, and the sequence of parts.

Importing this package loads no torch; its modules do.
"""

from __future__ import annotations

_PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "resnet": {
        "stem": ("conv1", "bn1"),
        "layer1": ("layer1",),
        "layer2": ("layer2",),
        "layer3": ("layer3",),
        "layer4": ("layer4",),
    },
    "vit": {"embed": ("patch_embed",), "blocks": ("blocks",), "norm": ("norm",)},
}


def part_prefixes(kind: str) -> dict[str, tuple[str, ...]]:
    """The named parts of a backbone ("resnet" or "vit"), each with its state-dict prefixes.

    A parameter belongs to a part if its key begins with one of the prefixes and a dot.
    """
    return dict(_PARTS[kind])
