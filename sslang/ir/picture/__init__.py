"""The IR as a picture: what belongs together in one box, layers from left to right, SVG or DOT.

A view is one box, a call of a function is one, an application of a net is one; `stop_grad` is a
double bar across its edge, a state is a cylinder with a dashed edge for what is written back, and
a dotted edge leads from a net to the copy that follows it.
"""

from sslang.ir.picture.draw import graph_dot, graph_svg
from sslang.ir.picture.layout import Course, Layout, place
from sslang.ir.picture.parts import Pairs, Sketch
from sslang.ir.picture.sketch import sketch

__all__ = ["Course", "Layout", "Pairs", "Sketch", "graph_dot", "graph_svg", "place", "sketch"]
