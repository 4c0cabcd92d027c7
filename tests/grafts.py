"""Grammar-aware mutation: specs changed on their syntax trees, and written out again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache
from typing import Any

from sslang.diagnostics import Source, Span
from sslang.ops import PRIMITIVES
from sslang.syntax import tree
from sslang.syntax.parser import parse
from sslang.syntax.printer import show
from tests.texts import SNIPPETS, SPECS, TEXTS

Path = tuple[tuple[str, int | None], ...]

SPAN = Span(Source("made", ""), 0, 0)
EXPRESSIONS = (
    tree.Number, tree.Text, tree.Name, tree.ListOf, tree.Quantity, tree.Attribute, tree.Index,
    tree.Unary, tree.Binary, tree.Range, tree.Arrow, tree.Then, tree.Conditional, tree.Call,
    tree.With, tree.On,
)  # fmt: skip
STATEMENTS = (
    tree.Use, tree.Assume, tree.Declaration, tree.Binding, tree.Write, tree.Return, tree.Function,
    tree.Phase, tree.Recipe, tree.Nested,
)  # fmt: skip
NUMBERS = (
    0, 1, 2, 3, 7, 63, 64, 65, 1024, 1025, 4096, 65_537, 10**6, 10**9, 10**12, 10**15 - 1,
    0.0, 0.5, 0.999999, 1.5, 1e-30, 1e-7, 1e10, 1e30,
)  # fmt: skip
OPERATORS = ("|", "or", "and", "++", "+", "-", "*", "/", "%", "@", "**", "==", "!=", "<", ">=")
KINDS = ("param", "view", "encoder", "head", "branch", "weight", "queue", "bank", "state")
FILES = ("spec.ssl", "other.ssl", "ring.ssl", "folder", "missing.ssl", "../spec.ssl", "bytes.ssl")


def _class_of(node: tree.Node) -> type | tuple[type, ...]:
    """What may stand where this node stands."""
    for group in (EXPRESSIONS, STATEMENTS):
        if isinstance(node, group):
            return group
    return type(node)


def places(node: tree.Node, path: Path = ()) -> Iterator[tuple[Path, tree.Node]]:
    """Every node below this one, with the way to it."""
    for item in fields(node):
        value = getattr(node, item.name)
        inner = enumerate(value) if isinstance(value, tuple) else ((None, value),)
        for at, child in inner:
            if isinstance(child, tree.Node):
                step = (*path, (item.name, at))
                yield step, child
                yield from places(child, step)


def put(node: Any, path: Path, new: tuple[tree.Node, ...]) -> Any:
    """The tree with `new` where the path leads: one node, or any number in a sequence."""
    if not path:
        return new[0]
    (name, at), *rest = path
    value = getattr(node, name)
    if at is None:
        return replace(node, **{name: put(value, tuple(rest), new)})
    middle = new if not rest else (put(value[at], tuple(rest), new),)
    return replace(node, **{name: (*value[:at], *middle, *value[at + 1 :])})


@cache
def trees() -> list[tree.File]:
    return [parse(Source("text", text))[0] for text in (*TEXTS, *SNIPPETS)]


@cache
def _pool() -> dict[Any, list[tree.Node]]:
    """Every piece of every text, by what it may take the place of."""
    pool: dict[Any, list[tree.Node]] = {}
    for file in trees():
        for _, node in places(file):
            pool.setdefault(_class_of(node), []).append(node)
    return pool


def grafted(rng: random.Random) -> str:
    """A spec with one to six changes of its tree."""
    all_trees = trees()
    file = rng.choice(all_trees[: len(SPECS)] if rng.random() < 0.6 else all_trees)
    for _ in range(rng.choice([1, 1, 1, 1, 2, 3, 6])):
        file = rng.choice(CHANGES)(rng, file)
        if len(file.statements) > 400:
            break
    return show(file)


def _some(rng: random.Random, file: tree.File, *kinds: type) -> tuple[Path, Any] | None:
    found = [(p, n) for p, n in places(file) if not kinds or isinstance(n, kinds)]
    return rng.choice(found) if found else None


def _graft(rng: random.Random, file: tree.File) -> tree.File:
    """A piece of any text in the place of a piece of its class."""
    found = _some(rng, file)
    if found is None:
        return file
    alike = _pool()[_class_of(found[1])]
    if rng.random() < 0.5:
        alike = [node for node in alike if type(node) is type(found[1])]
    return _put(file, found[0], rng.choice(alike))


def _put(file: tree.File, path: Path, *new: tree.Node) -> tree.File:
    made: tree.File = put(file, path, new)
    return made


def _exchange(rng: random.Random, file: tree.File) -> tree.File:
    """A piece in the place of another of its class in the same file."""
    first, second = _some(rng, file), _some(rng, file)
    if first is None or second is None or _class_of(first[1]) != _class_of(second[1]):
        return file
    return _put(file, first[0], second[1])


def _repeat(rng: random.Random, file: tree.File) -> tree.File:
    """A statement, an argument or an item taken away, or written two or forty times."""
    found = _some(rng, file)
    if found is None or found[0][-1][1] is None:
        return file
    return _put(file, found[0], *(found[1],) * rng.choice([0, 0, 0, 2, 2, 40]))


def _move(rng: random.Random, file: tree.File) -> tree.File:
    """A statement at another place: of the file, a function, a phase or a recipe."""
    statement = _some(rng, file, *STATEMENTS)
    block = _some(rng, file, tree.Block)
    if statement is None:
        return file
    if block is None or rng.random() < 0.4:
        at = rng.randrange(len(file.statements) + 1)
        return replace(
            file, statements=(*file.statements[:at], statement[1], *file.statements[at:])
        )
    return _put(file, block[0], replace(block[1], statements=(*block[1].statements, statement[1])))


def _name(rng: random.Random, file: tree.File) -> tree.File:
    """A name exchanged for another that can be seen."""
    found = _some(rng, file, tree.Name, tree.Target, tree.Over, tree.Generator, tree.Parameter)
    if found is None:
        return file
    known = sorted({n.name for _, n in places(file) if isinstance(n, (tree.Name, tree.Target))})
    name = rng.choice(known if rng.random() < 0.7 else sorted(PRIMITIVES))
    return _put(file, found[0], replace(found[1], name=name if name.isidentifier() else "x"))


def _number(rng: random.Random, file: tree.File) -> tree.File:
    """A number exchanged for an extreme one, or for one that is near."""
    found = _some(rng, file, tree.Number)
    if found is None:
        return file
    old = found[1].value
    value = rng.choice(NUMBERS if rng.random() < 0.6 else (old + 1, 2 * old, old / 2, 10 * old))
    number: tree.Node = tree.Number(value, span=SPAN)
    if rng.random() < 0.1:
        number = tree.Unary("-", number, span=SPAN)
    return _put(file, found[0], number)


def _nest(rng: random.Random, file: tree.File) -> tree.File:
    """An expression within itself, up to fifty times."""
    found = _some(rng, file, *EXPRESSIONS)
    if found is None:
        return file
    wrap = rng.choice(_WRAPS)
    node = found[1]
    doubles = len(show(wrap(node, tree.Name("x", span=SPAN)))) > 1.9 * len(show(node))
    for _ in range(rng.choice([1, 1, 2, 6, 6 if doubles else 50])):
        node = wrap(node, found[1])
    return _put(file, found[0], node)


def _call(name: str, *values: tree.Node) -> tree.Node:
    arguments = tuple(tree.Argument(v, span=SPAN) for v in values)
    return tree.Call(tree.Name(name, span=SPAN), arguments, span=SPAN)


def _one(value: float) -> tree.Node:
    return tree.Number(value, span=SPAN)


def _each(node: tree.Node, over: tree.Node) -> tree.Node:
    generators = (tree.Generator("i", over, span=SPAN),)
    return _call("sum", tree.Comprehension(node, generators, None, span=SPAN))


_WRAPS: tuple[Callable[[tree.Node, tree.Node], tree.Node], ...] = (
    lambda n, _: tree.ListOf((n,), span=SPAN),
    lambda n, _: tree.ListOf((n, n), span=SPAN),
    lambda n, _: tree.Unary("-", n, span=SPAN),
    lambda n, _: tree.Unary("not", n, span=SPAN),
    lambda n, old: tree.Binary("+", n, old, span=SPAN),
    lambda n, old: tree.Binary("|", n, old, span=SPAN),
    lambda n, old: tree.Binary("++", n, old, span=SPAN),
    lambda n, old: tree.Binary("**", old, n, span=SPAN),
    lambda n, _: tree.Attribute(n, "T", span=SPAN),
    lambda n, _: tree.Index(n, (_one(0),), span=SPAN),
    lambda n, _: tree.Quantity(n, "epochs", span=SPAN),
    lambda n, _: _call("stop_grad", n),
    lambda n, old: _call("repeat", _one(10**9), old, n),
    lambda n, old: _call("repeat", _one(64), old, n),
    lambda n, _: _call("concat", tree.ListOf((n, n), span=SPAN)),
    lambda n, _: _each(n, tree.Range(_one(1), _one(10**9), span=SPAN)),
    lambda n, _: _each(n, tree.Range(_one(1), _one(30), span=SPAN)),
    lambda n, old: _each(n, old),
    lambda n, old: tree.Conditional(n, old, n, span=SPAN),
    lambda n, old: tree.Then(n, old, span=SPAN),
    lambda n, _: tree.With(n, (tree.Argument(n, "batch_norm", span=SPAN),), span=SPAN),
)


def _operator(rng: random.Random, file: tree.File) -> tree.File:
    found = _some(rng, file, tree.Binary)
    if found is None:
        return file
    left, right = rng.sample([found[1].left, found[1].right], 2)
    new = tree.Binary(rng.choice(OPERATORS), left, right, span=SPAN)
    return _put(file, found[0], new)


def _declaration(rng: random.Random, file: tree.File) -> tree.File:
    """A declaration of another kind, or with a large family in its brackets."""
    found = _some(rng, file, tree.Declaration)
    if found is None:
        return file
    new = replace(found[1], kind=rng.choice(KINDS))
    if rng.random() < 0.4:
        size = tree.Number(rng.choice(NUMBERS), span=SPAN)
        over = tree.Over("v", tree.Range(_one(1), size, span=SPAN), span=SPAN)
        items: tuple[tree.Node, ...] = rng.choice([(size,), (over,), (over, size)])
        new = replace(new, targets=tuple(replace(t, items=items) for t in new.targets))
    return _put(file, found[0], new)


def _bases(rng: random.Random, file: tree.File) -> tree.File:
    """Recipes on any recipes, so that they may go in circles."""
    found = _some(rng, file, tree.Recipe)
    if found is None:
        return file
    names = [s.name for s in file.statements if isinstance(s, tree.Recipe)] + ["laptop", "none"]
    bases = tuple(rng.choice(names) for _ in range(rng.choice([0, 1, 1, 2, 30])))
    name = rng.choice([found[1].name, *names])
    return _put(file, found[0], replace(found[1], name=name, bases=bases))


def _use(rng: random.Random, file: tree.File) -> tree.File:
    """Names from another file, from this one, from one that is none."""
    names = [n.name for _, n in places(file) if isinstance(n, tree.Target)] or ["x"]
    taken = tuple(rng.choice(names) for _ in range(rng.choice([1, 1, 3])))
    statement = tree.Use(taken, rng.choice(FILES), span=SPAN)
    return replace(file, statements=(*file.statements[:1], statement, *file.statements[1:]))


def _keyword(rng: random.Random, file: tree.File) -> tree.File:
    """An argument by another name, or by none."""
    found = _some(rng, file, tree.Argument)
    if found is None:
        return file
    known = [n.name for n in _pool()[tree.Argument] if isinstance(n, tree.Argument)]
    return _put(file, found[0], replace(found[1], name=rng.choice(known)))


CHANGES = (
    _graft, _graft, _graft, _exchange, _exchange, _repeat, _move, _name, _name, _number, _nest,
    _operator, _declaration, _bases, _use, _keyword,
)  # fmt: skip
