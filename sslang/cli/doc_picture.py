"""`sslang doc NAME --picture`: an image that comes with the package under eight draws of a view."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from sslang.api import load_source
from sslang.cli.shared import writing
from sslang.data.embedded import embedded
from sslang.diagnostics import DiagnosticError, Source
from sslang.emit import draws
from sslang.emit.augmentations.installed import expect_installed
from sslang.emit.declared_views import DeclaredViews
from sslang.emit.view_draws import Drawing, ViewDraw
from sslang.ops import PRIMITIVES
from sslang.passes import default_passes, optimise
from sslang.track.sheets import Column, enlarged, in_colours, laid_out, tile, write_sheet

DRAWS = 8
_IMAGES = (88, 5, 163, 105, 100, 32, 66, 17)  # of the train split: colourful ones
_WORDS = 5  # numbers that stand above a draw
_VIEW = "picture"


def write_picture(name: str, settings: str, path: Path) -> None:
    """Draw the view op, or the chain of the standard library, called `name` as a PNG.

    `settings` are its arguments as a spec has them. An op that mixes images is given eight of them.
    Raises DiagnosticError, click.UsageError for a parameter that is due, OSError.
    """
    _expect_settings(name, settings)
    declared = _declared(name, settings)
    count = DRAWS if declared.code.draws else 1
    chosen = _IMAGES if declared.mixes else _IMAGES[:1] * DRAWS
    source = embedded("train")
    images = np.stack([source.read(number) for number in chosen])
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    sizes = np.tile(np.array(pixels.shape[-2:]), (DRAWS, 1))
    drawing = Drawing(partial(draws.stream_key, 0, declared.program.phase), 0, DRAWS)
    made = declared.make(pixels, sizes, drawing, DRAWS)[_VIEW]
    type_ = declared.type_of(_VIEW)
    tiles = [tile(image) for image in in_colours(made)]
    if type_.grid is not None:
        patches, columns = type_.patches, type_.grid[1]
        tiles = [laid_out(tiles[at : at + patches], columns)
                 for at in range(0, len(tiles), patches)]  # fmt: skip
    words = list(_numbers(declared.code.draws[-1:], name, drawing))
    shown = []
    for number in range(count):
        title = f"row {number}" if declared.mixes else f"draw {number + 1}" if count > 1 else name
        told = (title, *(f"{what} {values[number]:.4g}" for what, values in words))
        before = [enlarged(tile(pixels[number]))] if declared.mixes else []
        shown.append(Column(told, [*before, enlarged(tiles[number])]))
    if not declared.mixes:
        shown.insert(0, Column(("image",), [enlarged(tile(pixels[0]))]))
    with writing(path):
        write_sheet(shown, path)


def _expect_settings(name: str, settings: str) -> None:
    primitive = PRIMITIVES.get(name)
    missing = [] if primitive is None or settings else primitive.required
    if missing:
        given = ", ".join(f"{parameter} = ..." for parameter in missing)
        listed = " and ".join(f"`{parameter}`" for parameter in missing)
        raise click.UsageError(f'`{name}` needs {listed}: --settings "{given}"')
    if primitive is None and not settings and not _is_chain(name):
        raise click.UsageError(
            f"`{name}` is no chain of view operations by itself: --settings gives its arguments"
        )


def _is_chain(name: str) -> bool:
    """Whether a function of the standard library needs nothing to be a chain of view operations."""
    try:
        _declared(name, "")
    except DiagnosticError:
        return False
    return True


def _declared(name: str, settings: str) -> DeclaredViews:
    """The view of a spec that has it alone."""
    chain = f"{name}({settings})" if settings else name
    text = (
        'method "picture"\n'
        f"view {_VIEW} = resize_and_crop(32, crop = 1) | {chain}\n"
        "encoder net = resnet18(stem = small, width = 0.0625)\n"
        f"loss = mean(net({_VIEW}))\n"
        'assume no_collapse "nothing is trained"\n'
        "recipe default : laptop { }\n"
    )
    program = load_source(Source("--settings", text))
    expect_installed(program.step)
    return DeclaredViews(program, optimise(program.step, default_passes("cpu")))


def _numbers(
    found: tuple[ViewDraw, ...], name: str, drawing: Drawing
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """What the op drew and a loss can read: of each image one number."""
    for draw in found:
        if draw.op == name and draw.before.grid is None:
            for number in list(PRIMITIVES[name].numbers)[:_WORDS]:
                values = drawing.number(draw, number)
                if values.ndim == 1:
                    yield number, values
