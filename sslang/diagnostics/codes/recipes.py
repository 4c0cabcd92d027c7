"""Codes E5xx. Recipes."""

from __future__ import annotations

from sslang.diagnostics.code import Code

ALL = (
    Code(
        "E501",
        "recipe lacks a field",
        "A recipe that trains names data, batch, length and optimizer.",
    ),
    Code("E502", "wrong field", "The value does not fit the field of the recipe."),
    Code(
        "E503",
        "batch norm groups do not divide",
        "The batch must be a multiple of the images in a group of batch norm.",
    ),
    Code("E504", "schedule outlasts the run", "A warm-up or milestone lies after the end."),
    Code("E505", "selector matches nothing", "The selector names no parameter of the nets."),
    Code("E506", "run too short", "The run has fewer than one step."),
)
