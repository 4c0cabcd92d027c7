"""A loss computed on small tables: what nets give is drawn, and the rest of the graph is run.

Every net and every average gives of an image the same row of a random table, whatever its view;
so all sides of a comparison agree, unless each is given the rows of other images. Of a view that
mixes images they are mixed alike, where the loss reads with whom or by which shares. Sizes are made
small: a number above `KEPT` among the sizes of what is drawn becomes one below 32, everywhere.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal

from sslang.checks.ancestors import side_of, state_of
from sslang.checks.mixtures import Mixture, mixtures, on_the_way
from sslang.ir.graph import (
    APPLY,
    DRAW,
    FIELD,
    INPUT,
    LATCH,
    PERMUTE,
    READ,
    UNPERMUTE,
    WEIGHT,
    Graph,
    Node,
    OpNumber,
)
from sslang.ir.program import Program, StatePlan
from sslang.ops.schedules import ends_of
from sslang.records import record
from sslang.types import Dim, Size, TensorType, ViewType

if TYPE_CHECKING:
    from sslang.checks.arithmetic import Array

ROWS, IMAGES, CLASSES = 24, 72, 5
KEPT, SMALLEST, LARGEST = 16, 17, 31  # sizes that stay; those that others become
NUMBERS = 1 << 22  # that are computed of one loss, at most
A_DRAW = 16  # how many are computed in the time of one that is drawn, if it was not before
MOST = 400  # operations of a loss; of a longer one a check in a tenth of a second has no time
_DRAWN = frozenset((APPLY, FIELD, WEIGHT, READ, LATCH, DRAW))


class NotComputed(Exception):
    """The graph has an op or sizes that small tables do not fit."""


def computed(graph: Graph) -> tuple[Node, ...]:
    """The nodes that the loss is computed of, from what nets give on, in order."""
    by_name = graph.by_name
    kept: set[str] = set()
    waiting = [graph.outputs["loss"]]
    while waiting:
        node = by_name[waiting.pop()]
        if node.name in kept:
            continue
        kept.add(node.name)
        inputs = node.references[:1] if node.op in (PERMUTE, UNPERMUTE) else node.references
        waiting.extend(() if node.op == APPLY or isinstance(node.type, ViewType) else inputs)
    return tuple(n for n in graph.nodes if n.name in kept)


@record(frozen=True)
class Tables:
    """What one evaluation is a function of.

    `apart`: each net, member and bank has the rows of other images than all others, or each `view`,
    so that all that is computed from one view has the rows of the same images. `constant`: nets
    give one row for all images. In mixtures, while the loss reads what was drawn, an image and its
    partner have each other's shares (`exchanged`), or its partners are other images (`strangers`).
    `scale` is the deviation of an entry.
    """

    seed: int = 0
    apart: Literal["", "member", "view"] = ""
    constant: bool = False
    mixed: Literal["", "exchanged", "strangers"] = ""
    scale: float = 1.0


@dataclass
class Machine:
    """The loss of one program, with its sizes chosen; NotComputed where it is too long."""

    program: Program
    nodes: tuple[Node, ...] = field(init=False)
    small: Mapping[int, int] = field(init=False)
    left: int = field(init=False, default=NUMBERS)  # of the numbers that may be computed

    def __post_init__(self) -> None:
        self.nodes = computed(self.program.step)
        if len(self.nodes) > MOST:
            raise NotComputed(f"{len(self.nodes)} operations")
        self.plans = {s.name: s for s in self.program.states}
        self.place = {node.name: at for at, node in enumerate(self.nodes)}
        self.small = _small(self.nodes, self.plans)
        self.own = frozenset(_at_their_images(self.nodes))
        self.mixtures = mixtures(self.nodes)
        self.mixed: dict[tuple[str, int], tuple[Mixture, ...]] = {}
        self.dims = {"batch": ROWS, "dataset": IMAGES, "classes": CLASSES}
        for plan in self.program.states:  # a queue that begins empty has its name for a size
            if plan.kind == "queue":
                self.dims[plan.name] = self._size(plan.shape[0])

    @property
    def learns_by_view(self) -> bool:
        """Whether there is something to learn of each view alone: from a net that is held fixed, or
        what a net was not shown."""
        applied = [node for node in self.program.step.nodes if node.op == APPLY]
        return any(node.setting("fixed") or node.setting("keep") for node in applied)

    @property
    def key(self) -> object:
        """What the numbers depend on: equal for programs that differ in large sizes alone."""
        return tuple(
            (n.op, tuple([self.place.get(i, i) if isinstance(i, str) else i for i in n.inputs]),
             self._settings(n), self._begun(n), self._mixed_by(n))
            for n in self.nodes
        )  # fmt: skip

    def _settings(self, node: Node) -> str:
        """The settings as text, with small sizes."""
        return repr([(k, self._plain(v)) for k, v in node.settings if k != "site"])

    def _begun(self, node: Node) -> object:
        """What a value that is drawn is drawn as."""
        if node.op not in _DRAWN or not isinstance(node.type, TensorType):
            return None
        plan = self.plans[node.setting("state")] if node.op == READ else None
        begun = (plan.kind, plan.initialiser) if plan is not None else None
        return begun, tuple(map(self._size, node.type.shape))

    def _mixed_by(self, node: Node) -> object:
        """By which draws the members of what a net gives are mixed."""
        if not self.mixtures or node.op not in (APPLY, FIELD):
            return None
        of = self._shape(node)[0] // ROWS
        return tuple(
            (at, m.op.op, *(d and self.place[d.name] for d in (m.partner, m.weight)))
            for at in range(of)
            for m in self._mixtures_of(node, at, of)
        )

    def loss(self, tables: Tables) -> float:
        """The loss on these tables; NotComputed where it is none or no number."""
        import numpy as np

        known: dict[str, Any] = {}
        places: dict[object, int] = {}
        self.left = NUMBERS
        with np.errstate(all="ignore"):
            for node in self.nodes:
                try:
                    known[node.name] = self._value(node, known, tables, places)
                except (KeyError, TypeError, ValueError, IndexError, ArithmeticError) as error:
                    raise NotComputed(f"`{node.op}`: {error}") from error
                except np.linalg.LinAlgError as error:
                    raise NotComputed(f"`{node.op}`: {error}") from error
        value = float(np.mean(known[self.program.step.outputs["loss"]]))
        if not np.isfinite(value):
            raise NotComputed("no number")
        return value

    def _value(
        self, node: Node, known: dict[str, Any], tables: Tables, places: dict[object, int]
    ) -> Any:
        import numpy as np

        from sslang.checks.arithmetic import OPS, cost

        match node.op:
            case "apply" | "field":
                return self._given(node, tables, places)
            case "member":
                joined = known[node.references[0]]
                return np.split(joined, node.setting("of"))[node.setting("at")]
            case "permute_rows" | "unpermute_rows":
                return known[node.references[0]]
            case "read":
                return self._state(self.plans[node.setting("state")], tables, places)
            case "latch":
                return known[node.references[0]]
            case "weight":
                return self._unit(self._drawn(self._name(node), self._shape(node), tables))
            case "input":
                count = IMAGES if node.setting("name") == "index" else CLASSES
                return np.arange(ROWS) % count
            case "draw":
                return self._draw(node, tables)
            case "schedule":
                return max(ends_of(node.setting("schedule")), key=abs)
            case "size":
                return self._size(node.setting("size"))
        settings = {name: self._plain(value) for name, value in node.settings}
        given = [known[i] if isinstance(i, str) else i for i in node.inputs]
        inputs = [np.asarray(x) for x in given if x is not None]
        self._spend(cost(node.op, inputs, settings))
        found = OPS[node.op](*inputs, **settings)
        if not np.size(found):
            raise NotComputed(f"`{node.op}` leaves nothing")
        return found

    def _spend(self, numbers: int) -> None:
        """Counts what is computed: any text ends soon, and in little memory."""
        self.left -= numbers
        if self.left < 0:
            raise NotComputed("too much to compute")

    def _given(self, node: Node, tables: Tables, places: dict[object, int]) -> Array:
        """What a net gives: of each member rows of the table, if apart those of other images."""
        import numpy as np

        shape = self._shape(node)
        members = []
        for at in range(shape[0] // ROWS):
            rows = self._table(shape[-1], tables)
            if tables.apart:
                key = self._side(node, at, shape[0] // ROWS, tables)
                rows = np.roll(rows, places.setdefault(key, len(places)), axis=0)
            for mixture in self._mixtures_of(node, at, shape[0] // ROWS):
                rows = self._mixture(mixture, rows, tables)
            rows = rows.reshape(ROWS, *(1 for _ in shape[1:-1]), shape[-1])
            members.append(np.broadcast_to(rows, (ROWS, *shape[1:])))
        inner = self._drawn("places", shape[1:], tables) if len(shape) > 2 else 0.0
        return np.concatenate(members) + 0.1 * tables.scale * np.asarray(inner)

    def _side(self, node: Node, at: int, of: int, tables: Tables) -> object:
        """What has the rows of images of its own, where sides are apart: of a net's rows the batch
        `at`, of so many."""
        return (node.name, at) if tables.apart == "member" else self._views_of(node, at, of)

    def _views_of(self, node: Node, at: int, of: int) -> frozenset[str]:
        """The views that a net's rows, the batch `at` of so many, are computed from."""
        by_name = self.program.step.by_name
        net = by_name[node.references[0]] if node.op == FIELD else node
        return side_of(by_name, node, at * net.setting("views") // of)

    def _mixtures_of(self, node: Node, at: int, of: int) -> tuple[Mixture, ...]:
        """The ops that mix the images of the view that these rows are of, the first one first."""
        if not self.mixtures:
            return ()
        if (node.name, at) not in self.mixed:
            views = self._views_of(node, at, of)
            found: tuple[Mixture, ...] = ()
            if len(views) == 1:
                (view,) = views
                found = on_the_way(self.program.step.by_name, view, self.mixtures)
            self.mixed[node.name, at] = found
        return self.mixed[node.name, at]

    def _mixture(self, mixture: Mixture, rows: Array, tables: Tables) -> Array:
        """The rows of mixed images, by the numbers that the loss reads; others are drawn here."""
        import numpy as np

        partner: Array
        weight: Array
        read = mixture.partner or mixture.weight
        assert read is not None
        shape = self._shape(read)
        partner, weight = (
            self._draw(node, tables) if node is not None
            else self._of_mixing(mixture, name, self._random(
                kind, f"{name} of {self._name(read)}", shape, tables, ROWS))
            for name, kind, node in (("partner", "integers", mixture.partner),
                                     ("weight", "uniform", mixture.weight))
        )  # fmt: skip
        if tables.mixed == "strangers":
            partner = self._of_mixing(mixture, "partner", np.roll(partner, 7, axis=0))
        if len(shape) > 1:
            shares = np.roll(weight, 1, axis=-1) if tables.mixed == "exchanged" else weight
            return np.asarray((shares[..., None] * rows[partner]).sum(1))
        share = (1 - weight if tables.mixed == "exchanged" else weight)[:, None]
        return np.asarray((1 - share) * rows + share * rows[partner])

    @staticmethod
    def _of_mixing(mixture: Mixture, name: str, drawn: Array) -> Array:
        """What an op that mixes images may draw: shares within its range, and of several partners
        the image itself for the first, and shares that add up to 1."""
        import numpy as np

        match name, drawn.ndim:
            case "weight", 1:
                low, high = mixture.range
                return np.asarray(low + (high - low) * drawn)
            case "weight", 2:
                return np.asarray(drawn / drawn.sum(-1, keepdims=True))
            case "partner", 2:
                return np.concatenate([np.arange(len(drawn))[:, None], drawn[:, 1:]], axis=1)
        return drawn

    def _side_of_bank(self, name: str, tables: Tables) -> object:
        step = self.program.step
        if tables.apart == "member" or name not in step.writes:
            return name
        return side_of(step.by_name, step.by_name[step.writes[name].value], 0)

    def _table(self, width: int, tables: Tables) -> Array:
        import numpy as np

        rows = tables.scale * self._drawn("images", (ROWS, LARGEST + 1), tables)[:, :width]
        if tables.constant:
            rows = np.repeat(rows[:1], ROWS, axis=0)
        return rows

    def _state(self, plan: StatePlan, tables: Tables, places: dict[object, int]) -> Array:
        import numpy as np

        shape = self._sized(plan.shape)
        if len(shape) < 2:
            zero = plan.initialiser == "zeros"
            return np.zeros(shape) if zero else self._drawn(plan.name, shape, tables)
        drawn = self._drawn(plan.name, shape, tables)
        if plan.name in self.own and shape[0] == IMAGES:
            own = self._table(shape[-1], tables)
            if tables.apart:
                key = self._side_of_bank(plan.name, tables)
                own = np.roll(own, places.setdefault(key, len(places)), axis=0)
            drawn = np.concatenate([own, drawn[ROWS:]])
        return self._unit(drawn)

    def _draw(self, node: Node, tables: Tables) -> Array:
        shape, kind = self._shape(node), node.setting("kind")
        below = self._size(node.setting("below")) if kind == "integers" else 0
        drawn = self._random(kind, self._name(node), shape, tables, below)
        mixture = self.mixtures.get(node.setting("site"))
        name = "" if mixture is None else node.setting("number").name
        return drawn if mixture is None else self._of_mixing(mixture, name, drawn)

    def _name(self, node: Node) -> str:
        """What is drawn for a node goes by its place, as `key` does, and not by its name."""
        return f"node {self.place[node.name]}"

    def _drawn(self, name: str, shape: tuple[int, ...], tables: Tables) -> Array:
        return self._random("normal", name, shape, tables)

    def _random(
        self, kind: str, name: str, shape: tuple[int, ...], tables: Tables, below: int = 0
    ) -> Array:
        count = math.prod(shape)
        self._spend(A_DRAW * count)
        return _numbers(kind, f"{name} {tables.seed}", count, below).reshape(shape)

    @staticmethod
    def _unit(rows: Array) -> Array:
        import numpy as np

        return np.asarray(rows / np.sqrt((rows * rows).sum(-1, keepdims=True)))

    def _shape(self, node: Node) -> tuple[int, ...]:
        assert isinstance(node.type, TensorType)
        return self._sized(node.type.shape)

    def _sized(self, sizes: tuple[Size, ...]) -> tuple[int, ...]:
        shape = tuple(self._size(s) for s in sizes)
        self._spend(math.prod(shape))
        return shape

    def _size(self, size: Size) -> int:
        if not isinstance(size, Dim):
            return self.small.get(size, size)
        if any(name not in self.dims for name, _ in size.terms):
            raise NotComputed(f"the size {size}")
        return size.at(self.dims)

    def _plain(self, value: Any) -> Any:
        """A setting with its sizes as numbers."""
        match value:
            case Dim():
                return self._size(value)
            case slice(start=start, stop=stop, step=step):
                return slice(self._plain(start), self._plain(stop), step)
            case tuple():
                return tuple(self._plain(v) for v in value)
            case OpNumber():
                return value.op.op, value.name, str(value.op.setting("weight"))
            case bool():
                return value
            case int():
                return self.small.get(value, value)
        return value


@lru_cache(maxsize=32)
def _numbers(kind: str, seed: str, count: int, below: int) -> Array:
    """Random numbers, each of those that a name has in every evaluation drawn once.

    Python's own generator: to load that of NumPy takes longer than it saves.
    """
    import numpy as np

    chance = random.Random(seed)
    draw: Callable[[], float]
    match kind:
        case "uniform":
            draw = chance.random
        case "integers":
            draw = partial(chance.randrange, below)
        case _:
            draw = partial(chance.gauss, 0.0, 1.0)
    found = np.array([draw() for _ in range(count)])
    found.setflags(write=False)
    return found


def _small(nodes: tuple[Node, ...], plans: Mapping[str, StatePlan]) -> dict[int, int]:
    """By size what it becomes, the order kept as far as there is room."""
    shapes = [n.type.shape for n in nodes if n.op in _DRAWN and isinstance(n.type, TensorType)]
    shapes += [plans[n.setting("state")].shape for n in nodes if n.op in (READ, LATCH)]
    large = sorted({s for shape in shapes for s in shape if isinstance(s, int) and s > KEPT})
    return {s: min(SMALLEST + at, LARGEST) for at, s in enumerate(large)}


def _at_their_images(nodes: tuple[Node, ...]) -> Iterator[str]:
    """The banks of which the rows at the places of the batch's images are taken, or products."""
    by_name = {node.name: node for node in nodes}
    read = [node.setting("state") for node in nodes if node.op == READ]
    for node in nodes:
        banks: list[str] = []
        if node.op == "one_hot":  # by which rows of a product are picked, or of any other
            banks = read
        elif node.op in ("gather", "take"):
            banks = [bank for bank in [state_of(by_name, by_name[node.references[0]])] if bank]
        waiting = [node.references[-1]] if banks else []
        while waiting:
            at = by_name[waiting.pop()]
            if at.op == INPUT and at.setting("name") == "index":
                yield from banks
            elif at.op in ("concat", "index", "stack", "flatten"):
                waiting.extend(at.references)
