"""Which folders and pictures of openclipart-png make up the embedded set.

The folders were chosen by how well a person tells them apart and by measurement on the training
part. Applications' icons, file types and logos are left out as folders, because most of them are
the marks of firms and products; `_MARKS` finds the others by their names.
"""

from __future__ import annotations

import re

CLASSES: dict[str, tuple[str, ...]] = {
    "animals": ("animals/",),
    "buttons": ("computer/buttons/", "signs_and_symbols/led/", "buttons/"),
    "cards and games": ("recreation/games/",),
    "flags": ("signs_and_symbols/flags/",),
    "food": ("food/",),
    "grey icons": ("computer/icons/flat-theme/action/", "computer/icons/flat-theme/device/"),
    "lemon icons": (
        "computer/icons/lemon-theme/actions/",
        "computer/icons/lemon-theme/devices/",
        "computer/icons/lemon-theme/filesystems/",
    ),
    "map symbols": ("signs_and_symbols/map_symbols/",),
    "people": ("people/",),
    "transport": ("transportation/",),
}

UNLABELLED: tuple[str, ...] = (
    "buildings/", "containers/", "decorations/", "education/", "electronics/", "geography/",
    "office/", "plants/", "recreation/", "science/", "shapes/", "signs_and_symbols/", "special/",
    "tools/",
)  # fmt: skip

EXCLUDED: frozenset[str] = frozenset()

_MARKS = re.compile(
    r"kde|gnome|tux|linux|yahoo|jabber|icq|wine\.|samba|inkscape|mozilla|firefox|debian|hp_"
    r"|xbox|gameboy|sony|hummer|toyota|bmw|coke|coca|penguin\.png|kopete|nokia|_win_|_mac_"
)


def is_excluded(path: str) -> bool:
    """Whether the picture at `path` must stay out: a firm's mark, or a damaged drawing."""
    return path in EXCLUDED or _MARKS.search(path.rsplit("/", 1)[-1]) is not None
