"""The primitives, one declaration each. Importing this package fills `PRIMITIVES`."""

from sslang.ops import initialisers, nets, views
from sslang.ops.declare import PRIMITIVES, Misfit, Primitive
from sslang.ops.tensors import elementwise, matrices, reductions, shaping

__all__ = [
    "PRIMITIVES",
    "Misfit",
    "Primitive",
    "elementwise",
    "initialisers",
    "matrices",
    "nets",
    "reductions",
    "shaping",
    "views",
]
