"""A loss computed on small tables: does it reward what it should?

The views of an image should come to agree. So a loss is compared with itself, the rows of one
side exchanged among the images: the same rows, so that nothing differs but who stands beside
whom. Where a view mixes images, it is compared with itself on mixtures of other shares and partners
than it reads. And where a loss is a plain function of its embeddings, without cut and without
state, it is compared with itself on constant rows, which training would find if they cost less.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from sslang.checks.ancestors import side_of, views_of
from sslang.checks.collapse import Structure, assumed, collapse, structure
from sslang.checks.tables import Machine, NotComputed, Tables, computed
from sslang.diagnostics import Diagnostic
from sslang.ir.graph import APPLY, DRAW, LATCH, READ
from sslang.ir.program import Program
from sslang.ops import schedules
from sslang.records import record

REWARDED = 0.3  # share of the larger loss, by which agreement lowers it so that one pair will do
PAIRS = 9  # otherwise
UNREWARDED = 2  # in so many of them, at least, chance alone does not lower the loss
SEEDS = 3
CONSTANTS = 8  # rows that all images may have: training would find the best
CLEAR = 0.02  # share of the larger loss, or of what pairs make of it, that is no accident
EQUAL = 1e-9
SCALES = (0.1, 0.3, 1.0, 3.0)  # of embeddings, for losses that mind their length
_CUTS = frozenset(("stop_grad", "scale_grad", "argmax", READ, LATCH, DRAW))


def embeddings(program: Program) -> Iterator[Diagnostic]:
    """What structure says of the loss and, where that does not decide, what numbers say."""
    if "loss" in program.step.outputs:
        found = structure(program)
        yield from collapse(program, found)
        yield from agreement(program, found)


def agreement(program: Program, found: Structure) -> Iterator[Diagnostic]:
    """E441 where views that agree cost more, E447 where it does not matter whether they do, E451
    where it does not fit how images were mixed, E440 where constant rows cost less than others."""
    if found.outcome not in ("note", "undecided"):
        return
    if _compares_within(program):
        return  # what a net makes of two views at once, random tables do not say
    figures = _figures(program)
    place = program.spans.get("loss")
    if figures.outcome == "punished":
        message = f"the loss is {_shown(figures.one)} where the views of each image agree, and "
        message += f"{_shown(figures.other)} where each stands beside another image's"
        hint = "look for a sign: a similarity is maximised, as in `-cosine_similarity(p, t)`, and "
        yield Diagnostic("E441", message, place, hint=hint + "a distance minimised")
    elif figures.outcome == "unmoved" and _sides(program) > 1:
        message = "the loss is the same whichever images its views are of: nothing compares them"
        hint = "add the term that draws two views together, such as `mean((x - y)**2)`"
        yield Diagnostic("E447", message, place, hint=hint)
    elif figures.outcome == "indifferent" and _sides(program) > 1:
        message = f"the loss is {_shown(figures.one)} where the views of each image agree, and "
        message += f"{_shown(figures.other)} where each stands beside another image's: chance alone"
        hint = "a term that draws two views together is missing, or its positive is not of the "
        hint += "same image"
        yield Diagnostic("E447", message, place, hint=hint)
    elif figures.outcome in _MIXTURES:
        other, hint = _MIXTURES[figures.outcome]
        message = f"the loss is {_shown(figures.one)} on mixtures as they are drawn, and "
        message += f"{_shown(figures.other)} {other}"
        yield Diagnostic("E451", message, place, hint=hint)
    elif figures.outcome == "constant" and not assumed(program):
        message = f"a constant embedding has the loss {_shown(figures.one)}, and a spread one "
        hint = "look for a sign or an axis in the term that should spread rows: variance, "
        yield Diagnostic("E440", message + f"{_shown(figures.other)}", place,
                         hint=hint + "uniformity, negatives")  # fmt: skip


_MIXTURES: Mapping[str, tuple[str, str]] = {
    "exchanged": (
        "with the shares of an image and its partner exchanged",
        "`weight` is the partner's share: what is of the own row counts `1 - weight`",
    ),
    "unshared": (
        "with the shares of an image and its partner exchanged: chance alone",
        "weigh what is of the own row by `1 - weight`, and what is of the partner's by `weight`",
    ),
    "unmatched": (
        "with other partners: chance alone",
        "`partner` counts the rows of the batch: take with it what stands at that row",
    ),
}

Outcome = Literal["punished", "unmoved", "indifferent", "exchanged", "unshared", "unmatched",
                  "constant", "sound", "not computed"]  # fmt: skip


@record(frozen=True)
class Figures:
    """What the tables say, and the two losses that it rests on."""

    outcome: Outcome
    one: float = 0.0
    other: float = 0.0


def _figures(program: Program) -> Figures:
    try:
        machine = Machine(program)
        keyed = _Keyed(machine, _is_plain(machine))
    except NotComputed:
        return Figures("not computed")
    return _remembered(keyed)


def _shown(loss: float) -> str:
    return f"{loss if abs(loss) > EQUAL else 0:.3g}"


class _Keyed:
    """A machine that is equal to those that compute the same numbers."""

    def __init__(self, machine: Machine, plain: bool) -> None:
        self.machine = machine
        self.plain = plain
        self.key = (machine.key, plain)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=64)
def _remembered(keyed: _Keyed) -> Figures:
    code = _code() if _store is not None else ""
    if _store is None or not code:
        return _computed(keyed)
    name = hashlib.sha256(repr((keyed.key, code)).encode()).hexdigest()
    known = _figures_of(_store.read(name))
    if known is None:
        known = _computed(keyed)
        _store.write(name, vars(known))
    return known


def _computed(keyed: _Keyed) -> Figures:
    try:
        found = _pairing(keyed.machine)
        if found.outcome == "sound":
            found = _mixing(keyed.machine)
        if found.outcome == "sound" and keyed.plain:
            return _constant(keyed.machine)
    except NotComputed:
        return Figures("not computed")
    return found


class Store(Protocol):
    """Keeps figures from one process to the next, by key."""

    def read(self, key: str) -> dict[str, Any] | None: ...

    def write(self, key: str, value: Mapping[str, Any]) -> None: ...


_store: Store | None = None


@contextmanager
def kept_in(store: Store) -> Iterator[None]:
    """Look there before computing, which loads NumPy, and keep there what is found."""
    global _store
    before, _store = _store, store
    try:
        yield
    finally:
        _store = before


@cache
def _code() -> str:
    """Names the code that computes figures; ``""`` where it cannot be read."""
    own = Path(__file__)
    others = ("arithmetic.py", "mixtures.py", "tables.py")
    files = [own, *map(own.with_name, others), Path(schedules.__file__)]
    try:
        return hashlib.sha256(b"".join([file.read_bytes() for file in files])).hexdigest()
    except OSError:
        return ""


def _figures_of(stored: Mapping[str, Any] | None) -> Figures | None:
    """The figures in a file; None for a file that holds none."""
    match stored:
        case {"outcome": str(outcome), "one": float(one), "other": float(other)}:
            known: Outcome | None = next((o for o in get_args(Outcome) if o == outcome), None)
            if known is not None and math.isfinite(one) and math.isfinite(other):
                return Figures(known, one, other)
    return None


def _pairing(machine: Machine) -> Figures:
    """Whether views that agree cost more than others, whatever the tables, or just as much."""
    agreed, apart = [], []
    for seed in range(PAIRS):
        agreed.append(machine.loss(Tables(seed)))
        apart.append(machine.loss(Tables(seed, apart="member")))
        if not seed and apart[0] - agreed[0] > REWARDED * max(abs(apart[0]), abs(agreed[0])):
            break  # as it should be
    pairs = list(zip(agreed, apart, strict=True))
    if not any(agreed + apart):
        raise NotComputed("nothing is left of it, as where a mask of small tables is empty")
    if all(_equal(*pair) for pair in pairs):
        return Figures("unmoved", agreed[0], apart[0])
    if min(agreed) - max(apart) > CLEAR * max(map(abs, (*agreed, *apart))):
        return Figures("punished", agreed[0], apart[0])
    if sum(one >= other for one, other in pairs) >= UNREWARDED:
        return Figures("indifferent", sum(agreed) / len(agreed), sum(apart) / len(apart))
    return _crossing(machine, agreed[0], apart[0])


def _crossing(machine: Machine, agreed: float, apart: float) -> Figures:
    """Whether anything compares two views: what is of one view may still agree with itself."""
    crossed = machine.loss(Tables(apart="view"))
    moved = abs(crossed - agreed) > CLEAR * abs(apart - agreed)
    return Figures("sound" if moved or machine.learns_by_view else "unmoved", agreed, crossed)


def _mixing(machine: Machine) -> Figures:
    """Whether mixtures cost less than others that the loss takes for them, whatever the tables."""
    mixtures = machine.mixtures.values()
    if any(m.weight or (m.partner and m.varies) for m in mixtures):
        drawn, exchanged = _beside(machine, "exchanged")
        if all(a - b > CLEAR * max(abs(a), abs(b)) for a, b in zip(drawn, exchanged, strict=True)):
            return Figures("exchanged", _mean(drawn), _mean(exchanged))
        if _chance(drawn, exchanged):
            return Figures("unshared", _mean(drawn), _mean(exchanged))
    if any(m.partner for m in mixtures):
        drawn, strangers = _beside(machine, "strangers")
        if _chance(drawn, strangers):
            return Figures("unmatched", _mean(drawn), _mean(strangers))
    return Figures("sound")


def _beside(
    machine: Machine, mixed: Literal["exchanged", "strangers"]
) -> tuple[list[float], list[float]]:
    """Losses on mixtures as drawn, and on others; one of each where that decides."""
    drawn, other = [], []
    for seed in range(PAIRS):
        drawn.append(machine.loss(Tables(seed)))
        other.append(machine.loss(Tables(seed, mixed=mixed)))
        if not seed and other[0] - drawn[0] > REWARDED * max(abs(drawn[0]), abs(other[0])):
            break
    return drawn, other


def _chance(lower: list[float], higher: list[float]) -> bool:
    """Whether the losses that should be the higher ones are so by chance alone."""
    return sum(a >= b for a, b in zip(lower, higher, strict=True)) >= UNREWARDED


def _mean(losses: list[float]) -> float:
    return sum(losses) / len(losses)


def _equal(one: float, other: float) -> bool:
    return abs(one - other) <= EQUAL * max(abs(one), abs(other))


def _constant(machine: Machine) -> Figures:
    """Whether constant tables cost less than spread ones at every scale."""
    found = []
    for scale in SCALES:
        constant = min(
            machine.loss(Tables(seed, constant=True, scale=scale)) for seed in range(CONSTANTS)
        )
        spread = min(machine.loss(Tables(seed, scale=scale)) for seed in range(SEEDS))
        if constant > spread:
            return Figures("sound", constant, spread)
        found.append((constant, spread))
    constant, spread = max(found, key=lambda pair: pair[1] - pair[0])
    clear = spread - constant > CLEAR * max(abs(constant), abs(spread))
    return Figures("constant" if clear else "sound", constant, spread)


def _compares_within(program: Program) -> bool:
    """Whether a net is applied to what is computed of several views."""
    by_name = program.step.by_name
    return any(
        len(side_of(by_name, node, at)) > 1
        for node in computed(program.step)
        if node.op == APPLY
        for at in range(node.setting("views"))
    )


def _sides(program: Program) -> int:
    """How many views nets are applied to in the step."""
    by_name = program.step.by_name
    applied = [n for n in program.step.nodes if n.op == APPLY]
    return len(frozenset().union(*(views_of(by_name, n) for n in applied)))


def _is_plain(machine: Machine) -> bool:
    """Whether the loss is a function of what trained nets give alone, which training minimises."""
    program = machine.program
    averaged = any(
        n.op == APPLY and (program.net(n.setting("net")).kind == "average" or n.setting("fixed"))
        for n in machine.nodes
    )
    return not averaged and not any(n.op in _CUTS for n in machine.nodes)
