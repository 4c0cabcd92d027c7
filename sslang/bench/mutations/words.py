"""Operators on what is written: units, schedules, names, keywords, whole lines."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.bench.mutations.changes import arguments, replaced
from sslang.bench.mutations.mutant import Body, Change, Edit, Spot, line_removed
from sslang.syntax import tree

_OTHER_UNIT = {"epochs": "steps", "steps": "epochs"}


def _quantities(body: Body) -> Iterator[tuple[Spot, tree.Quantity, str]]:
    for spot in body.spots_of_recipes:
        if isinstance(spot.node, tree.Quantity):
            text = spot.node.span.text
            yield spot, spot.node, text[: text.rindex(spot.node.unit[:-1])].rstrip()


def exchange_unit(body: Body) -> Iterator[Change]:
    """Epochs for steps, steps for epochs."""
    for spot, node, number in _quantities(body):
        yield replaced(spot, f"{number} {_OTHER_UNIT[node.unit]}")


def drop_unit(body: Body) -> Iterator[Change]:
    for spot, _, number in _quantities(body):
        yield replaced(spot, number)


def bare_arrow(body: Body) -> Iterator[Change]:
    """`cosine(a -> b)` as `a -> b`."""
    for spot in body.spots_of_recipes:
        match spot.node:
            case tree.Call(
                tree.Name("cosine" | "linear"), (tree.Argument(tree.Arrow() as arrow), *_)
            ):
                yield replaced(spot, arrow.span.text)


def misspell_name(body: Body) -> Iterator[Change]:
    """The first use of each name in the body, with its last two letters exchanged."""
    known = {s.node.name for s in body.spots if isinstance(s.node, tree.Name)} | set(body.kinds)
    seen: set[str] = set()
    for spot in body.spots:
        node = spot.node
        if not isinstance(node, tree.Name) or node.name in seen:
            continue
        seen.add(node.name)
        wrong = _misspelt(node.name)
        if wrong not in known:
            yield replaced(spot, wrong)


def misspell_keyword(body: Body) -> Iterator[Change]:
    for spot, argument in arguments(body.spots):
        assert argument.name is not None
        start = argument.span.start
        assert body.text.startswith(argument.name, start)
        edit = Edit(start, start + len(argument.name), _misspelt(argument.name))
        yield Change(spot.statement, (edit,))


def misspell_word(body: Body) -> Iterator[Change]:
    """The word that begins a statement (`encoder`, `branch`, `recipe`), once each."""
    seen: set[str] = set()
    for statement in body.file.statements:
        word = statement.span.text.split(" ", 1)[0]
        if isinstance(statement, tree.Binding | tree.Write) or word in seen:
            continue
        seen.add(word)
        start = statement.span.start
        yield Change(word, (Edit(start, start + len(word), _misspelt(word)),))


def drop_statement(body: Body) -> Iterator[Change]:
    """A declaration, a binding or a function forgotten."""
    for name, statement in body.statements:
        if isinstance(statement, tree.Declaration | tree.Binding | tree.Function):
            yield Change(name, (line_removed(body.source, statement.span),))


def _misspelt(name: str) -> str:
    if len(name) > 2 and name[-1] != name[-2]:
        return name[:-2] + name[-1] + name[-2]
    return name[:-1] if len(name) > 2 else name + name[-1]
