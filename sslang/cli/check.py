"""`sslang check`."""

from __future__ import annotations

import codecs
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import click

from sslang.cli.shared import (
    as_json,
    at_once,
    count,
    print_diagnostics,
    print_json,
    reporting,
    share_cores,
)
from sslang.diagnostics import Diagnostic, DiagnosticError, to_json
from sslang.diagnostics.render import concise, github
from sslang.diagnostics.silence import without_allowed

_LINES: dict[str, Callable[[Diagnostic], str]] = {"concise": concise, "github": github}
MAX_ROUNDS = 20  # of fixes that make room for others


@click.command()
@click.argument("specs", nargs=-1, required=True, type=click.Path())
@click.option("--format", "form", type=click.Choice(["full", "json", *_LINES]), default="full",
              show_default=True, help="`github`: annotations beside the lines.")  # fmt: skip
@click.option("--fix", is_flag=True, help="Write the fixes that are safe into the files.")
@click.option("--probe", is_flag=True,
              help="Compute whether losses can collapse: seconds, then known.")  # fmt: skip
@as_json
@reporting
def command(specs: tuple[str, ...], form: str, fix: bool, probe: bool, json_: bool) -> None:
    """Check SPECS under all of their recipes; no data is read. Status 1 if there are errors."""
    found: list[Diagnostic] = []
    verdicts: list[dict[str, object]] = []
    made = 0
    for spec in specs:
        try:
            if fix:
                made += mend(Path(spec))
            found += _checked(spec)
            if probe:
                probed, more = _probed(spec, quiet=form == "json" or json_)
                verdicts += probed
                found += more
        except DiagnosticError as error:
            found += error.diagnostics
    form = "json" if json_ else form
    if form == "json":
        collapse = {"collapse": verdicts} if probe else {}
        print_json({"diagnostics": [to_json(d) for d in found], "fixed": made, **collapse})
    elif form in _LINES:
        for diagnostic in found:
            print(_LINES[form](diagnostic))
    else:
        print_diagnostics(found)
    if form != "json":
        print(_summary(len(specs), found, made), file=sys.stderr)
    raise SystemExit(1 if any(d.is_error for d in found) else 0)


def _checked(spec: str) -> list[Diagnostic]:
    with at_once():
        import sslang
        from sslang.checks.agreement import kept_in
        from sslang.evaluate.cache import Cache

        with kept_in(Cache("agreement")):
            return sslang.check(spec)


def _probed(spec: str, *, quiet: bool) -> tuple[list[dict[str, object]], list[Diagnostic]]:
    """The verdicts on whether the losses of a file can collapse, a line of each on stderr."""
    from sslang.evaluate.probe_file import probe_file
    from sslang.model.resolve import read

    share_cores()
    source = read(Path(spec))
    probed, found = probe_file(source)
    found = without_allowed(source, found)
    if not quiet:
        for verdict in probed:
            print(f"{spec}: {verdict.line()}", file=sys.stderr)
    return [{"spec": spec, **verdict.plain()} for verdict in probed], found


def _summary(specs: int, found: list[Diagnostic], made: int) -> str:
    files = f"{specs} file{'s' if specs > 1 else ''}"
    fixed = f"; {made} fix{'es' if made > 1 else ''} made" if made else ""
    safe = sum(d.fix is not None and d.fix.safe for d in found)
    more = f"; `--fix` mends {safe}" if safe else ""
    return f"{files} checked: {count(found)}{fixed}{more}"


def mend(path: Path) -> int:
    """Make the safe fixes of a file, until none is left; how many were made.

    Ends of lines, a byte-order mark, the mode and a link to the file stay as they are.
    """
    from sslang.checks import check_file
    from sslang.diagnostics.fix import apply
    from sslang.model.resolve import read

    total = 0
    if path.is_symlink():
        path = path.resolve()
    for _ in range(MAX_ROUNDS):
        source = read(path)
        text, made = apply(source, [d.fix for d in check_file(source) if d.fix is not None])
        if not made or text == source.text:
            break
        _write(path, text)
        total += made
    return total


def _write(path: Path, text: str) -> None:
    """Whole or not at all, by a file beside it."""
    beside = path.with_name(f".{path.name}.fix")
    try:
        old = path.read_bytes()
        new = text.encode("utf-8")
        if b"\r\n" in old:
            new = new.replace(b"\n", b"\r\n")
        if old.startswith(codecs.BOM_UTF8):
            new = codecs.BOM_UTF8 + new
        beside.write_bytes(new)
        shutil.copymode(path, beside)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        message = f"{path} cannot be written: {error.strerror}"
        raise DiagnosticError(Diagnostic("E716", message)) from error
