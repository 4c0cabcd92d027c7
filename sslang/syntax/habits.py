"""What hands write that know other languages: what is written here instead, as a hint or an edit.

Everything is told from the text around the place at which the parser stopped.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sslang.diagnostics import Edit, Fix, Source, Span
from sslang.diagnostics.fix import insert, replacement
from sslang.records import record

_KINDS = "param|view|encoder|head|branch|weight|queue|bank|state"

_INFIX = frozenset(("with", "on", "then", "if", "else", "or", "and", "not", "in", "return"))

# Characters that begin no token.
_INSTEAD = {
    '"': "texts stand in double quotes, on one line",
    "'": "texts stand in double quotes, on one line",
    "^": "a power is written `**`",
    "&": "it is written `and`",
    "!": "it is written `not`",
    ";": "each statement stands on a line of its own",
}

# How statements of other languages begin.
_FOREIGN = {
    "def": "a function is written `fn name(x) = ...`",
    "import": 'a spec sees the standard library; other files by `use NAMES from "file.ssl"`',
    "from": 'a spec sees the standard library; other files by `use NAMES from "file.ssl"`',
    "class": "a spec has no classes: nets are `encoder`, `head`, `branch`, and functions `fn`",
    "for": "there are families in its place: `z[v in views] = ...`, `sum(... for v in views)`",
    "while": "the one loop is `repeat(n, step, x)`",
    "if": "a choice is an expression: `a if n > 1 else b`",
    "with": "settings follow what they set: `branch b = f | g with (batch_norm = groups(32))`",
    "let": "a binding is written `name = ...`",
    "const": "a hyper-parameter is written `param name = ...`",
    "print": "a metric is a binding of the step; it is logged by its name",
    "assert": "what a spec must be is checked; there is no statement for it",
    "lambda": "a function is written `fn name(x) = ...`",
}


@record(frozen=True)
class Stop:
    """Where the parser stopped: the token, and what stands on its line before and after it."""

    source: Source
    offset: int
    token: str
    before: str
    after: str

    @property
    def span(self) -> Span:
        return Span(self.source, self.offset, self.offset + len(self.token))


Advice = tuple[str, Fix | None]
_NONE: Advice = ("", None)


def of_character(source: Source, offset: int) -> Advice:
    """What is written for a character that begins no token."""
    character = source.text[offset]
    text, end = source.text, source.text.find("'", offset + 1)
    inside = text[offset + 1 : end] if end > 0 else "\n"
    if character == "'" and not set(inside) & set('"\n'):
        return _INSTEAD["'"], replacement(Span(source, offset, end + 1), f'"{inside}"')
    here = Span(source, offset, offset + 1)
    if character == "^":
        return _INSTEAD["^"], replacement(here, "**")
    if character == ";" and not text[offset + 1 :].split("\n", 1)[0].split("#")[0].strip():
        return "a line ends without a sign", replacement(here, "")
    return _INSTEAD.get(character, ""), None


def of_token(source: Source, offset: int, token: str) -> Advice:
    """What is written for what cannot stand here; ``""`` where nothing is known."""
    start = source.text.rfind("\n", 0, offset) + 1
    end = source.text.find("\n", offset)
    line = source.text[start : len(source.text) if end < 0 else end].split("#")[0]
    words = re.findall(r"\w+", line)
    if "lambda" in words:
        return _FOREIGN["lambda"], None
    if source.text[offset : offset + 2] in ("+=", "-=", "*=", "/="):
        return "a binding has one value: `y = x + ...`; a state is written `s <- s + ...`", None
    if words and words[0] in _FOREIGN:
        return _FOREIGN[words[0]], None
    before = source.text[start:offset]
    stop = Stop(source, offset, token.strip(), before, line[len(before) + len(token.strip()) :])
    for rule in _RULES:
        hint, fix = rule(stop)
        if hint:
            return hint, fix
    return _NONE


def _declaration(stop: Stop) -> Advice:
    """`view a b = ...`, `param lr 0.1`, `queue q(4096) = ...`."""
    declared = re.match(rf"\s*({_KINDS})\s+\w[\w\s,\[\]]*$", stop.before)
    if declared is None:
        return _NONE
    end = stop.offset - len(stop.before) + len(stop.before.rstrip())
    if stop.token == "(" and re.search(r"\w$", stop.before):
        close = stop.after.find(")")
        edits = (Edit(stop.span, "["), Edit(_at(stop, close), "]"))
        hint = f"sizes stand in brackets: `{declared.group().strip()}[...]`"
        return hint, Fix(edits) if close >= 0 and "(" not in stop.after[:close] else None
    if re.match(r"[A-Za-z_]", stop.token) and re.match(r"\s*(=|,|$)", stop.after):
        return "a comma stands between two names", Fix((insert(stop.source, end, ","),))
    if re.match(r'[\w"]', stop.token) and "=" not in stop.after:
        return "`=` stands between a name and its value", Fix((insert(stop.source, end, " ="),))
    return _NONE


def _at(stop: Stop, place: int) -> Span:
    """The character at a place of what stands after the token."""
    start = stop.offset + len(stop.token) + place
    return Span(stop.source, start, start + 1)


def _colon(stop: Stop) -> Advice:
    """`fn f(x): return x`, `batch: 64`, and `f(x, t: 1)`."""
    if stop.token != ":":
        return _NONE
    if re.match(r"\s*fn\s", stop.before):
        hint = "the value of a function follows `=`; several statements stand in braces"
        body = re.match(r"\s*return\s+", stop.after)
        if body is None:
            return hint, None
        end = stop.offset + 1 + body.end()
        return hint, replacement(Span(stop.source, stop.offset, end), " = ")
    argument = re.search(r"[(,]\s*\w+\s*$", stop.before) and _innermost(stop.before) is not None
    if argument or re.search(r"(^|[{])\s*\w+\s*$", stop.before):
        wide = 2 if stop.after.startswith("=") else 1
        space = "" if stop.before.endswith(" ") else " "
        place = Span(stop.source, stop.offset, stop.offset + wide)
        return "a name is bound by `=`", replacement(place, f"{space}=")
    return _NONE


def _comma(stop: Stop) -> Advice:
    """`batch = 64, length = ...`, `a, b = ...`, `(0.2, 1)`."""
    if stop.token != ",":
        return _NONE
    if re.search(r"\bfor\s+\w+\s*$", stop.before):
        return "each variable has its own `for`: `for v in views for w in views`", None
    opened = _innermost(stop.before)
    if opened is not None and re.search(r"(^|[^\w\])])\s*\($", stop.before[: opened + 1]):
        return "a range is written `0.2..1`, and a list `[a, b]`", None
    if opened is None and re.fullmatch(r"\s*\w+(\s*,\s*\w+)*\s*", stop.before):
        kinds = "`view a, b = ...`; members of a family are `z[a]`, `z[b]`"
        return f"several names are declared with what they are: {kinds}", None
    if opened is None and re.match(r"\s*\w+\s*=", stop.after):
        return "each stands on a line of its own", None
    return _NONE


def _innermost(text: str) -> int | None:
    """Where the innermost round or square bracket stands that is open at the end of a line."""
    opened: list[int] = []
    for at, character in enumerate(text):
        if character in "([":
            opened.append(at)
        elif character in ")]" and opened:
            opened.pop()
    return opened[-1] if opened else None


def _beside(stop: Stop) -> Advice:
    """Two things beside each other: `stop_grad x`, `length = 10 epochs batch = 64`, `10 iters`."""
    if not re.match(r"[A-Za-z_]", stop.token) or not re.search(r"[\w)\]]\s+$", stop.before):
        return _NONE
    if re.fullmatch(r"\s*\w+\s+", stop.before):
        kinds = ", ".join(f"`{kind}`" for kind in _KINDS.split("|"))
        return f"declarations begin with {kinds}; a binding is `{stop.token} = ...`", None
    if re.match(r"\s*=[^=]", stop.after) and _innermost(stop.before) is None:
        return "each statement stands on a line of its own", None
    if re.search(r"[\w)\]]\s*=[^=]*\d\s+$", stop.before):
        return "a time is in `epochs` or `steps`: `10 epochs`", None
    called = re.search(r"([A-Za-z_]\w*)\s+$", stop.before)
    if called is not None and called.group(1) not in _INFIX:
        return f"arguments stand in brackets: `{called.group(1)}(...)`", None
    return _NONE


def _statement(stop: Stop) -> Advice:
    """`loss.backward()`, `optimizer.step()`."""
    if stop.token not in (".", "(") or not re.fullmatch(r"\s*\w+", stop.before):
        return _NONE
    return "a spec calls nothing: the run takes the gradient of `loss` and makes the step", None


def _signs(stop: Stop) -> Advice:
    """`||`, `// ...`, `.5`."""
    if stop.token == "|" and stop.before.endswith("|"):
        place = Span(stop.source, stop.offset - 1, stop.offset + 1)
        return "it is written `or`", replacement(place, "or")
    if stop.token in ("/", "*", "**") and stop.before.endswith("/"):
        return "a comment begins with `#`", None
    if stop.token in ("/", "//"):
        return "a comment begins with `#`", None
    if stop.token == "." and re.match(r"\d", stop.after):
        digits = stop.after[: len(stop.after) - len(stop.after.lstrip("0123456789"))]
        return f"write `0.{digits}`", Fix((insert(stop.source, stop.offset, "0"),))
    if number := re.search(r"(?<![\w.])(\d+\.)\s*$", stop.before):
        end = stop.offset - len(stop.before) + number.end(1)
        hint = f"a point stands between digits: `{number.group(1)}0`"
        return hint, Fix((insert(stop.source, end, "0"),))
    return _NONE


def _generator(stop: Stop) -> Advice:
    """`z = [f(v) for v in views]`, which is `z[v in views] = f(v)`."""
    if stop.token != "for":
        return _NONE
    whole = re.fullmatch(r"\s*(\w+)\s*=\s*\[(.+?)\s+", stop.before)
    over = re.fullmatch(r"\s+(\w+)\s+in\s+(.+?)\s*\]\s*", stop.after)
    hint = "a value for each view is a binding: `z[v in views] = ...`"
    if whole is None or over is None or re.search(r"\b(for|if)\b", stop.after):
        return hint, None
    text = f"{whole.group(1)}[{over.group(1)} in {over.group(2)}] = {whole.group(2)}"
    start = stop.offset - len(stop.before) + whole.start(1)
    end = stop.offset + len("for") + len(stop.after.rstrip())
    return hint, replacement(Span(stop.source, start, end), text)


def _recipe(stop: Stop) -> Advice:
    """`recipe default : laptop` without a block, and `recipe default = laptop {}`."""
    based = re.fullmatch(r"\s*recipe\s+\w+\s*", stop.before)
    if based is not None and stop.token in ("=", "extends", "from", "is"):
        return "a recipe's bases follow a colon", replacement(stop.span, ":")
    declared = re.fullmatch(r"\s*recipe\s+\w+(\s*:\s*\w+(\s*,\s*\w+)*)?\s*", stop.before)
    if declared is None or stop.token.strip():
        return _NONE
    end = stop.offset - len(stop.before) + len(stop.before.rstrip())
    hint = "what a recipe sets stands in braces, and none of it is `{}`"
    return hint, Fix((insert(stop.source, end, " {}"),))


_RULES: tuple[Callable[[Stop], Advice], ...] = (
    _declaration, _colon, _comma, _statement, _generator, _signs, _recipe, _beside,
)  # fmt: skip
