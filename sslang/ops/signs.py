"""Primitives that are spelled by signs, and have no name of their own in the language."""

PRIMITIVE: dict[str, str] = {
    "+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo", "**": "power",
    "@": "matmul", "==": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal",
    ">": "greater", ">=": "greater_equal", "and": "logical_and", "or": "logical_or",
}  # fmt: skip
_FORMS = ("negative", "logical_not", "transpose", "index", "gather")  # -x, not x, x.T, x[...], x[i]
UNNAMED = frozenset((*PRIMITIVE.values(), *_FORMS))
