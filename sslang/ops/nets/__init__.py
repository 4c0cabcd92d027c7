"""Descriptions of nets. Each rule gives the output type and the arguments of the builder."""

from sslang.ops.nets import convolutional, layers, transformers
from sslang.ops.nets.built import Built
from sslang.ops.nets.parts import PARTS

__all__ = ["PARTS", "Built", "convolutional", "layers", "transformers"]
