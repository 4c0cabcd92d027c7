"""What an expression of the language can be worth while a spec is built into a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sslang.diagnostics import Span
from sslang.ir.graph import Node
from sslang.model.recipe import Word as Configuration
from sslang.model.resolve import Namespace
from sslang.ops import Primitive
from sslang.ops.schedules import Schedule
from sslang.records import record
from sslang.syntax import tree
from sslang.types import Dim, Duration, Interval, Size, TensorType, Type, ViewType


class Word(str):
    """A word that only some parameter gives a sense, such as `bicubic` or `drop`."""


@record(frozen=True)
class Value:
    """A value of the step: the result of a node of the graph."""

    node: str
    type: TensorType


@record(frozen=True)
class View:
    """A declared view: the key of families, and its images in the graph.

    `unused` are the ops of its chain that are never applied, with the type of their images.
    """

    key: str
    node: str
    type: ViewType
    unused: tuple[tuple[Node, ViewType], ...] = ()

    def __str__(self) -> str:
        return self.key


@record(frozen=True)
class ViewOp:
    """An op of a declared view's chain, whose numbers can be read: `view.mixup`."""

    view: View
    name: str


Key = View | int


@record(frozen=True)
class Family:
    """A map from keys (views or integers) to values; never a tensor."""

    keys: tuple[Key, ...]
    members: tuple[Any, ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.keys, self.members))

    def get(self, key: object) -> Any:
        for own, member in zip(self.keys, self.members, strict=True):
            if _same_key(own, key):
                return member
        return None

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def leaves(self) -> int:
        """How many values it holds, those of families within it counted one by one."""
        return sum(m.leaves if isinstance(m, Family) else 1 for m in self.members)


def _same_key(a: object, b: object) -> bool:
    if isinstance(a, View) and isinstance(b, View):
        return a.key == b.key
    return type(a) is type(b) and a == b


@record(frozen=True)
class Arrow:
    start: float
    end: float


@record(frozen=True)
class Durations:
    """`[120, 160] epochs`."""

    items: tuple[Duration, ...]


@record(frozen=True)
class Stage:
    """One step of a net's or chain's description, with its settings; not built, not drawn."""

    primitive: Primitive
    settings: tuple[tuple[str, Any], ...]
    span: Span = field(compare=False, repr=False)
    probability: float = 1.0


@record(frozen=True)
class Choice:
    """A step of a chain that is one of several chains, or some of them, drawn for each image.

    Of `alternatives`, `low` to `high` are applied, in the order in which they are drawn, or that of
    the list where `listed`.
    """

    alternatives: tuple[tuple[Stage | Choice, ...], ...]
    low: int
    high: int
    replace: bool
    listed: bool
    span: Span = field(compare=False, repr=False)
    probability: float = 1.0


@record(frozen=True)
class Description:
    """A pipeline of stages of one kind: `net` (unbuilt) or `view` (undrawn)."""

    kind: str
    stages: tuple[Any, ...]  # Stage, and in a chain of views Choice
    origin: tuple[str, str] | None = None  # of a net: the run or file it is loaded from


@record(frozen=True)
class ChainFrom:
    """A chain of view operations that goes on from a declared view."""

    view: View
    chain: Description


NOTHING = Description("net", ())


@dataclass(eq=False)
class BuiltNet:
    """A net with a declared name; its input type follows from its first use."""

    name: str
    kind: str  # encoder, head, or average
    description: Description
    span: Span
    input: Type | None = None
    arguments: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    first_use: Span | None = None
    source: BuiltNet | None = None  # of an average: the net whose parameters it averages
    flexible: tuple[str, ...] = ()  # a stage: the argument that may differ between its uses

    def __str__(self) -> str:
        return self.name


@record(frozen=True)
class Part:
    """A named part of a net, as selectors use it."""

    net: BuiltNet
    name: str


@record(frozen=True)
class NetSlice:
    """The layers `start` to `stop` of a net, sharing its parameters."""

    net: BuiltNet
    start: int
    stop: int

    def __str__(self) -> str:
        return self.net.name


@record(frozen=True)
class BatchNorm:
    """Over which rows batch statistics go: the whole batch, or runs of `images` images."""

    images: int = 0
    shuffled: bool = False
    span: Span | None = field(default=None, compare=False, repr=False)


ORDINARY = BatchNorm()


@dataclass(eq=False)
class Branch:
    """A pipeline of built nets and functions, with settings."""

    name: str
    stages: tuple[Any, ...]
    batch_norm: BatchNorm = ORDINARY
    average: Average | None = None
    drop_path: float = 0.0
    drop_span: Span | None = None
    evaluation: bool = False  # running statistics, nothing dropped
    fixed: bool = False  # evaluation, and no gradient
    applications: int = 0


