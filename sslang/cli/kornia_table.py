"""`sslang doc --kornia`: the 2-D augmentations of the installed kornia and what they are here."""

from __future__ import annotations

from dataclasses import dataclass

from sslang.emit.augmentations.installed import classes_of_kornia
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


def _names() -> set[str]:
    """Names of classes that are neither bases nor 3-D."""
    return {path.rpartition(".")[2] for path in classes_of_kornia()}
