"""How a primitive is declared: once, as a Python function that is its signature and shape rule.

The parameters of the function are the parameters of the primitive, its annotations say what each
takes, its docstring is the reference page, and its body computes the type of the result from the
types of the inputs. The decorator adds what the function cannot say: the lowering, by dotted path
(so that nothing here imports torch), the coupling of rows, draws and evaluation forms.

Files of primitives do without `from __future__ import annotations`: theirs are read by every check.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from functools import cached_property
from typing import Any, Literal

from sslang.ops.traits import KeepsRows, Random, Trait
from sslang.records import record
from sslang.types import Interval, TensorType, Type, ViewType

Kind = Literal["tensor", "view", "net", "initialiser"]

# What becomes of a view op in evaluation. `drop`: it goes; `keep`: it stays; `sure`: it stays where
# it is applied to every image, for it draws nothing else; `crop`: a centre crop stands for it.
Evaluation = Literal["drop", "keep", "sure", "crop"]


class Misfit(Exception):
    """Raised by a shape rule: these inputs do not fit. Turned into a diagnostic by the builder."""

    def __init__(
        self, message: str, hint: str = "", code: str = "E302", domain: tuple[str, str] = ("", "")
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.domain = domain  # of a setting out of its domain: its name, and where it may lie


Shape = tuple[int, ...]
Idle = float | tuple[float, ...] | tuple[tuple[float, ...], ...]
Settings = Mapping[str, Any]


@record(frozen=True)
class Number:
    """A number that an op of views draws and that a loss can read: `view.op.number`.

    `read` is its name among the numbers of the op's form; of an op of ours, the dotted path of a
    function of its uniform draws and settings. `shape` is that of one image's; an integer stays
    below `below`, for instance the rows of the batch. `idle` is what is read of an image that the
    op was not applied to, as a tuple its entries; a partner is the row itself. All three may be
    functions of all settings and the type of the images.
    """

    read: str
    doc: str
    shape: Shape | Callable[[Settings, ViewType], Shape] = ()
    below: int | Literal["batch", ""] | Callable[[Settings, ViewType], int] = ""
    idle: Idle | Callable[[Settings, ViewType], Idle] = 0

    @property
    def dtype(self) -> Literal["float", "int"]:
        return "float" if self.below == "" else "int"

    def shape_of(self, settings: Settings, x: ViewType) -> Shape:
        """Return the shape of one image's, for all settings of the op."""
        return self.shape(settings, x) if callable(self.shape) else self.shape

    def below_of(self, settings: Settings, x: ViewType) -> int | Literal["batch", ""]:
        """Return what an integer stays below: a number, or the rows of the batch."""
        return self.below(settings, x) if callable(self.below) else self.below

    def idle_of(self, settings: Settings, x: ViewType) -> Idle:
        """Return what is read of an image that the op was not applied to."""
        return self.idle(settings, x) if callable(self.idle) else self.idle


