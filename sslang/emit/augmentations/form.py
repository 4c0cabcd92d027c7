"""What all forms share: where numbers come from, and how a class of kornia is made and called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sslang.emit import draws
from sslang.ops import PRIMITIVES

Indices = NDArray[np.int64]
Numbers = dict[str, Tensor]  # of kornia's parameters, each [rows, ...] on the host
Key = Callable[[str], NDArray[np.uint64]]


@dataclass(frozen=True)
class Drawn:
    """The numbers of an op for the rows that it is applied to, in their order.

    `partners`, [n, k], are the rows that each is mixed with, if any.
    """

    rows: Indices
    numbers: Numbers
    partners: Indices | None = None


@dataclass(frozen=True)
class Source:
    """Where the numbers of one op in one step come from.

    `key` gives the key of a stream by its site. `shape` is that of the images of the whole batch,
    [B, C, H, W], where B counts patches. What is drawn for the whole batch is kept in `drawn`, for
    each micro-batch takes its rows of it.
    """

    key: Key
    site: str
    step: int
    shape: tuple[int, int, int, int]
    drawn: dict[object, Numbers] = field(default_factory=dict)

    def once(self, what: object, draw: Callable[[], Numbers]) -> Numbers:
        """Return numbers of the whole batch, drawn the first time that they are asked for."""
        if what not in self.drawn:
            self.drawn[what] = draw()
        return self.drawn[what]

    def seed(self, number: int = 0) -> int:
        """Return a seed of kornia's generator for the whole batch.

        torch's generator of the host takes the lower half of it, 32 bits.
        """
        return int(self._words(1 + number)[number])

    def seeds(self, rows: Indices) -> list[int]:
        """Return a seed for each of some rows of the batch."""
        return [int(word) for word in self._words(1 + self.shape[0])[1:][rows]]

    def uniform(self, count: int) -> NDArray[np.float64]:
        """Return `count` uniform numbers in [0, 1) for each row of the batch: what kornia draws
        once a batch though it is an image's own."""
        return draws.uniform(self.key(f"{self.site}/own"), self.step, self.shape[0], count)

    def _words(self, count: int) -> NDArray[np.uint64]:
        return draws.words(self.key(f"{self.site}/kornia"), self.step, count) >> np.uint64(1)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within, torch draws on the host under `seed`; what it drew before goes on afterwards."""
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(before)


class Form:
    """An op of views with its settings, as a class of kornia computes it.

    `settings` are all of the op's, ranges as pairs, with the `image_size`. Subclasses say where
    numbers are drawn in another way.
    """

    shared: tuple[str, ...] = ()  # of kornia's parameters, those that are no image's own
    mixes = 0  # how many partners an image is mixed with

    def __init__(self, op: str, settings: Mapping[str, Any]) -> None:
        kornia = PRIMITIVES[op].kornia
        assert kornia is not None, f"`{op}` is no op of kornia"
        self.op = op
        self.settings = settings
        self.per_step = settings.get("per") == "step"
        self.module = self.build(class_of(kornia.path), kornia.given(settings))

    def build(self, kind: type[nn.Module], given: Mapping[str, Any]) -> nn.Module:
        """Return the module, applied to every image it is given."""
        module: nn.Module = built(kind, {**given, "p": 1.0, "same_on_batch": self.per_step})
        return module

    def numbers(self, source: Source, rows: Indices) -> Numbers:
        """Return the numbers of some rows of the batch."""
        taken = torch.from_numpy(rows)
        whole = source.once("numbers", lambda: self.all_numbers(source))
        return {name: value[taken] for name, value in whole.items()}

    def all_numbers(self, source: Source) -> Numbers:
        """Return the numbers of the whole batch, by kornia's own generator."""
        with seeded(source.seed()):
            found = self.module.generate_parameters(torch.Size(source.shape))  # type: ignore[operator]
        return {name: value for name, value in found.items() if name not in self.shared}

    def partners(self, numbers: Numbers) -> Indices | None:
        """Return the rows of the batch that those of `numbers` are mixed with, [n, k], if any."""
        return None

    def apply(self, x: Tensor, numbers: Numbers) -> Tensor:
        """Return `x`, [n, C, H, W], changed by the numbers of its rows."""
        return self.call(x, numbers)

    def call(self, x: Tensor, numbers: Mapping[str, Any]) -> Tensor:
        """Return what kornia's module makes of `x` and these parameters."""
        given = {
            **numbers,
            "batch_prob": torch.ones(len(x)),
            "forward_input_shape": torch.tensor(x.shape),
        }
        changed: Tensor = copy(self.module)(x, params=given)  # which keeps what it was given
        return changed


def class_of(path: str) -> Any:
    """Return the class of a dotted path. Raises AttributeError."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def built(kind: Any, given: Mapping[str, Any]) -> Any:
    """Return the module of a class of kornia; of `p` and `same_on_batch` what the class takes."""
    known = inspect.signature(kind).parameters
    optional = ("p", "same_on_batch")
    kept = {k: v for k, v in given.items() if k not in optional or k in known}
    return kind(**kept)


def form_of(op: str, settings: Mapping[str, Any], image_size: int) -> Form:
    """Return the form of an op with some settings, for images of a size, made once a process."""
    return _made(op, tuple(sorted(settings.items())), image_size)


@lru_cache(maxsize=256)
def _made(op: str, settings: tuple[tuple[str, Any], ...], image_size: int) -> Form:
    primitive = PRIMITIVES[op]
    assert primitive.kornia is not None
    defaults = {p.name: plain(p.default) for p in primitive.settings}
    given = {k: v for k, v in settings if k in defaults}
    form: type[Form] = class_of(primitive.kornia.form)
    return form(op, {**defaults, **given, "image_size": image_size})


def plain(value: Any) -> Any:
    """Return a setting as code has it: a range is a pair."""
    return (value.low, value.high) if hasattr(value, "low") else value
