"""How a primitive is declared: once, as a Python function that is its signature and shape rule.

The parameters of the function are the parameters of the primitive, its annotations say what each
takes, its docstring is the reference page, and its body computes the type of the result from the
types of the inputs. The decorator adds what the function cannot say: the lowering, by dotted path
(so that nothing here imports torch), the coupling of rows, draws and evaluation forms.

Files of primitives do without `from __future__ import annotations`: theirs are read by every check.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal

from sslang.records import record
from sslang.types import TensorType, Type, ViewType

Kind = Literal["tensor", "view", "net", "initialiser"]


class Misfit(Exception):
    """Raised by a shape rule: these inputs do not fit. Turned into a diagnostic by the builder."""

    def __init__(self, message: str, hint: str = "", code: str = "E302") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


@record(frozen=True)
class Primitive:
    name: str
    kind: Kind
    rule: Callable[..., Any]
    lowering: str
    couples: Callable[..., bool]
    draws: int = 0
    evaluation: str = "drop"  # of a view op: what becomes of it in evaluation: drop, keep, crop
    takes_sizes: bool = False  # of a view op: also takes the true size of each image

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

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.rule) or ""

    @property
    def needs_arguments(self) -> bool:
        return any(p.default is inspect.Parameter.empty for p in self.settings)


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
    lowering: str, *, draws: int = 0, evaluation: str = "drop", takes_sizes: bool = False
) -> Callable[[Rule], Rule]:
    """Declare an op on views; `draws` uniform numbers are drawn for each image."""

    def declare(rule: Rule) -> Rule:
        _register(
            Primitive(rule.__name__, "view", rule, lowering, _never, draws, evaluation, takes_sizes)
        )
        return rule

    return declare


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
