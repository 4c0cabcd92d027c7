"""`sslang explain`."""

from __future__ import annotations

import textwrap

import click

from sslang.cli.shared import as_json, print_json, reporting
from sslang.diagnostics import CODES, Code, Diagnostic, DiagnosticError, Source, nearest, render

_WIDTH = 88
_IDLE = "E213"  # about `# allow` itself, so that it cannot be allowed


@click.command()
@click.argument("code", required=False)
@as_json
@reporting
def command(code: str | None, json_: bool) -> None:
    """Explain a CODE of a finding: why it is one, a program that has it, and one that is mended.

    Without CODE, list all of them.
    """
    if code is None:
        if json_:
            print_json([{"code": c.code, "title": c.title} for c in CODES.values()])
        else:
            for each in CODES.values():
                print(f"{each.code}  {each.severity:7}  {each.title}")
        return
    wanted = code.upper()
    if wanted not in CODES:
        hint = nearest(wanted, CODES) or "`sslang explain` lists all codes"
        raise DiagnosticError(Diagnostic("E201", f"there is no code `{code}`", hint=hint))
    found = CODES[wanted]
    if json_:
        example = found.example
        print_json({
            "code": found.code, "title": found.title, "severity": found.severity,
            "explanation": found.explanation, "arises": found.arises,
            "found": example.found if example else None,
            "fails": example.programs()[0] if example else None,
            "mended": example.programs()[1] if example else None,
        })  # fmt: skip
    else:
        print(page(found))


def page(code: Code) -> str:
    """The explanation as text; what the check says of the failing program is found on the spot.

    Lines of the mended program that the failing one lacks have a `+` before them.
    """
    parts = [f"{code.code}: {code.title} ({code.severity})", _filled(code.explanation)]
    if code.arises:
        parts.append(_filled(code.arises))
    if code.example is not None:
        fails, mended = code.example.programs()
        parts += ["Fails:", _indented(fails)]
        if code.example.found == "check":
            parts.append(_indented(_finding(code.code, fails)))
        else:
            parts.append("The check passes; it is found when a run starts, with data and nets.")
        parts += ["Mended:", _indented(mended, before=fails)]
    if code.severity != "error" and code.example is not None and code.code != _IDLE:
        meant = f"Where it is meant, write `# allow {code.code}: why` at the end of its line."
        parts.append(meant)
    return "\n\n".join(parts)


def _finding(code: str, text: str) -> str:
    from sslang.checks import check_file

    found = [d for d in check_file(Source("example.ssl", text)) if d.code == code]
    return render(found[0])


def _filled(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _indented(text: str, before: str | None = None) -> str:
    """The lines moved to the right; those that `before` lacks are marked."""
    known = None if before is None else set(before.split("\n"))
    margins = (
        (line, "  + " if known is not None and line not in known else "    ")
        for line in text.strip("\n").split("\n")
    )
    return "\n".join(f"{margin}{line}".rstrip() for line, margin in margins)
