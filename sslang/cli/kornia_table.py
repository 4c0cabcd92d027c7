"""`sslang doc --kornia`: the 2-D augmentations of the installed kornia and what they are here."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

from sslang.ops import PRIMITIVES
from sslang.ops.views import LEFT_OUT

NO_OP_YET = "no op yet"


@dataclass(frozen=True)
class Class:
    """A class of kornia: the ops that stand for it, or why there is none."""

    name: str
    ops: tuple[str, ...]
    left_out: str

    @property
    def told(self) -> str:
        """What became of it, in words."""
        if self.ops:
            return ", ".join(self.ops)
        return f"left out: {self.left_out}" if self.left_out else NO_OP_YET


def classes() -> list[Class]:
    """Return every class of 2-D augmentations and every policy that is installed, by its name."""
    ops: dict[str, list[str]] = {}
    for name, primitive in PRIMITIVES.items():
        if primitive.kornia is not None:
            ops.setdefault(primitive.kornia.name, []).append(name)
    return [
        Class(name, tuple(ops.get(name, ())), LEFT_OUT.get(name, "")) for name in sorted(_names())
    ]


def _names() -> Iterator[str]:
    """Names of classes that are neither bases nor 3-D."""
    from kornia import augmentation
    from kornia.augmentation import auto
    from kornia.augmentation._2d.base import AugmentationBase2D
    from kornia.augmentation._2d.mix.base import MixAugmentationBaseV2
    from kornia.augmentation.auto.base import PolicyAugmentBase

    kinds = (AugmentationBase2D, MixAugmentationBaseV2, PolicyAugmentBase)
    for name, kind in {**vars(augmentation), **vars(auto)}.items():
        is_one = inspect.isclass(kind) and issubclass(kind, kinds)
        if is_one and not name.endswith("3D") and "Base" not in name:
            yield name
