"""Numbers of our view ops that a loss can read, of uniform draws `u` [n, 1 + draws]: [n] each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslang.emit.views.filters import drawn_sigmas
from sslang.emit.views.jitter import drawn_factors
from sslang.emit.views.rows import Draws


def sigma(u: Draws, *, sigma: tuple[float, float], **_: Any) -> NDArray[np.float64]:
    """Return the sigmas of `gaussian_blur` in pixels."""
    return drawn_sigmas(u, sigma)


def brightness(u: Draws, **settings: Any) -> NDArray[np.float64]:
    """Return the factors of the brightness of `color_jitter`, or what it adds."""
    return _factors(u, **settings)[:, 0]


def contrast(u: Draws, **settings: Any) -> NDArray[np.float64]:
    """Return the factors of the contrast of `color_jitter`."""
    return _factors(u, **settings)[:, 1]


def saturation(u: Draws, **settings: Any) -> NDArray[np.float64]:
    """Return the factors of the saturation of `color_jitter`."""
    return _factors(u, **settings)[:, 2]


def hue(u: Draws, **settings: Any) -> NDArray[np.float64]:
    """Return the turns of the hue of `color_jitter`."""
    return _factors(u, **settings)[:, 3]


def _factors(u: Draws, **settings: Any) -> NDArray[np.float64]:
    strengths = [settings[name] for name in ("brightness", "contrast", "saturation", "hue")]
    return drawn_factors(u, np.array(strengths), settings["brightness_mode"])
