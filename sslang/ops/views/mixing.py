"""Mixing: views made of several images, or of the pieces of one.

A loss reads what was mixed: of `view m = x | mixup`, `m.partner` is the row of the batch that was
mixed in, as it stands in the chain of m before `mixup`, and `m.weight` its share of the image, 0
where the op was not applied. m goes on from x, so both show the same crop of each image.
"""

from sslang.ops.declare import Misfit, Number, kornia_op
from sslang.ops.traits import MixesRows
from sslang.ops.views.inputs import Per, above_zero, ends, sized, whole, within
from sslang.types import Interval, ViewType

_PARTNER = Number("partner", "the row of the batch that is mixed in", (), "batch")


@kornia_op("RandomMixUpV2", arguments={"weight": ("lambda_val", ends)}, form="mixing.MixUp",
           rows=MixesRows(),
           numbers={"partner": _PARTNER,
                    "weight": Number("weight", "the partner's share")})  # fmt: skip
def mixup(x: ViewType, weight: Interval = Interval(0.0, 1.0), per: Per = "image") -> ViewType:
    """Mix each image with another of the batch: (1 - w) * own + w * partner (Zhang et al., 2018).

    w, the partner's share, is uniform in `weight`; in the paper it is 1 - lambda, and lambda of
    Beta(alpha, alpha), which is uniform for an alpha of 1. A loss reads `m.partner` and `m.weight`
    of `view m = x | mixup`. An image may be drawn as its own partner.
    """
    within("weight", ends(weight), 0, 1)
    return whole(x, "mixup")


@kornia_op("RandomCutMixV2", arguments={"beta": "beta", "keep": ("cut_size", ends)},
           form="mixing.CutMix", rows=MixesRows(),
           numbers={"partner": _PARTNER,
                    "weight": Number("weight", "the partner's share of the area"),
                    "box": Number("box", "(left, top, width, height) in pixels", (4,)),
                    })  # fmt: skip
def cutmix(
    x: ViewType, beta: float = 1.0, keep: Interval = Interval(0.0, 1.0), per: Per = "image"
) -> ViewType:
    """Paste a box of another image of the batch into each (Yun et al., 2019).

    The share that is kept, lambda in the paper, is drawn of Beta(beta, beta) and clipped to `keep`.
    A loss reads `m.partner`, `m.weight` (the area that was pasted, as a share) and `m.box` of
    `view m = x | cutmix`. An image may be drawn as its own partner.
    """
    above_zero("beta", beta)
    within("keep", ends(keep), 0, 1)
    if keep.low >= 1:
        raise Misfit("`keep` from 1 on pastes nothing", code="E309")
    return whole(x, "cutmix")


@kornia_op("PatchMix", arguments={"size": "patch_size"}, form="mixing.PatchMix", rows=MixesRows(),
           numbers={"partner": _PARTNER,
                    "weight": Number("weight", "the partner's share of the area"),
                    "corner": Number("patch_coords", "(left, top) in pixels", (2,),
                              lambda s, x: x.size or 1)},
)  # fmt: skip
def patch_mix(x: ViewType, size: int = 16, per: Per = "image") -> ViewType:
    """Paste a square of size x size pixels of another image of the batch at its own place.

    A loss reads `m.partner`, `m.weight` (the area that was pasted, as a share) and `m.corner`.
    """
    side = whole(x, "patch_mix").size
    assert side is not None
    if not 1 <= size <= side:
        raise Misfit(
            f"`size` is {size}; a patch of that size does not fit images of {side}", code="E309"
        )
    return x


@kornia_op("RandomMosaic", arguments={"start": "start_ratio_range"}, form="mixing.Mosaic",
           rows=MixesRows(),
           numbers={"partner": Number("partner", "the rows of the four tiles", (4,), "batch"),
                    "weight": Number("weight", "their shares of the area", (4,),
                                    idle=(1.0, 0.0, 0.0, 0.0))},
)  # fmt: skip
def mosaic(x: ViewType, start: Interval = Interval(0.3, 0.7)) -> ViewType:
    """Show the middle of four images of the batch side by side (Bochkovskiy et al., 2020).

    The first tile is the image itself; the window of the image's size begins at `start` of its
    side. A loss reads `m.partner` and `m.weight`, [batch, 4]: own, below, right, below right.
    """
    within("start", ends(start), 0, 1)
    return whole(x, "mosaic")


@kornia_op("RandomJigsaw", arguments={"grid": None},
           combined=lambda s: {"grid": (s["grid"], s["grid"])},
           form="mixing.Jigsaw",
           numbers={"permutation": Number("by_rows", "which piece comes to each place, row by row",
                                          lambda s, x: (s["grid"] ** 2,),
                                          lambda s, x: s["grid"] ** 2,
                                          lambda s, x: tuple(range(s["grid"] ** 2)))})  # fmt: skip
def jigsaw(x: ViewType, grid: int = 4, per: Per = "image") -> ViewType:
    """Cut the image into grid x grid pieces and put them into a random order (Noroozi, 2016).

    `grid` divides the size of the images. No image stays as it is. A loss reads `x.permutation`,
    [batch, grid * grid].
    """
    side = sized(x, "jigsaw").size
    assert side is not None
    if grid < 2 or side % grid:
        raise Misfit(f"`grid` is {grid}; images of {side} cannot be cut into {grid} pieces a side",
                     "the grid is 2 or more and divides the size", "E309")  # fmt: skip
    return x
