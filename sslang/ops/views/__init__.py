"""Primitives on views, each a step of a chain, a file a group.

An op draws once an image, after `patches` once a patch, with `per = step` once for the batch. Ops
that a class of kornia computes are declared by `kornia_op`; their names are kornia's, without
`Random` and `V2`, in snake case, but for CLOSED_NAMES.
"""

from sslang.ops.views import (
    colour,
    crops,
    filters,
    geometry,
    illumination,
    mixing,
    noise,
    policies,
    spaces,
    weather,
)

# Names that are not made from kornia's: they say more than `erasing`, are written otherwise in the
# papers, or would be those of an op of ours.
CLOSED_NAMES = {
    "RandomErasing": "random_erasing",
    "RandomSolarize": "random_solarize",
    "RandomMixUpV2": "mixup",
    "RandomCutMixV2": "cutmix",
}

# Classes of kornia's 2-D augmentations that are no op, and why.
LEFT_OUT = {
    "RandomDissolving": "needs the weights of a diffusion model, which it downloads",
    "RandomTransplantation": "needs masks of the objects in the images",
}

__all__ = [
    "CLOSED_NAMES",
    "LEFT_OUT",
    "colour",
    "crops",
    "filters",
    "geometry",
    "illumination",
    "mixing",
    "noise",
    "policies",
    "spaces",
    "weather",
]
