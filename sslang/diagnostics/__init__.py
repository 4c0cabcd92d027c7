"""Diagnostics: pure data about what is wrong with a spec, its data or its run."""

from sslang.diagnostics.codes import CODES, Code
from sslang.diagnostics.diagnostic import Diagnostic, DiagnosticError, Label, nearest
from sslang.diagnostics.render import render, to_json
from sslang.diagnostics.source import Source, Span

__all__ = [
    "CODES",
    "Code",
    "Diagnostic",
    "DiagnosticError",
    "Label",
    "Source",
    "Span",
    "nearest",
    "render",
    "to_json",
]
