"""Policies: several ops of a list, drawn for each image."""

from typing import Literal

from sslang.ops.declare import Misfit, Number, kornia_op
from sslang.ops.views.inputs import Per, coloured, within
from sslang.types import ViewType


def _sharpened(x: ViewType, op: str) -> ViewType:
    """Return x, RGB images of 3 pixels a side or more, which the sharpness of the lists needs."""
    size = coloured(x, op).size
    if size is not None and size < 3:
        raise Misfit(f"`{op}` needs images of 3 pixels a side", code="E309")
    return x


@kornia_op("auto.RandAugment", form="policies.RandAugment",
           numbers={"chosen": Number("chosen", "the places of the ops in the list, from 0 on",
                                    lambda s, x: (s["n"],), 15),
                    })  # fmt: skip
def rand_augment(x: ViewType, n: int = 2, m: int = 9, per: Per = "image") -> ViewType:
    """Apply n ops of a list of 15, at magnitude m of 30 (RandAugment; Cubuk et al., 2020).

    kornia's list and scales: auto_contrast, equalize, invert, rotate, posterize, solarize,
    solarize_add, color, contrast, brightness, sharpness, shear_x, shear_y, translate_x,
    translate_y. The ops of an image differ from each other, and each image has its own; with
    `per = step` all images have the same, as kornia draws them. (kornia shears by 180 degrees times
    the 0.3 of the paper: up to 54 degrees, where PIL's 0.3 are 17.)
    """
    within("m", (m, m), 1, 29)
    within("n", (n, n), 1, 15)
    return _sharpened(x, "rand_augment")


@kornia_op("auto.TrivialAugment", form="policies.TrivialAugment",
           numbers={"chosen": Number("chosen", "the op's place in the list, from 0 on", (1,), 12)},
)  # fmt: skip
def trivial_augment(x: ViewType, per: Per = "image") -> ViewType:
    """Apply one op of a list of 12, at a random magnitude (TrivialAugment; Mueller, Hutter, 2021).

    kornia's list: auto_contrast, equalize, rotate, posterize, solarize, contrast, brightness,
    sharpness, shear_x, shear_y, translate_x, translate_y. Each image draws its own op; with
    `per = step` all have the same one.
    """
    return _sharpened(x, "trivial_augment")


@kornia_op("auto.AutoAugment", form="policies.AutoAugment",
           numbers={"chosen": Number("chosen", "the pair's place in the list, from 0", (1,), 25)},
)  # fmt: skip
def auto_augment(
    x: ViewType,
    policy: Literal["imagenet", "cifar10", "svhn"] = "imagenet",
    per: Per = "image",
) -> ViewType:
    """Apply one of 25 pairs of ops that were found on labels (AutoAugment; Cubuk et al., 2019).

    Each image draws its own pair; with `per = step` all have the same one.
    """
    return _sharpened(x, "auto_augment")