@record(frozen=True)
class Kornia:
    """How an op of views is computed by a class of kornia.

    `arguments` says, by our parameter, which argument of the class takes it, and how it is written
    there: units and words are converted here alone; `combined` gives arguments that are made of
    several settings, or of the size of the images. `form` is the dotted path of the class that
    draws the numbers and applies them.
    """

    path: str
    arguments: Mapping[str, tuple[str, Callable[[Any], Any]]] = field(default_factory=dict)
    combined: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    form: str = "sslang.emit.augmentations.plain.Plain"

    def given(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the class, for all settings of an op.

        `settings` have the size of the images as `image_size`, too.
        """
        found = {name: convert(settings[ours]) for ours, (name, convert) in self.arguments.items()}
        combined = self.combined(settings) if self.combined is not None else {}
        return {**found, **combined, **self.fixed}

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.path.rpartition(".")[2]


@record(frozen=True)
class Primitive:
    name: str
    kind: Kind
    rule: Callable[..., Any]
    lowering: str
    couples: Callable[..., bool]
    draws: int = 0
    evaluation: Evaluation = "drop"
    takes_sizes: bool = False  # of a view op: also takes the true size of each image
    fused: str = ""  # of a view op: our faster form, which `fuse_views` puts in its place
    kornia: Kornia | None = field(default=None, compare=False)
    numbers: Mapping[str, Number] = field(default_factory=dict, compare=False)
    traits: tuple[Trait, ...] = ()
    weak: bool = False  # a spec may give the name another meaning without a note

    @cached_property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.rule)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The parameters that take tensors or views rather than numbers and words."""
        return tuple(n for n, p in self.signature.parameters.items() if p.annotation in _INPUTS)

    @cached_property
    def settings(self) -> tuple[inspect.Parameter, ...]:
        """The other parameters."""
        return tuple(p for n, p in self.signature.parameters.items() if n not in self.inputs)

    @property
    def random(self) -> bool:
        """Whether the op draws: at least whether it acts on an image at all."""
        return self.kind == "view" and self.evaluation != "keep"

    def all_settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings given, and the defaults of the others."""
        return {p.name: p.default for p in self.settings} | dict(given)

    @property
    def group(self) -> str:
        """The group of its reference page: the name of the file that declares it."""
        return self.rule.__module__.rpartition(".")[2]

    def has(self, trait: type[Trait]) -> bool:
        """Whether the op has a trait. An op that says nothing of its traits is a fault."""
        assert self.traits, f"`{self.name}` does not say what its traits are"
        return any(isinstance(t, trait) for t in self.traits)

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.rule) or ""

    @property
    def is_augmentation(self) -> bool:
        """Whether a class of kornia computes the op, by numbers of its own generator."""
        return self.lowering.startswith("sslang.emit.augmentations.")

    @property
    def required(self) -> list[str]:
        """The names of the settings that have no default."""
        return [p.name for p in self.settings if p.default is inspect.Parameter.empty]

    @property
    def needs_arguments(self) -> bool:
        return bool(self.required)


_INPUTS = (TensorType, ViewType, Type, TensorType | None)

PRIMITIVES: dict[str, Primitive] = {}


def _register(primitive: Primitive) -> None:
    assert primitive.name not in PRIMITIVES, f"{primitive.name} is declared twice"
    PRIMITIVES[primitive.name] = primitive


def _never(*_: Any, **__: Any) -> bool:
    return False


def always(*_: Any, **__: Any) -> bool:
    """The coupling of an op in which every row depends on every row."""
    return True


Rule = Callable[..., Any]


def tensor_op(lowering: str, *, couples: Callable[..., bool] = _never) -> Callable[[Rule], Rule]:
    """Declare an op on tensors. `couples(types, settings)` says whether it mixes rows."""

    def declare(rule: Rule) -> Rule:
        name = rule.__name__.rstrip("_")
        _register(Primitive(name, "tensor", rule, lowering, couples))
        return rule

    return declare


def view_op(
    lowering: str,
    *,
    draws: int = 0,
    evaluation: Evaluation = "drop",
    takes_sizes: bool = False,
    fused: str = "",
    kornia: str = "",
    numbers: Mapping[str, Number] | None = None,
) -> Callable[[Rule], Rule]:
    """Declare an op on views; `draws` uniform numbers are drawn for each image.

    `kornia` names the class of kornia that the op stands for, where there is one.
    """

    def declare(rule: Rule) -> Rule:
        _register(
            Primitive(
                rule.__name__, "view", rule, lowering, _never, draws, evaluation, takes_sizes,
                fused, Kornia(f"kornia.augmentation.{kornia}") if kornia else None, numbers or {},
                (KeepsRows(), Random()) if draws else (KeepsRows(),),
            )
        )  # fmt: skip
        return rule

    return declare


Argument = str | tuple[str, Callable[[Any], Any]] | None


def kornia_op(
    path: str,
    *,
    arguments: Mapping[str, Argument] | None = None,
    combined: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
    fixed: Mapping[str, Any] | None = None,
    form: str = "",
    numbers: Mapping[str, Number] | None = None,
    evaluation: Evaluation = "drop",
    rows: Trait = KeepsRows(),
) -> Callable[[Rule], Rule]:
    """Declare an op on views that a class of kornia computes, with numbers of its own generator.

    `path` is that of the class below `kornia.augmentation`. `arguments` names the class's argument
    for each of our parameters, alone or with the conversion, where it has another name or unit, and
    None where `combined` makes it of the settings; `per` is no argument of the class but says
    whether its numbers are drawn once a batch.
    """

    def declare(rule: Rule) -> Rule:
        given: dict[str, tuple[str, Callable[[Any], Any]]]
        given = {name: (name, as_kornia) for name in inspect.signature(rule).parameters}
        for name, argument in {"x": None, "per": None, **(arguments or {})}.items():
            if argument is None:
                given.pop(name, None)
            else:
                given[name] = (argument, as_kornia) if isinstance(argument, str) else argument
        kornia = Kornia(f"kornia.augmentation.{path}", given, combined, fixed or {})
        lowering = "transform" if evaluation == "keep" else "augment"
        if form:
            kornia = replace(kornia, form=f"sslang.emit.augmentations.{form}")
        _register(
            Primitive(
                rule.__name__, "view", rule, f"sslang.emit.augmentations.{lowering}", _never, 0,
                evaluation, kornia=kornia, numbers=numbers or {}, weak=True,
                traits=(rows,) if evaluation in ("keep", "sure") else (rows, Random()),
            )
        )  # fmt: skip
        return rule

    return declare


def as_kornia(value: Any) -> Any:
    """A setting as kornia writes it: a range is a pair."""
    return (value.low, value.high) if isinstance(value, Interval) else value


def net_op(lowering: str) -> Callable[[Rule], Rule]:
    """Declare a description of a net; the rule gives the output type and the build arguments."""

    def declare(rule: Rule) -> Rule:
        _register(Primitive(rule.__name__, "net", rule, lowering, _never))
        return rule

    return declare


def initialiser(rule: Rule) -> Rule:
    """Declare a way to fill a state: the rule gives the shape of a row."""
    _register(Primitive(rule.__name__, "initialiser", rule, "", _never))
    return rule


def as_tensor(value: Type, what: str = "the value") -> TensorType:
    if not isinstance(value, TensorType):
        raise Misfit(f"{what} is a view; a tensor is due here", "apply a net first", "E301")
    return value
