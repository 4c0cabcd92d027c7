"""Which op of a view is the first to give values that are no numbers, or that it says it does not.

The code of the views is run once more, op by op, and every result is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from sslang.data.batches import Batch
from sslang.diagnostics import Diagnostic, DiagnosticError, Span
from sslang.emit.method import Method
from sslang.ir.graph import Graph, Node
from sslang.train.leaves import tensors_in
from sslang.types import ViewType

ROWS = 64  # of a batch, that are looked at
_TOLERANCE = 1e-3  # beyond 0..1: more than rounding, and less than a step of 8 bits


@dataclass(frozen=True)
class Fault:
    """What is wrong with the values of an op of a view, in words, and where the spec says it."""

    op: str
    view: str
    what: str
    is_number: bool
    span: Span | None

    @property
    def text(self) -> str:
        return f"`{self.op}` of the view `{self.view}` {self.what}"


class ViewWalk(fx.Interpreter):
    """Runs the code of views and keeps the first fault of an op, if there is one."""

    def __init__(self, module: fx.GraphModule, graph: Graph) -> None:
        super().__init__(module)
        self.nodes = {node.name: node for node in graph.nodes}
        self.fault: Fault | None = None

    def __call__(self, *arguments: Any) -> Any:
        return self.run(*arguments)

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        node = self.nodes.get(n.name)
        if self.fault is None and node is not None and n.op == "call_function":
            self.fault = next((f for t in tensors_in(result) if (f := _fault(node, t))), None)
        return result


def _fault(node: Node, x: Tensor) -> Fault | None:
    assert isinstance(node.type, ViewType)
    view = str(node.setting("site", node.name)).removeprefix("view/").partition("/")[0]
    if not bool(x.isfinite().all()):
        kind = "nan" if bool(x.isnan().any()) else "an infinite value"
        return Fault(node.op, view, f"is the first to give {kind}", False, node.place)
    low, high = float(x.min()) if x.numel() else 0.0, float(x.max()) if x.numel() else 0.0
    alone = node.setting("choice") is None  # else rows that other alternatives made are among them
    if alone and node.type.unit and (low < -_TOLERANCE or high > 1 + _TOLERANCE):
        what = f"gives values of {low:.3g}..{high:.3g}, and is declared to stay within 0..1"
        return Fault(node.op, view, what, True, node.place)
    return None


def expect_declared_values(method: Method, batch: Batch) -> None:
    """Raise E703 or E731 where an op of the views gives no numbers, or leaves its range.

    Of the first rows of a batch of the first step, by the draws of that step. A partner of another
    process is not at hand: the row itself stands for it.
    """
    walk = ViewWalk(method.view_code.module, method.graph)
    drawing, draws = method.drawing(0, batch.rows), method.view_code.draws
    rows = drawing.closure(draws, drawing.every_row[batch.first : batch.first + ROWS])
    rows = rows[(rows >= batch.first) & (rows < batch.first + len(batch.pixels))]
    at = rows - batch.first
    walk.run(batch.pixels[torch.from_numpy(at).to(batch.pixels.device)], batch.sizes[at],
             *drawing.all(draws, rows))  # fmt: skip
    fault = walk.fault
    if fault is None:
        return
    if fault.is_number:
        hint = f"write `clip_values` behind `{fault.op}`"
        raise DiagnosticError(Diagnostic("E731", fault.text, fault.span, hint=hint))
    hint = f"narrower settings of `{fault.op}`, or another op, in its place"
    raise DiagnosticError(Diagnostic("E703", fault.text, fault.span, hint=hint))
