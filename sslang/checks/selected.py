"""What a selector of parameters is sure to cover, before any net is built."""

from __future__ import annotations

from typing import Any


def covers(selector: Any, net: str) -> bool:
    """Whether it names every parameter of the net or weight, at all times."""
    match selector.operator:
        case "net":
            return bool(selector.operands[0] == net)
        case "or":
            return any(covers(s, net) for s in selector.operands)
        case "and":
            return all(covers(s, net) for s in selector.operands)
        case "not":
            return not touches(selector.operands[0], net)
    return False  # a part, `bias`, `norm`, or until some time


def touches(selector: Any, net: str) -> bool:
    """Whether it may name a parameter of the net or weight."""
    match selector.operator:
        case "net" | "part":
            return bool(selector.operands[0] == net)
        case "or":
            return any(touches(s, net) for s in selector.operands)
        case "and":
            return all(touches(s, net) for s in selector.operands)
        case "not":
            return not covers(selector.operands[0], net)
        case "until":
            return touches(selector.operands[0], net)
    return True
