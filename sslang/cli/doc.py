"""`sslang doc`: the reference, out of the declarations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from sslang.cli.shared import as_json, png_path, print_json, reporting
from sslang.diagnostics import Diagnostic, DiagnosticError, nearest

if TYPE_CHECKING:
    from sslang.cli.reference import Page


# Kinds of names that may stand in a chain of view operations.
_IN_CHAINS = ("view operation", "function of the standard library", "form of the language")


@click.command()
@click.argument("name", required=False)
@click.option("--picture", type=click.Path(),
              help="Write eight draws of the view operation NAME as a picture: .png.")  # fmt: skip
@click.option("--settings", metavar="TEXT",
              help='With --picture, its arguments: "degrees = 30".')  # fmt: skip
@click.option("--kornia", is_flag=True,
              help="List the classes of kornia's augmentations and the operations they are.",
              )  # fmt: skip
@as_json
@reporting
def command(
    name: str | None, picture: str | None, settings: str | None, kornia: bool, json_: bool
) -> None:
    """Explain NAME: a primitive, a function of the standard library, a word of recipes.

    Without NAME, list all of them.
    """
    from sslang.cli.reference import pages

    if kornia:
        _kornia(json_)
        return
    if name is None and picture is not None:
        raise click.UsageError("--picture draws a view operation: name it")
    if picture is None and settings is not None:
        raise click.UsageError("--settings belongs to --picture")
    known = pages()
    if name is None:
        if json_:
            print_json({n: vars(p) for n, p in known.items()})
            return
        _list(known)
        return
    page = known.get(name)
    if page is None:
        message = f"nothing is called `{name}`"
        hint = _mentions(name, known) or nearest(name, known)
        raise DiagnosticError(Diagnostic("E201", message, hint=hint))
    if picture is not None:
        path = png_path(picture, "--picture")
        if page.kind not in _IN_CHAINS:
            raise click.UsageError(f"--picture draws a view operation; `{name}`: {page.kind}")
        from sslang.cli.doc_picture import write_picture  # imports torch

        write_picture(name, settings or "", path)
        return
    if json_:
        print_json({"name": name, **vars(page)})
    else:
        print(page.text())


def _mentions(word: str, known: Mapping[str, Page]) -> str:
    """Name the pages that have a word, in their names or else in their texts, at most eight."""
    of_names = [name for name in known if word.lower() in name.lower()]
    of_texts = [name for name, page in known.items() if word.lower() in page.text().lower()]
    found = of_names or of_texts
    listed = ", ".join(f"`{name}`" for name in found[:8])
    return f"see {listed}{', ...' if len(found) > 8 else ''}" if found else ""


def _list(known: Mapping[str, Page]) -> None:
    from itertools import groupby

    entries = sorted(known.items(), key=lambda entry: (entry[1].heading, entry[0]))
    for heading, group in groupby(entries, key=lambda entry: entry[1].heading):
        print(heading)
        for name, page in group:
            print(f"  {name:24} {page.summary}")


def _kornia(json_: bool) -> None:
    """What became of each class of the installed kornia."""
    from importlib.metadata import version

    from sslang.cli.kornia_table import classes  # imports kornia

    found = classes()
    if json_:
        print_json({"kornia": version("kornia"), "classes": [vars(row) for row in found]})
        return
    print(f"kornia {version('kornia')}: {len(found)} classes of 2-D augmentations")
    for row in found:
        print(f"  {row.name:30} {row.told}")
