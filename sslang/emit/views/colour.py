"""Colour: jitter, grayscale, solarize, normalize; `x` is float32 [B, 3, H, W] in [0, 1].

The formulas are those of kornia.enhance and torchvision's functional ops; the tests hold them
to both. They are written without `torch.where`, which costs some 25 multiplications on a CPU.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslang.emit.views.rows import Draws, Indices, apply_to_rows, drawn_rows, to_device

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow and kornia

_HUE = 3  # the ops of the jitter: brightness, contrast, saturation, hue
_TINY = 1e-12


def color_jitter(
    x: Tensor,
    u: Draws,
    *,
    probability: float = 1.0,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
) -> Tensor:
    """The drawn rows with random brightness, contrast, saturation and hue, in random order.

    `u` is [B, 1 + 8]: four factors, uniform in [max(0, 1 - b), 1 + b] (hue: [-h, h], in turns),
    then four keys whose order is the order of the ops for that image. A strength of 0 leaves
    its op out. Each op clamps to [0, 1]. As torchvision's ColorJitter, but for the order, which
    there is drawn once a call.
    """
    strengths = np.array([brightness, contrast, saturation, hue])
    rows = drawn_rows(u, probability)
    if len(rows) == 0 or not strengths.any():
        return x
    low = np.append(np.maximum(0.0, 1.0 - strengths[:_HUE]), -hue)
    high = np.append(1.0 + strengths[:_HUE], hue)
    factors = low + (high - low) * u[rows, 1:5]
    order = np.argsort(u[rows, 5:9], axis=1, kind="stable")
    return adjust_colour(x, rows, factors, order, strengths != 0)


def adjust_colour(
    x: Tensor,
    rows: Indices,
    factors: NDArray[np.float64],
    order: Indices,
    active: NDArray[np.bool_],
) -> Tensor:
    """`x` with its `rows` adjusted by `factors`, [n, 4], in the `order`, [n, 4], given.

    Brightness, contrast and saturation are one op with different coefficients, so every row
    takes its k-th of them in the same pass. Rows are sorted by when their hue is due, which
    makes the rows of each hue pass one slice.
    """
    blends = int(active[:_HUE].sum())
    sequence = order[active[order]].reshape(len(rows), -1)
    if active[_HUE]:
        hue_at = (sequence == _HUE).argmax(1)
        sequence = sequence[sequence != _HUE].reshape(len(rows), -1)
        by_hue = np.argsort(hue_at, kind="stable")
        rows, factors, sequence = rows[by_hue], factors[by_hue], sequence[by_hue]
        ends = np.searchsorted(hue_at[by_hue], np.arange(blends + 1), side="right")
    coefficients = _blend_coefficients(factors, sequence)

    def adjust(part: Tensor) -> Tensor:
        table = to_device(coefficients, part.device)
        turns = to_device(factors[:, _HUE], part.device)
        start = 0
        for slot in range(blends + 1):
            if active[_HUE]:
                if ends[slot] > start:
                    _rotate_hue(part[start : ends[slot]], turns[start : ends[slot]])
                start = ends[slot]
            if slot < blends:
                _blend(part, table[slot])
        return part

    return apply_to_rows(x, rows, adjust)


def _blend_coefficients(factors: NDArray[np.float64], sequence: Indices) -> NDArray[np.float64]:
    """For each slot and row the weights of (image, its gray, the mean of its gray)."""
    own = np.take_along_axis(factors, sequence, axis=1).T
    op = sequence.T
    return np.stack([own, (1.0 - own) * (op == 2), (1.0 - own) * (op == 1)], axis=1)


def _gray(x: Tensor) -> Tensor:
    red, green, blue = x.unbind(1)
    return red.mul(LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def _blend(x: Tensor, weights: Tensor) -> None:
    """x <- clamp(a x + b gray(x) + c mean(gray(x))), in place; `weights` is [3, n]."""
    image, gray_weight, mean_weight = weights[:, :, None, None].unbind(0)
    gray = _gray(x)
    mean = gray.mean((1, 2), keepdim=True)
    other = gray.mul_(gray_weight).add_(mean.mul_(mean_weight))
    x.mul_(image[:, None]).add_(other[:, None]).clamp_(0.0, 1.0)


def _rotate_hue(x: Tensor, turns: Tensor) -> None:
    """The HSV hue of `x`, [n, 3, H, W], moved by `turns`, [n], in place.

    Back from HSV, a channel is min + (max - min) clamp(6 d - 1, 0, 1), where d in [0, 0.5] is
    the distance, in turns, of the hue from that channel's opposite colour.
    """
    red, green, blue = x.unbind(1)
    highest = torch.maximum(torch.maximum(red, green), blue)
    lowest = torch.minimum(torch.minimum(red, green), blue)
    chroma = highest - lowest
    is_red = torch.ge(red, highest, out=torch.empty_like(highest))
    is_green = torch.ge(green, highest, out=highest)
    hue = (red - green).add_(chroma, alpha=4.0)
    hue = torch.lerp(hue, (blue - red).add_(chroma, alpha=2.0), is_green)
    hue = torch.lerp(hue, green - blue, is_red)
    sixth = chroma.mul_(6.0)
    hue = hue.div_(sixth.clamp(min=_TINY))
    opposite = torch.arange(3, device=x.device, dtype=x.dtype).mul_(-1 / 3).add_(0.5)
    distance = torch.add(hue[:, None], (turns[:, None] + opposite)[:, :, None, None], out=x)
    distance.sub_(distance.round()).abs_().clamp_(1 / 6, 1 / 3)
    base = lowest.sub_(sixth, alpha=1 / 6)
    distance.mul_(sixth[:, None]).add_(base[:, None]).clamp_(0.0, 1.0)


def grayscale(x: Tensor, u: Draws, *, probability: float = 1.0) -> Tensor:
    """The drawn rows without colour, still in three channels; `u` is [B, 1]."""
    return apply_to_rows(
        x, drawn_rows(u, probability), lambda part: part.copy_(_gray(part)[:, None])
    )


def solarize(x: Tensor, u: Draws, *, probability: float = 1.0, threshold: float = 0.5) -> Tensor:
    """The drawn rows with every value at or above `threshold` inverted; `u` is [B, 1]."""

    def invert(part: Tensor) -> Tensor:
        bright = torch.ge(part, threshold, out=torch.empty_like(part))
        return torch.lerp(part, 1.0 - part, bright)

    return apply_to_rows(x, drawn_rows(u, probability), invert)


def normalize(x: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(x - mean) / std for each channel of `x`, [B, C, H, W]."""
    moments = to_device(np.array([mean, std]), x.device)[:, :, None, None]
    return x.sub(moments[0]).div_(moments[1])
