"""Softmaxes over products of rows: what pushes apart, the own row, and whose rows stand beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.checks.gradient import carrying
from sslang.checks.products import Product, held_rows, products
from sslang.diagnostics import Diagnostic, Label, Span
from sslang.ir.graph import APPLY, SCHEDULE, SIZE, Node
from sslang.ir.program import Program
from sslang.records import record
from sslang.types import TensorType

_SCALES = frozenset(("multiply", "divide"))
_NUMBERS = frozenset((SCHEDULE, SIZE))
_CUTS = frozenset(("stop_grad", "scale_grad"))


@record(frozen=True)
class _Contrast:
    """A log-softmax along the last axis: what it is of, and the parts that are joined there."""

    softmax: Node
    scores: Node
    parts: tuple[str, ...]


def contrasts(program: Program) -> Iterator[Diagnostic]:
    """E445 for negatives without a gradient, E446 for the own row, E437 for rows of another net."""
    by_name = program.step.by_name
    found = [c for n in program.step.nodes if (c := _contrast(n, by_name)) is not None]
    if not found or "loss" not in program.step.outputs:
        return
    users: dict[str, list[Node]] = {}
    for node in program.step.nodes:
        for name in node.references:
            users.setdefault(name, []).append(node)
    joined = any(c.parts for c in found)  # else there are no negatives to look at
    carried = carrying(program) if joined else frozenset[str]()
    held = held_rows(program) if joined else {}
    beside = {p.node.name: p for p in products(program.step)} if joined else {}
    told: set[tuple[str, Span | None]] = set()
    for contrast in found:
        one = _pushes_nothing(program, contrast, users, carried)
        two = _own_row(program, contrast, users)
        three = list(_of_another_net(program, contrast, beside, held))
        for finding in (one, two, *three):
            if finding is not None and (finding.code, finding.span) not in told:
                told.add((finding.code, finding.span))
                yield finding


def _contrast(node: Node, by_name: Mapping[str, Node]) -> _Contrast | None:
    if node.op != "log_softmax" or not isinstance(node.type, TensorType):
        return None
    last = node.type.rank - 1
    if node.setting("axis") not in (-1, last):
        return None
    scores = by_name[node.references[0]]
    while scores.op in _SCALES:
        values = [i for i in scores.references if by_name[i].op not in _NUMBERS]
        if len(values) != 1:
            break
        scores = by_name[values[0]]
    joined = scores.op == "concat" and scores.setting("axis") in (-1, last)
    return _Contrast(node, scores, scores.references if joined else ())


def _pushes_nothing(
    program: Program,
    contrast: _Contrast,
    users: Mapping[str, list[Node]],
    carried: frozenset[str],
) -> Diagnostic | None:
    """The first column is taken of a softmax in which it alone has a gradient."""
    first, *others = contrast.parts or ("",)
    picked = any(
        n.op == "index" and n.setting("items")[-1] == 0
        for n in users.get(contrast.softmax.name, ())
    )
    if not picked or not others or first not in carried or carried.intersection(others):
        return None
    message = "the negatives have no gradient: the positive alone is trained, and nothing pushes "
    hint = "compare the negatives with the query, as in `info_nce(q, k, negatives, temperature)`"
    return _finding(program, "E445", message + "rows apart", contrast.scores, hint)


def _own_row(
    program: Program, contrast: _Contrast, users: Mapping[str, list[Node]]
) -> Diagnostic | None:
    """One other row is taken for each of a softmax over products of rows with themselves."""
    by_name = program.step.by_name
    if contrast.scores.op != "matmul" or len(contrast.softmax.references) > 1:
        return None
    left, right = (by_name[i] for i in contrast.scores.references)
    if right.op != "transpose" or _bare(by_name, left) != _bare(by_name, right.references[0]):
        return None
    taken = [n for n in users.get(contrast.softmax.name, ()) if n.op == "take"]
    if not any(by_name[n.references[1]].op != "arange" for n in taken):
        return None  # the own row is the positive
    message = "each row is compared with itself, too, and that is its best match"
    hint = "leave the diagonal out: `log_softmax(..., where = eye(n) == 0)`"
    return _finding(program, "E446", message, contrast.softmax, hint)


def _bare(by_name: Mapping[str, Node], node: Node | str) -> str:
    node = by_name[node] if isinstance(node, str) else node
    while node.op in _CUTS:
        node = by_name[node.references[0]]
    return node.name


def _of_another_net(
    program: Program,
    contrast: _Contrast,
    beside: Mapping[str, Product],
    held: Mapping[str, frozenset[str]],
) -> Iterator[Diagnostic]:
    """The positives are rows of one net, the queue beside them holds rows of another."""
    if len(contrast.parts) < 2:
        return
    by_name = program.step.by_name
    queues = {s.name: s for s in program.states if s.kind == "queue"}
    positive = next((p for p in _products(by_name, contrast.parts[0], beside)), None)
    if positive is None:
        return
    sides = [_nets(program, name) for name in (positive.left, positive.right)]
    for part in contrast.parts[1:]:
        for product in _products(by_name, part, beside):
            for name in held.get(product.left, frozenset()) | held.get(product.right, frozenset()):
                write = program.step.writes.get(name)
                nets = _nets(program, write.value) if write is not None else frozenset()
                if name in queues and nets and all(s and not s & nets for s in sides):
                    message = (
                        f"the queue `{name}` holds rows of {_listed(nets)}, and stands beside "
                    )
                    message += f"positives of {_listed(sides[0] | sides[1])}"
                    labels = _labels(contrast.scores)
                    yield Diagnostic("E437", message, queues[name].span, labels,
                                     "write the keys that the positives are")  # fmt: skip


def _products(
    by_name: Mapping[str, Node], name: str, beside: Mapping[str, Product]
) -> Iterator[Product]:
    """The product that a part of the logits is, arranged or not."""
    node = by_name[name]
    while node.op in ("index", "flatten"):
        node = by_name[node.references[0]]
    if node.name in beside:
        yield beside[node.name]


def _nets(program: Program, name: str) -> frozenset[str]:
    """The nets that give these rows; of an average, the one it follows."""
    by_name = program.step.by_name
    followed = {copy: source for a in program.averages for copy, source in a.pairs}
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        node = by_name[waiting.pop()]
        if node.name in seen or (isinstance(node.type, TensorType) and node.type.dtype != "float"):
            continue
        seen.add(node.name)
        if node.op == APPLY:
            net = str(node.setting("net"))
            found.add(followed.get(net, net))
        elif node.op != "one_hot":
            waiting.extend(node.references)
    return frozenset(found)


def _listed(nets: frozenset[str]) -> str:
    return " and ".join(f"`{net}`" for net in sorted(nets))


def _labels(node: Node) -> tuple[Label, ...]:
    return (Label(node.span, "compared here"),) if node.span is not None else ()


def _finding(program: Program, code: str, message: str, node: Node, hint: str) -> Diagnostic:
    """In the author's file: at the node, else at the loss that it was inlined into."""
    place = program.spans.get("loss")
    own = node.span is not None and place is not None and node.span.source is place.source
    labels = () if own else _labels(node)
    return Diagnostic(code, message, node.span if own else place, labels, hint)
