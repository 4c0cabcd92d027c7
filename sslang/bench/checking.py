"""How long checking takes: each spec, the command, and how the time grows with a file.

    python -m sslang.bench.checking [--rounds 7] [SPEC ...]

The targets: a spec under all of its recipes in 150 ms where the imports are done, the command in
0.7 s without torch, and a cost linear in the lines of a file and in the number of its recipes.
In this process it is processor time, which other work on the machine disturbs less; of the command
it is wall time, for a loss that is new to it and, in brackets, for one whose figures it has in the
user's cache. Bare Python, which does nothing, is the measure of the machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory

from sslang.checks import check_file
from sslang.diagnostics import Source
from sslang.model.resolve import load, read
from sslang.model.resolve import prelude as read_prelude

LINES = (50, 100, 200, 500, 1000, 2000)
RECIPES = (1, 2, 5, 10, 20, 50)

_HEAD = """\
method "Many terms" (paper = "arXiv:2002.05709")

param backbone = resnet18()
param size     = 32
param hidden   = 256
param crops    = 0.2..1

view a, b = simclr_views(size, crops)
views     = [a, b]

encoder f = backbone

"""

# What one more term of a loss takes: params, a net, a family, a function and bindings.
_TERM = """\
# Term {i}: both views, compared in a space of their own.
param dim_{i}         = 64
param temperature_{i} = 0.2
param share_{i}       = 0.5

head   g_{i}      = mlp(hidden, dim_{i})
branch online_{i} = f | g_{i} | l2_normalize

z_{i}[v in views] = online_{i}(v)

fn agreement_{i}(p: [B, D], q: [B, D]) {{
    logits = p @ q.T / temperature_{i}
    return mean(cross_entropy(logits, eye(B)))
}}
term_{i} = share_{i} * agreement_{i}(z_{i}[a], z_{i}[b])

"""

_TAIL = """\
loss     = sum(terms[i] for i in terms)
features = f(a)

recipe default : laptop {
    hidden = 128
}
"""

_RECIPE = """\

recipe narrow_{i} : default {{
    size     = {size}
    hidden   = {hidden}
    dim_0    = {hidden}
    share_0  = 0.25
    crops    = 0.{crop:02}..1
    batch    = 128
    length   = {length} epochs
    evaluate = knn(k = {length})
}}
"""


def long_spec(lines: int) -> str:
    """A spec of at least so many lines, of which nothing is unused and nothing wrong."""
    terms: list[str] = []
    while (text := _assembled(terms)).count("\n") < lines:
        terms.append(_TERM.format(i=len(terms)))
    return text


def _assembled(terms: Sequence[str]) -> str:
    names = [f"term_{i}" for i in range(len(terms))]
    rows = (", ".join(names[i : i + 8]) for i in range(0, len(names), 8))
    listed = ",\n         ".join(rows)
    return f"{_HEAD}{''.join(terms)}terms = [{listed}]\n{_TAIL}"


def many_recipes(recipes: int) -> str:
    """A spec of some fifty lines and so many recipes, each with eight fields."""
    more = [
        _RECIPE.format(i=i, size=32 + i, hidden=64 + i, crop=10 + i, length=2 + i)
        for i in range(1, recipes)
    ]
    return long_spec(50) + "".join(more)


@dataclass(frozen=True)
class Timing:
    """Seconds of one thing: the median and the least of some rounds."""

    median: float
    least: float


def timed(
    run: Callable[[], object], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> Timing:
    """Times of `run`, after one call that does not count."""
    run()
    times = []
    for _ in range(rounds):
        start = clock()
        run()
        times.append(clock() - start)
    return Timing(statistics.median(times), min(times))


def checking(text: str, rounds: int) -> Timing:
    """Processor time of every finding of a text under all of its recipes: it waits for nothing."""
    return timed(lambda: check_file(Source("spec.ssl", text)), rounds, time.process_time)


def specs_table(paths: Sequence[Path], rounds: int) -> str:
    """A row a spec: lines, recipes, and the time in this process."""
    rows = []
    for path in paths:
        text = read(path).text
        found = checking(text, rounds)
        recipes = len(load(Source("spec.ssl", text)).recipes)
        rows.append((path.name, str(text.count("\n")), str(recipes), *_milliseconds(found)))
    return _table(("spec", "lines", "recipes", "median ms", "least ms"), rows)


def commands_table(paths: Sequence[Path], rounds: int) -> str:
    """A row a spec: `sslang check SPEC` as a process of its own, and whether it imports torch.

    First with an empty cache, and in brackets again.
    """
    bare = _milliseconds(timed(partial(_process, [sys.executable, "-c", "pass"], {}), rounds))
    rows = [("bare Python", *bare, "no")]
    for path in paths:
        command = [sys.executable, "-m", "sslang.cli", "check", str(path)]
        with TemporaryDirectory() as folder:
            caches = (Path(folder) / str(number) for number in range(rounds + 1))
            first = timed(partial(_checked, command, caches), rounds)
            again = timed(partial(_checked, command, repeat(Path(folder) / "0")), rounds)
        median, least = map("{} ({})".format, _milliseconds(first), _milliseconds(again))
        torch = "yes" if _imports_torch(path) else "no"
        rows.append((f"`sslang check {path}`", median, least, torch))
    return _table(("command", "median ms", "least ms", "imports torch"), rows)


def _checked(command: Sequence[str], caches: Iterator[Path]) -> None:
    """The command, with the next of some folders for its cache."""
    _process(command, {"XDG_CACHE_HOME": str(next(caches))})


def _process(command: Sequence[str], settings: Mapping[str, str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env={**os.environ, **settings})  # fmt: skip


def _imports_torch(path: Path) -> bool:
    code = (
        "import sys; from sslang.cli.main import main; "
        f"main(['check', {str(path)!r}], standalone_mode=False)"
    )
    ending = f"try:\n    exec({code!r})\nfinally:\n    print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{ending}"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() == "True"


def lines_table(sizes: Sequence[int], rounds: int) -> str:
    """A row a length: the time of one recipe, and of it per line."""
    rows = []
    for size in sizes:
        text = long_spec(size)
        found, lines = checking(text, rounds), text.count("\n")
        per = f"{found.median / lines * 1e6:.0f}"
        rows.append((str(lines), *_milliseconds(found), per))
    return _table(("lines", "median ms", "least ms", "microseconds a line"), rows)


def recipes_table(counts: Sequence[int], rounds: int) -> str:
    """A row a number of recipes of one spec: the time, and what one recipe more takes."""
    rows = []
    one = checking(many_recipes(1), rounds).median
    for count in counts:
        found = checking(many_recipes(count), rounds)
        per = f"{found.median / count * 1e3:.1f}"
        more = f"{(found.median - one) / (count - 1) * 1e3:.1f}" if count > 1 else ""
        rows.append((str(count), *_milliseconds(found), per, more))
    return _table(("recipes", "median ms", "least ms", "ms a recipe", "ms one more"), rows)


def _milliseconds(found: Timing) -> tuple[str, str]:
    return f"{found.median * 1e3:.1f}", f"{found.least * 1e3:.1f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str]) -> int:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m sslang.bench.checking")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("specs", nargs="*", type=Path)
    given = parser.parse_args(arguments)
    paths = given.specs or sorted(Path("specs").glob("*.ssl"))
    read_prelude()
    print(specs_table(paths, given.rounds), end="\n\n", flush=True)
    print(commands_table(paths, given.rounds), end="\n\n", flush=True)
    print(lines_table(LINES, given.rounds), end="\n\n", flush=True)
    print(recipes_table(RECIPES, given.rounds))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