@record(frozen=True)
class Average:
    """`ema(net, momentum)`: how the copies of a branch's nets follow them."""

    momentum: float | Schedule
    fresh: bool
    buffers: bool
    span: Span | None = field(default=None, compare=False, repr=False)  # of the momentum


@record(frozen=True)
class Momentum:
    """An `ema(...)` that no declaration has named yet."""

    of: Any
    average: Average


@record(frozen=True)
class State:
    """A queue (rows as of t, oldest first), bank, state or weight.

    `initial` is how it begins: an initialiser, a number, or a value of the first step.
    """

    name: str
    kind: str
    type: TensorType
    span: Span = field(compare=False)
    initial: Any = field(compare=False, repr=False)
    path: str = field(default="", compare=False)  # the call that owns it; empty: a declaration
    capacity: Size = field(default=0, compare=False)  # of a queue that begins as empty
    start: Duration | None = field(default=None, compare=False)
    every: Duration | None = field(default=None, compare=False)
    constraint: str = field(default="", compare=False)

    @property
    def latched(self) -> bool:
        return isinstance(self.initial, Value)


@record(frozen=True)
class Initial:
    """`sphere(dim)` and its like: how a row begins."""

    primitive: Primitive
    settings: tuple[tuple[str, Any], ...]
    row: tuple[int, ...] | None  # None: the declaration gives the shape
    start: Duration | None = None
    every: Duration | None = None
    constraint: str = ""


@record(frozen=True)
class Function:
    """A function of the language, with the names it sees."""

    node: tree.Function
    home: Namespace | None


@record(frozen=True)
class Builtin:
    """A primitive by name, not yet called."""

    primitive: Primitive


@record(frozen=True)
class Special:
    """A name whose call the builder itself understands: `ema`, `cosine`, `groups`, `knn`."""

    name: str


@record(frozen=True)
class Selector:
    """A set of parameters: `bias`, `norm`, a net, a part, or a combination of them."""

    operator: str  # word, net, part, and, or, not, until
    operands: tuple[Any, ...]
    span: Span = field(compare=False, repr=False)

    @cached_property
    def words(self) -> int:
        """How many names it is made of."""
        return sum(o.words if isinstance(o, Selector) else 1 for o in self.operands)

    def __str__(self) -> str:
        if self.operator in ("word", "net"):
            return str(self.operands[0])
        if self.operator == "part":
            return f"{self.operands[0]}.{self.operands[1]}"
        if self.operator == "not":
            return f"not {self.operands[0]}"
        if self.operator == "until":
            return f"until({self.operands[1]}, {self.operands[0]})"
        return f"({self.operands[0]} {self.operator} {self.operands[1]})"


Number = float | int | Dim | Schedule


def describe(value: object) -> str:
    """What a value is, in the words of the language."""
    match value:
        case bool():
            return "a truth value"
        case int() | float():
            return f"the number {value:g}"
        case Dim():
            return f"the size {value}"
        case Schedule():
            return "a schedule"
        case Word():
            return f"the word `{value}`"
        case str():
            return "a text"
        case Value():
            return f"a tensor {value.type}"
        case View():
            return f"the view `{value.key}`"
        case Family():
            return f"a family of {len(value)}"
        case Description(kind, _):
            return "a description of a net" if kind == "net" else "a chain of view operations"
        case BuiltNet():
            return f"the net `{value.name}`"
        case Branch() | Momentum():
            return "a branch"
        case State():
            return f"the {value.kind} `{value.name}`"
        case Part():
            return f"the part `{value.name}` of the net `{value.net.name}`"
        case NetSlice():
            return f"a slice of the net `{value.net.name}`"
        case ViewOp():
            return f"the op `{value.name}` of the view `{value.view.key}`"
        case ChainFrom():
            return "a chain of view operations"
        case Function():
            return f"the function `{value.node.name}`"
        case Builtin():
            return f"`{value.primitive.name}`, not called"
        case Special():
            return f"`{value.name}`, not called"
        case Interval():
            return f"the range {value}"
        case Duration():
            return f"the time {value}"
        case Durations():
            return "a list of times"
        case Arrow():
            return "an arrow `a -> b`"
        case Initial():
            return "an initialiser"
        case Selector():
            return "a selector of parameters"
        case BatchNorm():
            return "a batch-norm setting"
        case Configuration():
            return f"`{value.word}(...)`"
        case None:
            return "`none`"
    return type(value).__name__
