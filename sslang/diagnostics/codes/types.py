"""Codes E3xx. Types, shapes and calls."""

from __future__ import annotations

from sslang.diagnostics.code import Code, Example

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
    Code(
        "E313",
        "undefined tokens",
        "A net that was shown part of the tokens, `f(x, keep = mask)`, has nothing to say about "
        "the others. Their places hold no values until `where` puts some there, so that no operation "
        "may mix them with the others, and none may enter the loss, a write or the features. A "
        "loop written by hand reads whatever lies in the memory of those places.",
        example=Example(
            """\
head h = transformer(depth = 1, heads = 2)
encoder v = vit(patch = 8, width = 32, depth = 2, heads = 2)
mask = rank(draw_uniform(16)) < 4
loss = mean(h(v(a, keep = mask).patches)) + mean(g(f(b)))
""",
            """\
head h = transformer(depth = 1, heads = 2)
encoder v = vit(patch = 8, width = 32, depth = 2, heads = 2)
weight token[32] = normal
mask = rank(draw_uniform(16)) < 4
loss = mean(h(where(mask[..., none], v(a, keep = mask).patches, token))) + mean(g(f(b)))
assume no_collapse "an example of another matter"
""",
        ),
    ),
    Code("E311", "too large", "Families, loops and tensors of a spec are limited in size."),
)
