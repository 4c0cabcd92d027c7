"""What the grammar leaves to the token stream: line ends, units, nesting depth."""

from __future__ import annotations

from collections.abc import Iterator

from lark import Token
from lark.lark import PostLex

MAX_NESTING = 60
MAX_TOKENS = 20_000
UNITS = {"epoch": "epochs", "epochs": "epochs", "step": "steps", "steps": "steps"}

_OPEN = {"LPAR": "(", "LSQB": "[", "LBRACE": "{"}
_CLOSE = {"RPAR": "(", "RSQB": "[", "RBRACE": "{"}
_INFIX = frozenset((
    "PIPE", "PLUS", "MINUS", "STAR", "SLASH", "AT", "PERCENT", "EQUAL", "COMPARE", "JOIN",
    "POWER", "_RANGE", "_ARROW", "AND", "OR", "WITH", "THEN", "IF", "ELSE", "ON",
))  # fmt: skip
_ENDS_LINE_OPEN = frozenset(("EQUAL", "_WRITE"))


class TooDeep(Exception):
    def __init__(self, token: Token) -> None:
        super().__init__("nesting too deep")
        self.token = token


class TooLong(Exception):
    def __init__(self, token: Token) -> None:
        super().__init__("too many tokens")
        self.token = token


class Layout(PostLex):
    """Keeps only the newlines that end a statement, and recognises units."""

    always_accept = ("_NEWLINE",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        brackets: list[str] = []
        previous: Token | None = None
        newline: Token | None = None
        for number, token in enumerate(stream):
            if number >= MAX_TOKENS:
                raise TooLong(token)
            if token.type == "_NEWLINE":
                newline = newline or token
                continue
            if newline is not None:
                if not (self._continues(previous, token) or (brackets and brackets[-1] != "{")):
                    yield newline
                    previous = None
                newline = None
            if token.type in _OPEN:
                brackets.append(_OPEN[token.type])
                if len(brackets) > MAX_NESTING:
                    raise TooDeep(token)
            elif token.type in _CLOSE and brackets:
                brackets.pop()
            if token.type == "NAME" and token.value in UNITS and _follows_number(previous):
                token = Token.new_borrow_pos("UNIT", token.value, token)
            yield token
            previous = token
        if newline is not None:
            yield newline

    @staticmethod
    def _continues(previous: Token | None, following: Token) -> bool:
        opened = previous is not None and previous.type in _ENDS_LINE_OPEN
        return opened or following.type in _INFIX


def _follows_number(previous: Token | None) -> bool:
    return previous is not None and previous.type in ("NUMBER", "RPAR", "RSQB")
