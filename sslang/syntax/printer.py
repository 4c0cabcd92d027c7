"""Nodes back to text, with the fewest parentheses that keep the tree."""

from __future__ import annotations

from collections.abc import Sequence

from sslang.syntax import tree

# How tightly each operator binds; the grammar's ladder from loosest to tightest.
_WITH, _ON, _THEN, _ARROW, _IF, _RANGE, _PIPE, _OR, _AND, _NOT, _COMPARE, _JOIN, _SUM, _PRODUCT = (
    range(14)
)
_NEGATIVE, _POWER, _POSTFIX = 14, 15, 16
_BINARY = {
    "|": _PIPE, "or": _OR, "and": _AND, "++": _JOIN, "+": _SUM, "-": _SUM,
    "*": _PRODUCT, "/": _PRODUCT, "%": _PRODUCT, "@": _PRODUCT, "**": _POWER,
    "==": _COMPARE, "!=": _COMPARE, "<": _COMPARE, ">": _COMPARE, "<=": _COMPARE, ">=": _COMPARE,
}  # fmt: skip


def show(node: tree.Node) -> str:
    """One statement or expression as text."""
    if isinstance(node, tree.File):
        return "\n".join(show(s) for s in node.statements) + "\n"
    statement = _statement(node)
    return _expr(node, _WITH) if statement is None else statement


def _statement(node: tree.Node) -> str | None:
    match node:
        case tree.Method(name, arguments):
            return f'method "{name}"' + (f" ({_arguments(arguments)})" if arguments else "")
        case tree.Use(names, file):
            return f'use {", ".join(names)} from "{file}"'
        case tree.Assume(name, reason):
            return f'assume {name} "{reason}"'
        case tree.Declaration(kind, targets, value):
            return f"{kind} {', '.join(map(_target, targets))} = {_expr(value, _WITH)}"
        case tree.Binding(target, value):
            return f"{_target(target)} = {_expr(value, _WITH)}"
        case tree.Write(target, value):
            return f"{_target(target)} <- {_expr(value, _WITH)}"
        case tree.Return(value):
            return f"return {_expr(value, _WITH)}"
        case tree.Function(name, parameters, body):
            head = f"fn {name}({', '.join(map(_parameter, parameters))})"
            tail = (
                f" {_block(body)}" if isinstance(body, tree.Block) else f" = {_expr(body, _WITH)}"
            )
            return head + tail
        case tree.Phase(name, body):
            return f"phase {name} {_block(body)}"
        case tree.Recipe(name, bases, body):
            return (
                f"recipe {name}" + (f" : {', '.join(bases)}" if bases else "") + f" {_block(body)}"
            )
        case tree.Nested(name, body):
            return f"{name} {_block(body)}"
    return None


def _block(block: tree.Block) -> str:
    if not block.statements:
        return "{}"
    lines = "\n".join(show(s) for s in block.statements)
    return "{\n" + "\n".join("    " + line for line in lines.split("\n")) + "\n}"


def _target(target: tree.Target) -> str:
    if not target.items:
        return target.name
    return f"{target.name}[{', '.join(_expr(i, _WITH) for i in target.items)}]"


def _parameter(parameter: tree.Parameter) -> str:
    text = parameter.name
    if parameter.pattern is not None:
        pattern = parameter.pattern
        text += f": {pattern.kind or ''}[{_list(pattern.dims)}]"
        if pattern.members is not None:
            text += f"[{_expr(pattern.members, _WITH)}]"
    if parameter.default is not None:
        text += f" = {_expr(parameter.default, _WITH)}"
    return text


def _list(nodes: Sequence[tree.Node]) -> str:
    return ", ".join(_expr(n, _WITH) for n in nodes)


def _arguments(arguments: Sequence[tree.Argument]) -> str:
    parts = []
    for argument in arguments:
        text = _expr(argument.value, _WITH)
        parts.append(text if argument.name is None else f"{argument.name} = {text}")
    return ", ".join(parts)


def _number(value: int | float) -> str:
    if isinstance(value, int):
        return str(value)
    text = repr(value)
    return text.replace("e+", "e")


def _expr(node: tree.Node, least: int) -> str:
    text, level = _leveled(node)
    return text if level >= least else f"({text})"


def _leveled(node: tree.Node) -> tuple[str, int]:
    match node:
        case tree.Number(value):
            return _number(value), _POSTFIX
        case tree.Text(value):
            return f'"{value}"', _POSTFIX
        case tree.Name(name):
            return name, _POSTFIX
        case tree.ListOf(items):
            return f"[{_list(items)}]", _POSTFIX
        case tree.Quantity(value, unit):
            plain = isinstance(value, (tree.Number, tree.ListOf, tree.Call, tree.Index))
            inner = _expr(value, _POSTFIX) if plain else f"({_expr(value, _WITH)})"
            return f"{inner} {unit}", _POSTFIX
        case tree.Attribute(value, name):
            inner = (
                f"({_number(value.value)})"
                if isinstance(value, tree.Number)
                else _expr(value, _POSTFIX)
            )
            return f"{inner}.{name}", _POSTFIX
        case tree.Slice(start, stop):
            first = "" if start is None else _expr(start, _WITH)
            return f"{first}:{'' if stop is None else _expr(stop, _WITH)}", _POSTFIX
        case tree.Ellipsis_():
            return "...", _POSTFIX
        case tree.Index(value, items):
            return f"{_expr(value, _POSTFIX)}[{_list(items)}]", _POSTFIX
        case tree.Call(function, arguments):
            return f"{_expr(function, _POSTFIX)}({_arguments(arguments)})", _POSTFIX
        case tree.Over(name, over):
            return f"{name} in {_expr(over, _WITH)}", _WITH
        case tree.Comprehension(value, generators, condition):
            text = _expr(value, _WITH)
            text += "".join(f" for {g.name} in {_expr(g.over, _RANGE)}" for g in generators)
            return text + ("" if condition is None else f" if {_expr(condition, _RANGE)}"), _WITH
        case tree.Unary(operator, value):
            if operator == "not":
                return f"not {_expr(value, _NOT)}", _NOT
            return f"-{_expr(value, _NEGATIVE)}", _NEGATIVE
    return _infix(node)


def _infix(node: tree.Node) -> tuple[str, int]:
    match node:
        case tree.Binary(operator, left, right):
            level = _BINARY[operator]
            if operator == "**":
                return f"{_expr(left, _POSTFIX)} ** {_expr(right, _NEGATIVE)}", level
            step = 1 if level == _COMPARE else 0
            return f"{_expr(left, level + step)} {operator} {_expr(right, level + 1)}", level
        case tree.Range(low, high):
            return f"{_expr(low, _PIPE)}..{_expr(high, _PIPE)}", _RANGE
        case tree.Arrow(start, end):
            return f"{_expr(start, _IF)} -> {_expr(end, _IF)}", _ARROW
        case tree.Then(first, second):
            return f"{_expr(first, _THEN)} then {_expr(second, _ARROW)}", _THEN
        case tree.Conditional(value, condition, otherwise):
            parts = _expr(value, _RANGE), _expr(condition, _RANGE), _expr(otherwise, _IF)
            return f"{parts[0]} if {parts[1]} else {parts[2]}", _IF
        case tree.With(value, settings):
            return f"{_expr(value, _WITH)} with ({_arguments(settings)})", _WITH
        case tree.On(value, constraint):
            return f"{_expr(value, _ON)} on {_expr(constraint, _THEN)}", _ON
    raise AssertionError(f"no spelling for {type(node).__name__}")
