"""Every diagnostic code, declared once: its severity, title, explanation and example."""

from sslang.diagnostics.code import Code
from sslang.diagnostics.codes import data, names, recipes, runs, text, training, types

CODES: dict[str, Code] = {
    code.code: code
    for module in (text, names, types, training, recipes, data, runs)
    for code in sorted(module.ALL, key=lambda code: code.code)
}

__all__ = ["CODES"]
