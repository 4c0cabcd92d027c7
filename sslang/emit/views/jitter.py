"""Colour jitter: brightness, contrast, saturation and hue; `x` is float32 [B, 3, H, W] in [0, 1].

Two families of formulas. `torchvision`: those of kornia.enhance and torchvision's functional ops;
`tensorflow`: those of tf.image, which SimCLR's data_util.py calls and BYOL's augmentations.py
writes out in JAX. The tests hold each to an independent writing of it. They are written without
`torch.where`, which costs some 25 multiplications on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslang.emit.views.rows import Draws, Indices, apply_to_rows, drawn_rows, to_device
from sslang.emit.views.spaces import luma

Mode = Literal["multiplicative", "additive"]
Style = Literal["torchvision", "tensorflow"]

Step = Callable[[Tensor, Tensor], Tensor]  # of images [n, 3, H, W] and factors [n]

_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)
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
    brightness_mode: Mode = "multiplicative",
    style: Style = "torchvision",
) -> Tensor:
    """Return `x` with random brightness, contrast, saturation and hue of the drawn rows.

    `u` is [B, 1 + 8]: four factors, uniform in [max(0, 1 - b), 1 + b] (hue: [-h, h], in turns;
    additive brightness: [-b, b]), then four keys whose order is the order of the ops for that
    image. A strength of 0 leaves its op out. Each op clamps to [0, 1]. As torchvision's
    ColorJitter, but for the order, which there is drawn once a call.
    """
    strengths = np.array([brightness, contrast, saturation, hue])
    rows = drawn_rows(u, probability)
    if len(rows) == 0 or not strengths.any():
        return x
    factors, order = drawn_factors(u[rows], strengths, brightness_mode), drawn_order(u[rows])
    adjust = adjust_colour if style == "torchvision" else adjust_colour_by_channel
    return adjust(x, rows, factors, order, strengths != 0, brightness_mode)


def drawn_factors(
    u: Draws, strengths: NDArray[np.float64], brightness_mode: Mode
) -> NDArray[np.float64]:
    """Return the factors [n, 4] that the rows `u`, [n, 1 + 8], draw; `strengths` is [4].

    Brightness, contrast and saturation are uniform in [max(0, 1 - b), 1 + b], additive brightness
    in [-b, b], and the hue, in turns, in [-h, h].
    """
    low = np.append(np.maximum(0.0, 1.0 - strengths[:_HUE]), -strengths[_HUE])
    high = np.append(1.0 + strengths[:_HUE], strengths[_HUE])
    if brightness_mode == "additive":
        low[_BRIGHTNESS], high[_BRIGHTNESS] = -strengths[_BRIGHTNESS], strengths[_BRIGHTNESS]
    factors: NDArray[np.float64] = low + (high - low) * u[:, 1:5]
    return factors


def drawn_order(u: Draws) -> Indices:
    """Return the order [n, 4] of the four ops that the rows `u`, [n, 1 + 8], draw."""
    return np.argsort(u[:, 5:9], axis=1, kind="stable")


def without_idle(order: Indices, active: NDArray[np.bool_]) -> Indices:
    """Return `order`, [n, 4], less the ops that are not `active`, [4]: [n, how many are]."""
    return order[active[order]].reshape(len(order), int(active.sum()))


def adjust_colour(
    x: Tensor,
    rows: Indices,
    factors: NDArray[np.float64],
    order: Indices,
    active: NDArray[np.bool_],
    brightness_mode: Mode = "multiplicative",
) -> Tensor:
    """`x` with its `rows` adjusted by `factors`, [n, 4], in the `order`, [n, 4]: torchvision's way.

    Brightness, contrast and saturation are one op with different coefficients, so every row
    takes its k-th of them in the same pass. Rows are sorted by when their hue is due, which
    makes the rows of each hue pass one slice.
    """
    blends = int(active[:_HUE].sum())
    sequence = without_idle(order, active)
    if active[_HUE]:
        hue_at = (sequence == _HUE).argmax(1)
        sequence = sequence[sequence != _HUE].reshape(len(rows), -1)
        by_hue = np.argsort(hue_at, kind="stable")
        rows, factors, sequence = rows[by_hue], factors[by_hue], sequence[by_hue]
        ends = np.searchsorted(hue_at[by_hue], np.arange(blends + 1), side="right")
    coefficients = _blend_coefficients(factors, sequence, brightness_mode)

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


def _blend_coefficients(
    factors: NDArray[np.float64], sequence: Indices, brightness_mode: Mode
) -> NDArray[np.float64]:
    """For each slot and row the weights of (image, its gray, the mean of its gray, 1)."""
    own = np.take_along_axis(factors, sequence, axis=1).T
    op = sequence.T
    added = (op == _BRIGHTNESS) & (brightness_mode == "additive")
    return np.stack(
        [
            np.where(added, 1.0, own),
            (1.0 - own) * (op == _SATURATION),
            (1.0 - own) * (op == _CONTRAST),
            own * added,
        ],
        axis=1,
    )


def _blend(x: Tensor, weights: Tensor) -> None:
    """x <- clamp(a x + b gray(x) + c mean(gray(x)) + d), in place; `weights` is [4, n]."""
    image, gray_weight, mean_weight, offset = weights[:, :, None, None].unbind(0)
    gray = luma(x)
    mean = gray.mean((1, 2), keepdim=True)
    other = gray.mul_(gray_weight).add_(mean.mul_(mean_weight).add_(offset))
    x.mul_(image[:, None]).add_(other[:, None]).clamp_(0.0, 1.0)


def adjust_colour_by_channel(
    x: Tensor,
    rows: Indices,
    factors: NDArray[np.float64],
    order: Indices,
    active: NDArray[np.bool_],
    brightness_mode: Mode = "multiplicative",
) -> Tensor:
    """`adjust_colour` in TensorFlow's way: contrast for each channel, saturation in HSV."""
    brightness = _add if brightness_mode == "additive" else _scale
    in_place = (brightness, _stretch_channels, _scale_saturation, _rotate_hue)

    def adjusted(op: Callable[[Tensor, Tensor], None]) -> Step:
        def step(x: Tensor, factor: Tensor) -> Tensor:
            op(x, factor)
            return x

        return step

    steps = tuple(adjusted(op) for op in in_place)
    sequence = without_idle(order, active)
    return apply_to_rows(x, rows, lambda part: take_steps(part, sequence, factors, steps))


