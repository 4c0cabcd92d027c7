"""What a mistaken expression was meant to be: a hint, and the edit where only one can be meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from sslang.diagnostics import Edit, Fix, Span, keyword
from sslang.diagnostics.fix import insert, replacement, wrapped
from sslang.ir.build.context import Context
from sslang.ir.build.ends import is_number, short
from sslang.ir.build.values import (
    Branch,
    Builtin,
    BuiltNet,
    Description,
    Family,
    Initial,
    State,
    Value,
    View,
    describe,
)
from sslang.ir.graph import DRAW
from sslang.model.resolve import Entry
from sslang.syntax import tree
from sslang.types import Size

_LOOSE = (tree.With, tree.On, tree.Then, tree.Arrow, tree.Conditional, tree.Range)

Given = Sequence[tuple[Any, Span]]


def expect_values(ctx: Context, node: tree.Binary, left: Any, right: Any) -> None:
    """E306, E301 for `+` between what `++` or `|` joins."""
    if _of_views(left) and _of_views(right):
        ctx.fail("E306", "`+` adds values, and these are families of views", node.span,
                 hint="`++` joins two families", fix=_with_sign(node, "++"))  # fmt: skip
    if _stage_kind(left) and _stage_kind(left) == _stage_kind(right):
        ctx.fail("E301", f"`+` adds values; this is {describe(left)}", node.span,
                 hint="what follows each other is joined by `|`",
                 fix=_with_sign(node, "|"))  # fmt: skip


def _of_views(value: Any) -> bool:
    members = value.members if isinstance(value, Family) else ()
    return bool(members) and all(isinstance(m, View) for m in members)


def _stage_kind(value: Any) -> str:
    """`view` or `net` for what a chain or a net is made of, else ``""``."""
    if isinstance(value, Description):
        return value.kind
    kind = value.primitive.kind if isinstance(value, Builtin) else ""
    return kind if kind in ("view", "net") else ""


def _with_sign(node: tree.Binary, sign: str) -> Fix | None:
    """Another operator in the place of the one that stands between two operands."""
    source, start, end = node.span.source, node.left.span.end, node.right.span.start
    between = source.text[start:end]
    if between.count(node.operator) != 1 or "#" in between:
        return None
    at = start + between.index(node.operator)
    return replacement(Span(source, at, at + len(node.operator)), sign)


def pipeline(value: Any, node: tree.Node) -> tuple[str, Fix | None]:
    """For a list of what `|` joins: how it is written; ``""`` for another list."""
    members = value.members if isinstance(value, Family) else ()
    kinds = {_stage_kind(m) for m in members}
    if len(kinds) != 1 or kinds == {""} or not isinstance(node, tree.ListOf):
        return "", None
    text = " | ".join(item.span.text for item in node.items)
    plain = "#" not in node.span.text and not any(isinstance(i, _LOOSE) for i in node.items)
    what = "a chain" if kinds == {"view"} else "a net of layers"
    fix = replacement(node.span, " ".join(text.split())) if plain else None
    return f"{what} is joined by `|`: `{short(text)}`", fix


def second_name(ctx: Context, entry: Entry, view: View) -> NoReturn:
    """E301 for `view key = query`: one draw cannot have two names, and two draws need a chain."""
    first = ctx.resolved.namespace.entries.get(view.key)
    chain = short(first.value.span.text) if first is not None else "..."
    hint = (
        f"for a draw of its own write `view {view.key}, {entry.name} = {chain}`; for the same "
        f"images write `{view.key}` in the place of `{entry.name}`"
    )
    ctx.fail("E301", f"a view is a chain of view operations; this is the view `{view.key}` itself",
             entry.value.span, hint=hint)  # fmt: skip


def settings(call: Span, first: Span) -> tuple[str, Fix | None]:
    """For `f | g (batch_norm = ...)`: the settings after `with`; `first` is the first value."""
    source = call.source
    opened = source.text.rfind("(", call.start, first.start)
    rest = source.text[call.end :].split("\n", 1)[0].split("#")[0]
    alone = opened > 0 and not rest.strip()
    given = short(source.text[opened : call.end])
    hint = f"what a branch is set to follows `with`: `... with {given}`"
    space = "" if source.text[opened - 1].isspace() else " "
    return hint, Fix((insert(source, opened, f"{space}with "),)) if alone else None


def of_description(ctx: Context, where: Span) -> tuple[str, Fix | None]:
    """What `ema(backbone, ...)` of a description is to follow: the net that is built of it."""
    text = where.text
    built = [
        name
        for name, entry in ctx.resolved.namespace.entries.items()
        if entry.kind in ("encoder", "head") and entry.value.span.text == text
    ]
    if len(built) == 1:
        return f"an average follows a built net, here `{built[0]}`", replacement(where, built[0])
    shown = short(text)
    return f"an average follows a built net: `encoder f = {shown}`, then `ema(f, ...)`", None


def integers(
    ctx: Context, value: Any, where: Span, below: Size | None = None
) -> tuple[str, Fix | None]:
    """For numbers drawn where integers are due: `draw_integers`; ``""`` for other values."""
    node = ctx.node(value.node) if isinstance(value, Value) else None
    if node is None or node.op != DRAW or node.setting("kind") == "integers":
        return "", None
    drawn = f"draw_{node.setting('kind')}("
    text, rows = where.text, "..." if below is None else str(below)
    whole = text.startswith(drawn) and text.endswith(")") and text.count("(") == 1
    if not whole:
        return f"row numbers are drawn by `draw_integers(..., below = {rows})`", None
    sizes = text.removeprefix(drawn)[:-1].strip()
    other = f"draw_integers({sizes + ', ' if sizes else ''}below = {rows})"
    return f"row numbers are drawn by `{other}`", None if below is None else replacement(
        where, other
    )


def not_selected(value: Any, joined: str = " or ") -> tuple[str, str]:
    """Why a value selects no parameters, and what does; ``""`` twice where nothing is known."""
    if not isinstance(value, Branch):
        return "", ""
    name = f"`{value.name}`" if value.name else "this"
    if value.average is not None:
        return f"{name} is an average, which no gradient trains", "take it away"
    return f"{name} is a branch", f"name its nets: `{joined.join(nets_in(value))}`"


def nets_in(branch: Branch) -> list[str]:
    """The nets of a branch by name."""
    return [stage.name for stage in branch.stages if isinstance(stage, BuiltNet)]


def shape_in_brackets(
    kind: str, target: tree.Target, written: tree.Node, initial: Initial, row: Sequence[int]
) -> tuple[str, Fix | None]:
    """For `weight w = normal(10, 32)`: `weight w[10, 32] = normal`."""
    name = initial.primitive.name
    given = written.arguments if isinstance(written, tree.Call) else ()
    plain = all(a.name is None and isinstance(a.value, tree.Number) for a in given)
    sizes = target.items or (given if plain else ())
    dims = [size.span.text for size in sizes] or list(map(str, row))
    shape = f"[{', '.join(dims)}]"
    fix = None
    if plain and given:
        edits = [] if target.items else [insert(target.span.source, target.span.end, shape)]
        fix = Fix((*edits, Edit(written.span, name)))
    return f"write `{kind} {target.name}{shape} = {name}`", fix


def spelled(ctx: Context, view: View) -> str:
    """A view as the spec names it: `a`, or `local[0]` of a declared family."""
    if view.key in ctx.resolved.namespace.entries:
        return view.key
    family, _, at = view.key.rpartition("_")
    return f"{family}[{at}]" if family in ctx.resolved.namespace.entries else view.key


def as_family(node: tree.Function, positional: Given) -> Fix | None:
    """`nt_xent([x, y], t)` for `nt_xent(x, y, t)`, whose first parameter takes two members."""
    pattern = node.parameters[0].pattern if node.parameters else None
    members = pattern.members if pattern is not None else None
    if not isinstance(members, tree.Number):
        return None
    count = int(members.value)
    own = positional[:count]
    fits = len(positional) == len(node.parameters) + count - 1
    if not fits or not all(isinstance(value, Value) for value, _ in own):
        return None
    return wrapped(own[0][1].to(own[-1][1]), "[", "]")


def width_alone(name: str, positional: Given) -> Fix | None:
    """`linear(64)` for `linear(128, 64)`, as torch has it."""
    if name != "linear" or len(positional) != 2:
        return None
    (first, where), (second, after) = positional
    if not isinstance(first, int) or not isinstance(second, int):
        return None
    return replacement(Span(where.source, where.start, after.start), "")


def expect_no_probability(
    ctx: Context, name: str, key: str, value: tuple[Any, Span], call: Span
) -> None:
    """E303 for `grayscale(p = 0.2)`, which is written `grayscale @ 0.2`."""
    if key not in ("p", "prob", "probability"):
        return
    number, where = value
    text, place = call.source.text, keyword(key, where)
    opened, before = text.find("(", call.start), text[call.start : place.start].rstrip()
    last = text[where.end : call.end - 1].strip() in ("", ",")
    after = insert(call.source, call.end, f" @ {where.text}")
    if before.endswith("("):
        edit = Edit(Span(call.source, opened, call.end), "")
    else:
        edit = Edit(Span(call.source, call.start + before.rfind(","), call.end - 1), "")
    ctx.fail("E303", f"`{name}` has no parameter `{key}`", place,
             hint=f"a probability is written after the operation: `{name} @ {where.text}`",
             fix=Fix((edit, after)) if last and is_number(number) else None)  # fmt: skip


def turned(ctx: Context, node: tree.Binary, left: Any, right: Any) -> None:
    """E301 for `0.5 @ grayscale`, which is written `grayscale @ 0.5`."""
    if not is_number(left) or _stage_kind(right) != "view":
        return
    text = f"{node.right.span.text} @ {node.left.span.text}"
    ctx.fail("E301", "a probability stands behind its operation", node.span,
             hint=f"write `{short(text)}`", fix=replacement(node.span, text))  # fmt: skip


_PLAIN = re.compile(r"[A-Za-z_]\w*|[0-9]+(\.[0-9]+)?(e-?[0-9]+)?( (epochs|steps))?")


def unquoted(value: Any, where: Span, known: Collection[str] = ()) -> tuple[str, Fix | None]:
    """For a text where none is due: what stands in it, if that is a number, a time or a word."""
    text = where.text[1:-1]
    plain = isinstance(value, str) and where.text == f'"{value}"' and _PLAIN.fullmatch(text)
    if not plain or (text[0].isalpha() and text not in known):
        return "", None
    return f"only paths stand in quotes: `{text}`", replacement(where, text)


def member(ctx: Context, value: Any, node: tree.Attribute) -> tuple[str, Fix | None]:
    """For `z.a` and `online.a` of a view `a`: `z[a]` and `online(a)`."""
    if isinstance(value, Family):
        keys = [spelled(ctx, k) for k in value.keys if isinstance(k, View)]
        opened, closed = "[", "]"
    else:
        entries = ctx.resolved.namespace.entries.items()
        keys = [name for name, entry in entries if entry.kind == "view"]
        opened, closed = "(", ")"
    if node.name not in keys:
        return "", None
    text = f"{opened}{node.name}{closed}"
    behind = Span(node.span.source, node.value.span.end, node.span.end)
    return f"write `{short(node.value.span.text)}{text}`", replacement(behind, text)


def key_in_quotes(ctx: Context, value: Any, family: Family, where: Span) -> Fix | None:
    """For `z["a"]`: `z[a]`."""
    keys = [spelled(ctx, k) for k in family.keys if isinstance(k, View)]
    named = isinstance(value, str) and value in keys and where.text == f'"{value}"'
    return replacement(where, str(value)) if named else None


def shape_of_state(state: State, written: Sequence[Size]) -> tuple[str, Fix | None]:
    """For `state c = zeros` that is written with rows: `state c[32] = zeros`."""
    if (
        state.type.shape
        or "[" in state.span.text
        or not all(isinstance(size, int) for size in written)
    ):
        return "", None
    shape = f"[{', '.join(map(str, written))}]"
    fix = Fix((insert(state.span.source, state.span.end, shape),))
    return f"declare its shape: `state {state.span.text}{shape} = ...`", fix


def decimal_comma(positional: Given) -> Fix | None:
    """`0.1` for `0,1`."""
    if len(positional) < 2:
        return None
    (before, first), (after, second) = positional[-2:]
    between = first.source.text[first.end : second.start]
    if between != "," or before != 0 or not isinstance(after, int):
        return None
    return replacement(first.to(second), f"{first.text}.{second.text}")
