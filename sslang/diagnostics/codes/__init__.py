"""Every diagnostic code, declared once: its severity, title, explanation and example."""

from sslang.diagnostics.code import Code
from sslang.diagnostics.codes import (
    data,
    losses,
    names,
    rates,
    recipes,
    runs,
    split,
    states,
    text,
    training,
    types,
)

_MODULES = (text, names, types, training, losses, states, recipes, rates, data, runs, split)

CODES: dict[str, Code] = {
    code.code: code
    for code in sorted((c for module in _MODULES for c in module.ALL), key=lambda c: c.code)
}

__all__ = ["CODES"]
