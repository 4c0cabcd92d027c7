"""How long a method is: lines of a spec's body, all before its first recipe.

    python -m sslang.bench.lines [SPEC ...]

Blank lines and comments do not count; each phase block is counted apart.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from sslang.diagnostics import Source
from sslang.model.resolve import read
from sslang.syntax import tree
from sslang.syntax.build import comment_start
from sslang.syntax.parser import parse


@dataclass(frozen=True)
class Length:
    """Lines of a body, and of each phase block."""

    body: int
    phases: dict[str, int]

    def __str__(self) -> str:
        return " + ".join(map(str, (self.body, *self.phases.values())))


def length(source: Source) -> Length:
    """The lines of a spec before its first recipe."""
    file, _ = parse(source)
    recipes = [s.span.start for s in file.statements if isinstance(s, tree.Recipe)]
    end = min(recipes, default=len(source.text))
    blocks = [s for s in file.statements if isinstance(s, tree.Phase) and s.span.start < end]
    phases = {s.name: _lines(s.span.text) for s in blocks}
    return Length(_lines(source.text[:end]) - sum(phases.values()), phases)


def _lines(text: str) -> int:
    return sum(bool(line[: comment_start(line)].strip()) for line in text.split("\n"))


def main(arguments: list[str]) -> int:
    paths = [Path(a) for a in arguments] or sorted(Path("specs").glob("*.ssl"))
    for path in paths:
        print(f"{path}: {length(read(path))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
