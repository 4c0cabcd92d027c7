"""Diagnostics: pure data about what is wrong with a spec, its data or its run."""

from sslang.diagnostics.code import Code, Example
from sslang.diagnostics.codes import CODES
from sslang.diagnostics.diagnostic import (
    Diagnostic,
    DiagnosticError,
    Label,
    keyword,
    meant,
    nearest,
)
from sslang.diagnostics.fix import Edit, Fix
from sslang.diagnostics.render import render, to_json
from sslang.diagnostics.source import Source, Span

__all__ = [
    "CODES",
    "Code",
    "Diagnostic",
    "DiagnosticError",
    "Edit",
    "Example",
    "Fix",
    "Label",
    "Source",
    "Span",
    "keyword",
    "meant",
    "nearest",
    "render",
    "to_json",
]