def take_steps(
    x: Tensor, sequence: Indices, factors: NDArray[np.float64], steps: Sequence[Step]
) -> Tensor:
    """Return `x`, [n, 3, H, W], after the `steps` of each row, in the order of `sequence`, [n, k].

    The rows whose k-th step is the same take it together, so that k slots of k steps are at most
    k * k calls, whatever the orders. `factors` is [n, how many steps there are]; `x` is changed.
    """
    table = to_device(factors, x.device)
    for slot in sequence.T:
        for at in np.unique(slot):
            members = to_device(np.flatnonzero(slot == at), x.device)
            chosen = steps[at](x.index_select(0, members), table[:, at].index_select(0, members))
            x.index_copy_(0, members, chosen)
    return x


def _scale(x: Tensor, factor: Tensor) -> None:
    """x <- clamp(factor x); `factor` is [n], as in the ops that follow."""
    x.mul_(factor[:, None, None, None]).clamp_(0.0, 1.0)


def _add(x: Tensor, amount: Tensor) -> None:
    x.add_(amount[:, None, None, None]).clamp_(0.0, 1.0)


def _stretch_channels(x: Tensor, factor: Tensor) -> None:
    """Each channel moved away from its mean: mean + factor (x - mean)."""
    mean = x.mean((2, 3), keepdim=True)
    x.sub_(mean).mul_(factor[:, None, None, None]).add_(mean).clamp_(0.0, 1.0)


def _scale_saturation(x: Tensor, factor: Tensor) -> None:
    """HSV's saturation times `factor`, at most 1; hue and value stay.

    With V the largest channel and C = V - the smallest, saturation is C / V, and a channel's
    distance from V is proportional to it; so the distances grow by min(factor, V / C).
    """
    value = x.amax(1, keepdim=True)
    chroma = value - x.amin(1, keepdim=True)
    growth = torch.minimum(value / chroma.clamp_(min=_TINY), factor[:, None, None, None])
    x.sub_(value).mul_(growth).add_(value).clamp_(0.0, 1.0)


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
