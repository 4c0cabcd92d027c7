"""The torch lowering of the view ops.

A random op takes `u`, float64 [B, 1 + draws] on the host (`draws` as declared in
`sslang.ops.views`), uniform in [0, 1): column 0
decides whether a row is drawn, the others are the op's own draws. Row r of the result depends
on row r of the arguments alone. Nothing here waits for the device.
"""

from __future__ import annotations

from sslang.emit.views.colour import clip_values, grayscale, normalize, solarize
from sslang.emit.views.filters import gaussian_blur
from sslang.emit.views.geometry import (
    center_crop,
    evaluation_crop,
    horizontal_flip,
    random_crop,
    random_resized_crop,
    resize,
    resized_crop,
    to_float,
    vertical_flip,
)
from sslang.emit.views.jitter import adjust_colour, adjust_colour_by_channel, color_jitter
from sslang.emit.views.rows import to_drawn_rows
from sslang.emit.views.spaces import channels, to_gray, to_lab, to_ycbcr
from sslang.emit.views.tiles import pad, patches

__all__ = [
    "adjust_colour",
    "adjust_colour_by_channel",
    "center_crop",
    "channels",
    "clip_values",
    "color_jitter",
    "evaluation_crop",
    "gaussian_blur",
    "grayscale",
    "horizontal_flip",
    "normalize",
    "pad",
    "patches",
    "random_crop",
    "random_resized_crop",
    "resize",
    "resized_crop",
    "solarize",
    "to_drawn_rows",
    "to_float",
    "to_gray",
    "to_lab",
    "to_ycbcr",
    "vertical_flip",
]
