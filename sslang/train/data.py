"""The data that a recipe names, opened, and the facts of a spec that need its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sslang.checks.batch import times
from sslang.data.labelled import Labelled
from sslang.data.listing import Listing, read_listing
from sslang.data.source import Source, Split
from sslang.data.sources import open_source
from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.ir.graph import APPLY
from sslang.ir.program import Program
from sslang.model.recipe import Recipe
from sslang.track.files import write_atomic
from sslang.track.run_folder import RunFolder
from sslang.train.learner import steps_per_epoch


@dataclass(frozen=True)
class Data:
    """Both splits of the data set of a recipe."""

    train: Source
    test: Source
    name: str

    @property
    def dims(self) -> dict[str, int]:
        """The sizes that a spec calls `dataset` and `classes`."""
        found = {"dataset": len(self.train)}
        if self.train.classes is not None:
            found["classes"] = len(self.train.classes)
        return found


Listings = Mapping[Split, Listing]


def open_data(program: Program, listed: Listings | None = None) -> Data:
    """Open what the recipe's `data` names; what goes wrong points at that line.

    A phase whose loss reads `label` trains on the images that have one. `listed` are the files
    that a run which goes on began with.
    """
    recipe = _recipe(program)
    options: dict[str, Any] = {n: getattr(recipe.data, n) for n in type(recipe.data).model_fields}
    try:
        train, test = (_opened(recipe.data.word, s, options, listed or {}) for s in SPLITS)
    except DiagnosticError as error:
        span = program.spans.get("data")
        raise DiagnosticError(
            *(
                Diagnostic(d.code, d.message, d.span or span, d.labels, d.hint)
                for d in error.diagnostics
            )
        ) from None
    if "classes" in program.dims and train.classes is None:
        message = f"the phase `{program.phase}` uses `classes`, and the data has none"
        raise DiagnosticError(Diagnostic("E608", message, program.spans.get("data")))
    if "label" in program.reads:
        train = Labelled(train)
        if len(train) == 0:
            message = f"the phase `{program.phase}` reads labels, and the data has none"
            raise DiagnosticError(Diagnostic("E608", message, program.spans.get("data")))
    return Data(train, test, recipe.data.word)


SPLITS: tuple[Split, Split] = ("train", "test")


def _opened(kind: str, split: Split, options: dict[str, Any], listed: Listings) -> Source:
    source = open_source(kind, split, **options)
    return source.as_listed(listed[split]) if split in listed else source


def write_listings(folder: RunFolder, phase: str, data: Data) -> None:
    """Leave with the run what files its data are, for when it goes on."""
    for split, source in zip(SPLITS, (data.train, data.test), strict=True):
        listing = source.listing()
        if listing is not None:
            folder.data.mkdir(exist_ok=True)
            write_atomic(_listing_path(folder, phase, split), listing.pack())


def read_listings(folder: RunFolder, phase: str) -> Listings:
    """What `write_listings` has left of a phase."""
    found = {split: read_listing(_listing_path(folder, phase, split)) for split in SPLITS}
    return {split: listing for split, listing in found.items() if listing is not None}


def _listing_path(folder: RunFolder, phase: str, split: Split) -> Path:
    return folder.data / f"{phase}-{split}.gz"


def data_facts(program: Program, images: int) -> list[Diagnostic]:
    """What can be wrong with a spec for so many images: length, schedules, a last row alone."""
    recipe = _recipe(program)
    found: list[Diagnostic] = []
    spans = program.spans
    if recipe.last_batch == "drop" and images < recipe.batch:
        message = f"the data has {images} images, fewer than the batch of {recipe.batch}"
        return [Diagnostic("E602", message, spans.get("batch"), hint="take a smaller batch")]
    epoch = steps_per_epoch(recipe, images)
    total = round(recipe.length.steps(epoch))
    if total < 1:
        message = f"{recipe.length} of {images} images are fewer than one step"
        return [Diagnostic("E506", message, spans.get("length"))]
    for what, name, duration in times(program):
        if duration.steps(epoch) > total:
            message = f"{what} has {duration}; the run has {total} steps"
            found.append(Diagnostic("E504", message, duration.span or spans.get(name),
                                    hint="shorten it, or lengthen the run"))  # fmt: skip
    for state in program.states:
        rows = state.shape[0] if state.kind == "bank" else images
        if isinstance(rows, int) and rows < images:
            message = f"the bank `{state.name}` has {rows} rows, and the data {images} images"
            found.append(Diagnostic("E609", message, state.span, hint="write `[dataset]`"))
    alone = recipe.last_batch == "keep" and images % recipe.batch == 1
    if alone and any(n.op == APPLY for n in program.step.nodes):
        message = "the last batch of an epoch has one image, which has no batch statistics"
        found.append(Diagnostic("E602", message, spans.get("last_batch") or spans.get("batch"),
                                hint="`last_batch = drop` or `wrap`"))  # fmt: skip
    return found


def _recipe(program: Program) -> Recipe:
    recipe = program.spec.recipe
    assert recipe is not None, "the program has no recipe"
    return recipe
