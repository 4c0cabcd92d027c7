"""Collapse, by structure alone: can a constant embedding minimise the loss?

A loss whose every term is about one row, and about nothing but embeddings, has a constant that
minimises it. What can keep training away from that constant is asymmetry: a target that no
gradient enters, and a trained net on the other side that the target lacks (BYOL, SimSiam). A term
that compares rows (negatives, a centre, Sinkhorn, a covariance) is another matter, and passes
here. Batch norm inside a net does not count.
"""

from __future__ import annotations

from collections.abc import Iterator

from sslang.checks.gradient import is_frozen
from sslang.diagnostics import Diagnostic
from sslang.ir.graph import APPLY, INPUT, Graph, Node
from sslang.ir.program import Program
from sslang.ir.rows import Rows, row_analysis
from sslang.types import ViewType

_LINEAR = frozenset(("add", "subtract", "negative", "mean", "sum", "concat", "stack"))
_SCALED = frozenset(("multiply", "divide"))


def collapse(program: Program) -> Iterator[Diagnostic]:
    """E410 where nothing in the spec prevents collapse, unless it says `assume no_collapse`."""
    loss = program.step.outputs.get("loss")
    if loss is None or any(name == "no_collapse" for name, _ in program.spec.assumes):
        return
    rows = row_analysis(program.step)
    terms = list(_terms(program.step, loss, rows))
    if any(rows[t] == Rows.OTHER for t in terms) or _has_content(program.step, terms):
        return
    reason = _reason(program, terms)
    if reason:
        message = f"a constant embedding minimises the loss: every term is about one row, {reason}"
        yield Diagnostic(
            "E410", message, program.spans.get("loss"),
            hint='cut the target with stop_grad and give the other side a predictor, or compare '
            'rows; who means it writes `assume no_collapse "why"`',
        )  # fmt: skip


def _terms(graph: Graph, loss: str, rows: dict[str, Rows]) -> Iterator[str]:
    """The parts that the loss is a sum of, sums and means over the batch taken apart."""
    by_name, seen, waiting = graph.by_name, set(), [loss]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        node = by_name[name]
        moving = [i for i in node.references if rows[i] != Rows.NONE]
        if node.op in _LINEAR and len(node.references) == len(moving):
            waiting.extend(node.references)
        elif node.op in _SCALED and len(moving) == 1:
            waiting.extend(moving)
        else:
            yield name


def _has_content(graph: Graph, terms: list[str]) -> bool:
    """Whether a term reads pixels, labels or indices beside what nets make of views."""
    by_name, seen, waiting = graph.by_name, set(), list(terms)
    while waiting:
        node = by_name[waiting.pop()]
        if node.name in seen or node.op == APPLY:
            continue
        seen.add(node.name)
        if node.op == INPUT or isinstance(node.type, ViewType):
            return True
        waiting.extend(node.references)
    return False


def _reason(program: Program, terms: list[str]) -> str:
    """Why nothing keeps the embeddings apart; empty where asymmetry may."""
    cut = _nets_behind_cuts(program, terms)
    if not cut:
        return "and no side of it is cut"
    for term in terms:
        if _reaches_encoder(program, term, cut):
            return "and the side that is trained has no net that its target lacks"
    return ""


def _nets_behind_cuts(program: Program, terms: list[str]) -> set[str]:
    """Nets, by what averages follow, that a term reads without a gradient."""
    by_name = program.step.by_name
    sources = {copy: source for a in program.averages for copy, source in a.pairs}
    found: set[str] = set()
    seen: set[tuple[str, bool]] = set()
    waiting = [(term, False) for term in terms]
    while waiting:
        name, cut = waiting.pop()
        node = by_name[name]
        cut = cut or _is_cut(node, program)
        if (name, cut) in seen:
            continue
        seen.add((name, cut))
        if cut and node.op == APPLY:
            net = node.setting("net")
            found.add(sources.get(net, net))
        waiting.extend((i, cut) for i in node.references)
    return found


def _is_cut(node: Node, program: Program) -> bool:
    if node.op == APPLY:
        return program.net(node.setting("net")).kind == "average" or bool(node.setting("fixed"))
    return node.op in ("stop_grad", "argmax") or isinstance(node.type, ViewType)


def _reaches_encoder(program: Program, term: str, cut: set[str]) -> bool:
    """Whether a gradient can reach the views through nets alone that the target has too."""
    by_name = program.step.by_name
    seen: set[str] = set()
    waiting = [term]
    while waiting:
        node = by_name[waiting.pop()]
        if node.name in seen or _is_cut(node, program):
            continue
        seen.add(node.name)
        if node.op == APPLY:
            net = node.setting("net")
            if net not in cut and not is_frozen(program, net):
                continue  # a predictor, or an encoder that the target has not
            if program.net(net).kind == "encoder":
                return True
        waiting.extend(node.references)
    return False
