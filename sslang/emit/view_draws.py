"""What the ops of views draw in a step: for the whole batch, and of it what some rows need.

Numbers of an op of ours are uniform, [rows, 1 + draws]: column 0 decides whether a row is drawn.
Those of an op of kornia come from its form (`sslang.emit.augmentations`). An op that mixes images
needs those of its partners; `closure` says which they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sslang.emit import draws
from sslang.ir.graph import Node
from sslang.ops import PRIMITIVES
from sslang.ops.traits import MixesRows
from sslang.types import Interval, ViewType

if TYPE_CHECKING:
    from sslang.emit.augmentations import Drawn, Form, Source

Indices = NDArray[np.int64]
Key = Callable[[str], NDArray[np.uint64]]
Mask = NDArray[np.bool_]

# Settings of a node that say how it is drawn and which form it has, not what is computed.
OF_DRAWS = frozenset(("site", "probability", "choice", "form", "per"))
APPLIED = "applied"
AUGMENT = "sslang.emit.augmentations.augment"  # an op of kornia
TRANSFORM = "sslang.emit.augmentations.transform"  # one that draws nothing
GATED = "sslang.emit.views.to_drawn_rows"  # an op of ours that draws nothing, in a choice


@dataclass(frozen=True)
class Choice:
    """One place of one alternative of `one_of` or `some_of`, drawn for each row.

    Of `alternatives`, `low` to `high` are drawn, again and again the same with `replace`. In slot
    `slot` the `member` stands that was drawn for it; with a slot of None the members stand in the
    order of the list.
    """

    site: str
    probability: float
    alternatives: int
    low: int
    high: int
    replace: bool
    slot: int | None
    member: int

    def mask(self, u: NDArray[np.float64]) -> Mask:
        """Return the rows in which this alternative is applied, of `columns` uniform numbers."""
        chosen = np.floor(u[:, 2 : 2 + self.high] * self.alternatives).astype(np.int64)
        if not self.replace:
            chosen = np.argsort(u[:, 2:], axis=1, kind="stable")[:, : self.high]
        count = self.low + np.floor(u[:, 1] * (self.high - self.low + 1)).astype(np.int64)
        here = (chosen == self.member) & (np.arange(self.high) < count[:, None])
        found: Mask = here.any(axis=1) if self.slot is None else here[:, self.slot]
        return found & (u[:, 0] < self.probability)

    @property
    def columns(self) -> int:
        """How many uniform numbers a row draws: whether, how many, and which."""
        return 2 + max(self.alternatives, self.high)


@dataclass(frozen=True)
class ViewDraw:
    """What an op of a view draws: a number for each of the patches of an image."""

    parameter: str
    op: str
    site: str
    probability: float
    settings: Mapping[str, Any]
    before: ViewType
    choices: tuple[Choice, ...] = ()

    @property
    def per_step(self) -> bool:
        return self.settings.get("per") == "step"

    @property
    def mixes(self) -> bool:
        """Whether the op mixes images of the batch."""
        return PRIMITIVES[self.op].has(MixesRows)

    @property
    def form(self) -> Form:
        """The form of an op of kornia."""
        from sslang.emit.augmentations import form_of

        assert self.before.size is not None
        return form_of(self.op, self.settings, self.before.size)

    def source(self, key: Key, step: int, batch: int) -> Source:
        """Where the numbers of a batch come from."""
        from sslang.emit.augmentations import Source

        size = self.before.size
        assert size is not None
        shape = (batch * self.before.patches, self.before.channels, size, size)
        return Source(key, self.site, step, shape)


def is_augmentation(op: str) -> bool:
    """Whether an op of views is computed by a class of kornia."""
    return PRIMITIVES[op].is_augmentation


def view_draw(node: Node, before: ViewType, parameter: str) -> ViewDraw:
    """What a node draws; `before` is the type of the images it is given."""
    kept = {k: plain(v) for k, v in node.settings if k not in OF_DRAWS or k == "per"}
    choices = tuple(Choice(*given) for given in node.setting("choice") or ())
    return ViewDraw(
        parameter, node.op, node.setting("site"), node.setting("probability"), kept, before, choices
    )


def plain(value: Any) -> Any:
    """A setting as code has it: a range is a pair."""
    return (value.low, value.high) if isinstance(value, Interval) else value


@dataclass
class Drawing:
    """The draws of one step on a batch of `batch` images; `rows` are places in it.

    Among the rows for which numbers are drawn are the partners of those that are read (`closure`).
    The partner of one that nobody reads may be missing, and the row itself stands for it.
    """

    key: Key
    step: int
    batch: int

    def __post_init__(self) -> None:
        self._sources: dict[str, Source] = {}
        self._uniforms: dict[object, NDArray[np.float64]] = {}
        self._numbers: dict[tuple[str, str], NDArray[Any]] = {}

    @property
    def every_row(self) -> Indices:
        """The rows of the whole batch."""
        return np.arange(self.batch)

    def all(self, found: Sequence[ViewDraw], rows: Indices) -> list[Any]:
        """What the code of views takes, an argument for each draw."""
        return [
            self.augmented(d, rows) if is_augmentation(d.op) else self.uniform(d, rows)
            for d in found
        ]

    def uniform(self, draw: ViewDraw, rows: Indices) -> NDArray[np.float64]:
        """Uniform numbers of an op of ours, [rows * patches, 1 + draws].

        With `per = step` all rows have the numbers of the first of the batch; whether they are
        drawn stays their own.
        """
        count, patches = PRIMITIVES[draw.op].draws + 1, draw.before.patches
        u = self._uniform(draw.site, count * patches).reshape(-1, count)
        at = _patches_of(rows, patches)
        taken = u[at]
        if draw.per_step:
            taken[:, 1:] = u[0, 1:]
        if draw.choices:
            taken[~self._chosen(draw)[at], 0] = 1.0  # which no probability is above
        return taken

    def augmented(self, draw: ViewDraw, rows: Indices) -> Drawn:
        """Numbers of an op of kornia for those of the rows that it is applied to."""
        from sslang.emit.augmentations import Drawn

        at = _patches_of(rows, draw.before.patches)
        applied = np.flatnonzero(self.applied(draw)[at])
        form = draw.form
        numbers = form.numbers(self._source(draw), at[applied])
        partners = form.partners(numbers) if len(applied) else None
        if partners is not None:
            place = np.full(self.batch, -1)
            place[rows] = np.arange(len(rows))
            local = place[partners]
            partners = np.where(local < 0, applied[:, None], local)
        return Drawn(applied, numbers, partners)

    def applied(self, draw: ViewDraw) -> Mask:
        """Which of the batch's rows, [batch * patches], the op is applied to."""
        count = 1 if is_augmentation(draw.op) else PRIMITIVES[draw.op].draws + 1
        u = self._uniform(draw.site, count * draw.before.patches).reshape(-1, count)
        applied: Mask = u[:, 0] < draw.probability
        return applied & self._chosen(draw) if draw.choices else applied

    def closure(self, found: Sequence[ViewDraw], rows: Indices) -> Indices:
        """`rows`, and behind them the partners that they and their partners are mixed with."""
        mixing = [d for d in found if d.mixes]
        for _ in mixing:
            for draw in mixing:
                needed = np.union1d(rows, self._partners(draw, rows))
                rows = np.concatenate([rows, np.setdiff1d(needed, rows)])
        return rows

    def number(self, draw: ViewDraw, name: str) -> NDArray[Any]:
        """A number that an op drew, of all rows: [batch, ...], after `patches` [batch, h, w, ...].

        Where the op was not applied it is what the declaration calls idle.
        """
        if (draw.site, name) not in self._numbers:
            self._numbers[draw.site, name] = self._by_image(draw, self._number(draw, name))
        return self._numbers[draw.site, name]

    def _number(self, draw: ViewDraw, name: str) -> NDArray[Any]:
        applied = self.applied(draw)
        if name == APPLIED:
            return applied.astype(np.float64)
        number = PRIMITIVES[draw.op].numbers[name]
        settings = _full(draw.op, draw.settings)
        shape = (len(applied), *number.shape_of(settings, draw.before))
        whole = np.zeros(shape, dtype=np.int64 if number.dtype == "int" else np.float64)
        if name == "partner":
            whole += np.arange(len(whole)).reshape(-1, *[1] * (whole.ndim - 1))
        else:
            whole += np.array(number.idle_of(settings, draw.before), dtype=whole.dtype)
        rows = np.flatnonzero(applied)
        if len(rows) == 0:
            return whole
        if is_augmentation(draw.op):
            whole[rows] = draw.form.numbers(self._source(draw), rows)[number.read].numpy()
        else:
            u = self.uniform(draw, np.arange(self.batch))[rows]
            whole[rows] = _function(number.read)(u, **settings)
        return whole

    def _by_image(self, draw: ViewDraw, values: NDArray[Any]) -> NDArray[Any]:
        if draw.before.grid is None:
            return values
        return values.reshape(self.batch, *draw.before.grid, *values.shape[1:])

    def _partners(self, draw: ViewDraw, rows: Indices) -> Indices:
        mixed = rows[self.applied(draw)[rows]]
        if len(mixed) == 0:
            return mixed
        form = draw.form
        numbers = form.numbers(self._source(draw), mixed)
        partners = form.partners(numbers)
        assert partners is not None, f"`{draw.op}` mixes rows"
        return partners.ravel()

    def _source(self, draw: ViewDraw) -> Source:
        """Where the numbers of an op come from, with those of the batch that were drawn before."""
        if draw.site not in self._sources:
            self._sources[draw.site] = draw.source(self.key, self.step, self.batch)
        return self._sources[draw.site]

    def _chosen(self, draw: ViewDraw) -> Mask:
        """Which rows, [batch * patches], all the choices that the op stands in fall on."""
        patches = draw.before.patches
        masks = [
            c.mask(self._uniform(c.site, c.columns * patches).reshape(-1, c.columns))
            for c in draw.choices
        ]
        found: Mask = np.logical_and.reduce(masks)
        return found

    def _uniform(self, site: str, count: int) -> NDArray[np.float64]:
        if (site, count) not in self._uniforms:
            drawn = draws.uniform(self.key(site), self.step, self.batch, count)
            self._uniforms[site, count] = drawn
        return self._uniforms[site, count]


def _patches_of(rows: Indices, patches: int) -> Indices:
    """The places of the patches of some images."""
    if patches == 1:
        return rows
    return (rows[:, None] * patches + np.arange(patches)).ravel()


def _full(op: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {p.name: plain(p.default) for p in PRIMITIVES[op].settings}
    return {**defaults, **settings}


def _function(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
