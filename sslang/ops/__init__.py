"""The primitives, one declaration each. Importing this package fills `PRIMITIVES`."""

from sslang.ops import initialisers, nets, views
from sslang.ops.declare import PRIMITIVES, Misfit, Primitive
from sslang.ops.tensors import elementwise, reductions, shaping

__all__ = [
    "PRIMITIVES",
    "Misfit",
    "Primitive",
    "elementwise",
    "initialisers",
    "nets",
    "reductions",
    "shaping",
    "views",
]
