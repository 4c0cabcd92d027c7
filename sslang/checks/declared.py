"""What a recipe's `data` says about its images before they are read: number, size, classes."""

from __future__ import annotations

from sslang.ir.program import Program
from sslang.model import recipe as words
from sslang.records import record
from sslang.types import Size

COMMAND_LINE = "command line"


@record(frozen=True)
class Declared:
    """Training images, those of them that have a label, and pixels a side (None: they differ)."""

    images: int
    labelled: int
    side: int | None
    classes: int | None


_DATA: dict[type[words.Word], Declared] = {
    words.Embedded: Declared(3226, 1758, 32, 10),
    words.Cifar10: Declared(50_000, 50_000, 32, 10),
    words.Cifar100: Declared(50_000, 50_000, 32, 100),
    words.Stl10: Declared(105_000, 5_000, 96, 10),
    words.FashionMnist: Declared(60_000, 60_000, 28, 10),
    words.ImageNet: Declared(1_281_167, 1_281_167, None, None),
}


def side(program: Program) -> int | None:
    """Pixels a side of the images, where the data have one size that is known."""
    recipe = program.spec.recipe
    known = _DATA.get(type(recipe.data)) if recipe is not None else None
    return known.side if known is not None else None


def classes(program: Program) -> int | None:
    """How many classes the data have, where that is known; ImageNet may be a part of it."""
    recipe = program.spec.recipe
    known = _DATA.get(type(recipe.data)) if recipe is not None else None
    return known.classes if known is not None else None


def images(program: Program) -> int | None:
    """How many images the phase trains on; a phase that reads labels on those that have one."""
    recipe = program.spec.recipe
    known = _DATA.get(type(recipe.data)) if recipe is not None else None
    if recipe is None or known is None:
        return None
    data = recipe.data
    whole = known.images
    if isinstance(data, words.Stl10) and not data.unlabeled:
        whole = known.labelled
    chosen = getattr(data, "images", None)
    if "label" in program.reads and known.labelled < whole:
        return known.labelled if chosen is None else None
    return whole if chosen is None else min(chosen, whole)


def epoch(program: Program) -> int | None:
    """Steps an epoch, at least one, where the number of images is known.

    None, too, where the command line gives the length: a run of a few steps, to try a spec that
    is meant for longer, is looked at when it starts.
    """
    recipe, count = program.spec.recipe, images(program)
    length = program.spans.get("length")
    tried = length is not None and length.source.name == COMMAND_LINE
    if recipe is None or count is None or tried:
        return None
    steps = count // recipe.batch if recipe.last_batch == "drop" else -(-count // recipe.batch)
    return max(1, steps)


def number(program: Program, size: Size) -> int | None:
    """A size as a number, as far as the recipe and its data say it."""
    if isinstance(size, int):
        return size
    values = {}
    if program.spec.recipe is not None:
        values["batch"] = program.spec.recipe.batch
    count = images(program)
    if count is not None:
        values["dataset"] = count
    return size.at(values) if all(name in values for name, _ in size.terms) else None
