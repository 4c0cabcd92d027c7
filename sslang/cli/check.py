"""`sslang check`."""

from __future__ import annotations

import sys

import click

from sslang.cli.shared import as_json, count, print_diagnostics, print_json, reporting
from sslang.diagnostics import Diagnostic, DiagnosticError, to_json


@click.command()
@click.argument("specs", nargs=-1, required=True, type=click.Path())
@as_json
@reporting
def command(specs: tuple[str, ...], json_: bool) -> None:
    """Check SPECS under all of their recipes; no data is read. Status 1 if there are errors."""
    import sslang

    found: list[Diagnostic] = []
    for spec in specs:
        try:
            found += sslang.check(spec)
        except DiagnosticError as error:
            found += error.diagnostics
    if json_:
        print_json({"diagnostics": [to_json(d) for d in found]})
    else:
        print_diagnostics(found)
        files = f"{len(specs)} file{'s' if len(specs) > 1 else ''}"
        print(f"{files} checked: {count(found)}", file=sys.stderr)
    raise SystemExit(1 if any(d.is_error for d in found) else 0)
