"""`sslang doc`: the reference, out of the declarations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from sslang.cli.shared import as_json, print_json, reporting
from sslang.diagnostics import Diagnostic, DiagnosticError, nearest

if TYPE_CHECKING:
    from sslang.cli.reference import Page


@click.command()
@click.argument("name", required=False)
@as_json
@reporting
def command(name: str | None, json_: bool) -> None:
    """Explain NAME: a primitive, a function of the standard library, a word of recipes.

    Without NAME, list all of them.
    """
    from sslang.cli.reference import pages

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
        raise DiagnosticError(Diagnostic("E201", message, hint=nearest(name, known)))
    if json_:
        print_json({"name": name, **vars(page)})
    else:
        print(page.text())


def _list(known: Mapping[str, Page]) -> None:
    from itertools import groupby

    entries = sorted(known.items(), key=lambda entry: (entry[1].heading, entry[0]))
    for heading, group in groupby(entries, key=lambda entry: entry[1].heading):
        print(heading)
        for name, page in group:
            print(f"  {name:24} {page.summary}")
