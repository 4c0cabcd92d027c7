"""Every spec made small enough to step in a second, whatever its recipe."""

from __future__ import annotations

from collections.abc import Mapping

from sslang.model.recipe import FIELDS
from sslang.model.resolve import Module

BATCH, IMAGES, PIXELS, CLASSES = 64, 640, 20, 10

# Set where the spec declares them. Sizes that are equal in no spec by chance are unequal here, too;
# plain SGD, so that a parameter after a step is its gradient.
_ANY = {
    "backbone": "resnet18(width = 0.125, stem = small)",
    "small_backbone": "resnet18(width = 0.125, stem = small)",
    "size": "16",
    "hidden": "24",
    "dim": "8",
    "negatives": "16",
    "memory": "128",
    "clusters": "12",
    "outputs": "32",
    "local_size": "8",
    "batch": f"{BATCH}",
    "length": "40 steps",
    "evaluate": "knn()",
    "optimizer": "sgd(lr = cosine(0.1 -> 0))",
}
_VIT = {"backbone": "vit(patch = 4, width = 16, depth = 2, heads = 2)"}
_ONE = {
    "cpc": {
        "backbone": "resnet(depth = 18, width = 0.125, stem = small, norm = none, stages = 1)",
        "context": "pixel_cnn(layers = 1)",
        "resized": "16", "patch": "4", "stride": "4", "cut": "4", "steps": "2", "negatives": "5",
    },
    "mae": {
        "patch": "4", "width": "24", "depth": "1", "heads": "2",
        "backbone": "vit(patch, width = 16, depth = 2, heads = 2, init = mae)",
    },
    "clsa": {"strong_size": "12"},
    "imix": {"group": "32"},
    "dino": _VIT | {"freeze": "[]"},
    "mocov3_vit": _VIT,
    "swav": {
        "freeze": "[]",
        "recent[v in global, memory]": "empty(dim) with (from = 2 steps)",
    },
}  # fmt: skip


def settings(spec: str) -> Mapping[str, str]:
    """What is set for a spec, by the target of the override."""
    return _ANY | _ONE.get(spec, {})


def overrides(spec: str, module: Module) -> list[str]:
    """`name=expression`, for the parameters that the file has, and for fields of the recipe."""
    params = {name for name, e in module.namespace.entries.items() if e.kind == "param"}
    known = {*params, *FIELDS, *_ONE.get(spec, {})}
    return [f"{k}={v}" for k, v in settings(spec).items() if k in known]
