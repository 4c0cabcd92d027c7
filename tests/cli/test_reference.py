"""`sslang doc` has a page for every name of the language that a spec uses."""

from __future__ import annotations

import re
from pathlib import Path

from sslang.cli.reference import pages
from sslang.diagnostics import Source
from sslang.ir.build.specials import SPECIALS
from sslang.model.recipe import WORDS
from sslang.model.resolve import prelude
from sslang.ops import PRIMITIVES
from sslang.ops.signs import UNNAMED
from sslang.syntax.parser import parse
from sslang.syntax.rename import free_names

PAGES = pages()
KNOWN = (
    (set(PRIMITIVES) - UNNAMED) | set(SPECIALS) | set(WORDS) | prelude().namespace.names()
    | set(prelude().recipes)
)  # fmt: skip


def used(path: Path) -> set[str]:
    """Names of the language that stand in a spec, and in the functions of std behind them."""
    file, _ = parse(Source(path.name, path.read_text()))
    waiting = list(file.statements)
    found: set[str] = set()
    while waiting:
        for name in free_names(waiting.pop()) & KNOWN - found:
            found.add(name)
            entry = prelude().namespace.find(name)
            if entry is not None:
                waiting.append(entry.value)
    return found


def test_every_name_of_a_spec_has_a_page(spec: Path) -> None:
    names = used(spec)
    assert len(names) > 10
    for name in names:
        body = PAGES[name].body.strip()
        assert len(body) > 8, f"`{name}` has no page worth the name"


def test_a_function_of_std_says_what_it_is() -> None:
    """The comment above it, which begins with a sentence, then its text."""
    for name, page in PAGES.items():
        if page.kind == "function of the standard library":
            assert re.match(r"[A-Z`0-9].+\.", page.body.strip(), re.DOTALL), name
