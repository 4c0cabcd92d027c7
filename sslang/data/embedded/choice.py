"""Which folders and pictures of openclipart-png make up the embedded set.

The folders were chosen by how well a person tells them apart and by measurement on the training
part. Applications' icons, file types and logos are left out as folders, because most of them are
the marks of firms and products; `_LEFT_OUT` finds the others by their names.
"""

from __future__ import annotations

import re

CLASSES: dict[str, tuple[str, ...]] = {
    "animals": ("animals/",),
    "flags": ("signs_and_symbols/flags/",),
    "food": ("food/",),
    "games": ("recreation/games/",),
    "grey icons": ("computer/icons/flat-theme/action/", "computer/icons/flat-theme/device/"),
    "lemon icons": (
        "computer/icons/lemon-theme/actions/",
        "computer/icons/lemon-theme/devices/",
        "computer/icons/lemon-theme/filesystems/",
    ),
    "map symbols": ("signs_and_symbols/map_symbols/", "computer/icons/hotel_icon_"),
    "people": ("people/",),
    "stars": ("shapes/stars/",),
    "transport": ("transportation/",),
}

UNLABELLED: tuple[str, ...] = (
    "buildings/", "buttons/", "computer/buttons/", "containers/", "decorations/", "education/",
    "electronics/", "geography/", "office/", "plants/", "recreation/", "science/", "shapes/",
    "signs_and_symbols/", "special/", "tools/",
)  # fmt: skip

# Marks of firms, products and projects, characters of others, what a class room need not see,
# and drawings of which the package only shows that a part is missing ("Linked Image Not Found").
_LEFT_OUT = re.compile(
    r"kde|gnome|tux|linux|debian|inkscape|wine\.|samba|kopete|zinf|openclipa|validator|dvd|usb"
    r"|yahoo|jabber|icq|irc|mozilla|firefox|hp_|sony|xbox|xbill|gameboy|nokia|sprint_|lumograph"
    r"|hummer|toyota|bmw|coke|coca|nitrox|_win_|_mac_|folder_penguin|rubik|domo_kun|slate-apple"
    r"|stripper|sexy|babe|pantyhose|duck_yellow_ii|sm_01[89]|sm_02"
)


def is_excluded(path: str) -> bool:
    """Whether the picture at `path` must stay out, by the name of its file."""
    return _LEFT_OUT.search(path.rsplit("/", 1)[-1]) is not None
