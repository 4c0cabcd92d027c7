"""`sslang fmt`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sslang.cli.shared import as_json, print_diagnostics, print_json, reporting
from sslang.diagnostics import Diagnostic, DiagnosticError, to_json


@click.command()
@click.argument("specs", nargs=-1, required=True, type=click.Path())
@click.option("--check", "only_check", is_flag=True, help="Change nothing; status 1 if it would.")
@as_json
@reporting
def command(specs: tuple[str, ...], only_check: bool, json_: bool) -> None:
    """Bring SPECS into the one spelling; comments and line breaks stay."""
    from sslang.model.resolve import read
    from sslang.syntax.formatter import format_text

    changed: list[str] = []
    problems: list[Diagnostic] = []
    for spec in specs:
        try:
            source = read(Path(spec))
        except DiagnosticError as error:
            problems += error.diagnostics
            continue
        text, found = format_text(source)
        problems += found
        if text is None or text == source.text:
            continue
        changed.append(spec)
        if not only_check:
            from sslang.track.files import write_atomic

            write_atomic(Path(spec), text)
    if json_:
        print_json({"changed": changed, "diagnostics": [to_json(d) for d in problems]})
    else:
        print_diagnostics(problems)
        verb = "would change" if only_check else "changed"
        for spec in changed:
            print(f"{verb} {spec}", file=sys.stderr)
    raise SystemExit(1 if problems or (only_check and changed) else 0)
