"""Codes E3xx. Types, shapes and calls."""

from __future__ import annotations

from sslang.diagnostics.code import Code

ALL = (
    Code("E301", "wrong type", "The value is of another type than its place needs."),
    Code("E302", "shapes differ", "The shapes of these values do not fit together."),
    Code("E303", "wrong arguments", "The call gives too few, too many or unknown arguments."),
    Code("E304", "not a net", "Only a net that was built by encoder, head or branch is applied."),
    Code("E305", "widths differ", "A net is used with two different input widths."),
    Code("E306", "family expected", "The operation is about a family, or about one value."),
    Code("E307", "bare arrow", "`a -> b` alone does not say how to go from a to b."),
    Code("E308", "no unit", "A duration has a unit: epochs or steps."),
    Code("E309", "out of range", "The number lies outside the values that make sense here."),
    Code("E310", "no such member", "The family or net has no member of this name or number."),
    Code("E312", "features not fixed", "What is evaluated may not depend on a draw."),
    Code("E311", "too large", "Families, loops and tensors of a spec are limited in size."),
)
