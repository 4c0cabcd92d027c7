"""Mutants that a declaration left over gives away, judged again without it.

Whoever forgets a predictor declares none. So what E207 names is taken away, here and in the
recipes, until nothing is left over; what is found then, if anything, is found by the method alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sslang.bench.mutations.mutant import Edit, edited, line_removed
from sslang.checks import check_file
from sslang.diagnostics import Source
from sslang.syntax import tree
from sslang.syntax.parser import parse

LEFT_OVER = "E207"
_ROUNDS = 5
_NAME = re.compile(r"\w+")


def found_without(text: str) -> tuple[str, ...]:
    """The codes of errors and warnings once no declaration is left over."""
    for _ in range(_ROUNDS):
        source = Source("mutant.ssl", text)
        found = [d for d in check_file(source) if d.severity != "note"]
        spans = [d.span.text for d in found if d.code == LEFT_OVER and d.span is not None]
        smaller = _without(source, {_NAME.findall(text.removeprefix("fn "))[0] for text in spans})
        if smaller == text:
            break
        text = smaller
    return tuple(dict.fromkeys(d.code for d in found))


def _without(source: Source, names: set[str]) -> str:
    """The text without what declares these names, and without recipes' bindings of them."""
    file, _ = parse(source)
    statements = list(file.statements)
    for recipe in file.statements:
        if isinstance(recipe, tree.Recipe):
            statements += recipe.body.statements
    return edited(source.text, tuple(e for s in statements for e in _taken_away(source, s, names)))


def _taken_away(source: Source, statement: tree.Node, names: set[str]) -> Iterator[Edit]:
    match statement:
        case tree.Declaration(_, targets, _) if not {t.name for t in targets} <= names:
            kept = [t.span.text for t in targets if t.name not in names]
            yield Edit(targets[0].span.start, targets[-1].span.end, ", ".join(kept))
        case tree.Declaration():
            yield line_removed(source, statement.span)
        case tree.Function(name) | tree.Write(tree.Target(name)) if name in names:
            yield line_removed(source, statement.span)
        case tree.Binding(target, _) if target.name in names:
            end = source.text.find("\n", statement.span.end)
            alone = "}" not in source.text[statement.span.end : end]
            inline = Edit(statement.span.start, statement.span.end, "")
            yield line_removed(source, statement.span) if alone else inline
