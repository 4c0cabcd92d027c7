"""Judge every mutant of every spec, and print the table.

    python -m sslang.bench.mutations [--operator NAME] [SPEC ...]

Ends with 1 where a mutant is neither caught, nor the same, nor accounted for in `reasons.py`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from sslang.bench.mutations.judge import Cache, Judge
from sslang.bench.mutations.operators import OPERATORS, mutants
from sslang.bench.mutations.report import Judged, report
from sslang.model.resolve import read

CACHE = Path("runs/mutations.json")


def judged(paths: list[Path], names: list[str], cache: Cache) -> Iterator[Judged]:
    """Every mutant of the specs by these operators, with its verdict."""
    chosen = {name: OPERATORS[name] for name in names}
    for path in paths:
        print(f"judging the mutants of {path}", file=sys.stderr, flush=True)
        judge = Judge(read(path), path.stem, cache)
        for mutant in mutants(path, chosen):
            yield mutant, judge.judge(mutant)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m sslang.bench.mutations")
    parser.add_argument("--operator", action="append", choices=list(OPERATORS), metavar="NAME")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, help="write the table here, too")
    parser.add_argument("specs", nargs="*", type=Path)
    given = parser.parse_args(arguments)
    paths = given.specs or [*sorted(Path("specs").glob("*.ssl")),
                            *sorted(Path("examples").glob("*.ssl"))]  # fmt: skip
    cache = Cache.read(given.cache)
    try:
        found = list(judged(paths, given.operator or list(OPERATORS), cache))
    finally:
        cache.write()
    text = report(found)
    print(text)
    if given.out is not None:
        given.out.write_text(text, encoding="utf-8")
    return int(any(verdict.outcome == "unjudged" for _, verdict in found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
