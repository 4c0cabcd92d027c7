"""The facts of `facts.toml`, and the table of them that stands in `FACTS.md`.

`python -m tests.fidelity.facts` prints the table.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE / "FACTS.md"
# Groups of facts, by the first part of their names: a spec's file name, or `all`.
TITLES = {
    "all": "Several methods",
    "instdisc": "InstDisc",
    "invaspread": "InvaSpread",
    "cpc": "CPC",
    "cmc": "CMC",
    "mocov1": "MoCo v1",
    "mocov2": "MoCo v2",
    "mocov3_vit": "MoCo v3",
    "simclr": "SimCLR",
    "simclrv2": "SimCLR v2",
    "swav": "SwAV",
    "byol": "BYOL",
    "simsiam": "SimSiam",
    "dino": "DINO",
}
_HEAD = """# What the papers and their code do

Each fact in short, and the tests that show that sslang does the same, or why none does. Written
by `python -m tests.fidelity.facts` from `facts.toml`; a test holds both together.
"""


@dataclass(frozen=True)
class Fact:
    """`tests` are `path::name` from the root of the repository; without any, `not_modelled` says
    why.
    """

    id: str
    fact: str
    tests: tuple[str, ...] = ()
    not_modelled: str = ""

    @property
    def method(self) -> str:
        return self.id.partition(".")[0]


@cache
def facts() -> tuple[Fact, ...]:
    """All facts, in the order of the file. TypeError if an entry has another key."""
    entries = tomllib.loads((HERE / "facts.toml").read_text(encoding="utf-8"))["fact"]
    return tuple(Fact(**{**entry, "tests": tuple(entry.get("tests", ()))}) for entry in entries)


def table() -> str:
    """The facts in Markdown: counts by method, then a table for each method."""
    lines = [_HEAD, "| method | facts | shown by tests | not modelled |", "|---|---|---|---|"]
    groups = {m: [fact for fact in facts() if fact.method == m] for m in TITLES}
    for name, group in [*((TITLES[m], g) for m, g in groups.items()), ("all", [*facts()])]:
        tested = sum(bool(fact.tests) for fact in group)
        lines.append(f"| {name} | {len(group)} | {tested} | {len(group) - tested} |")
    for method, group in groups.items():
        lines += ["", f"## {TITLES[method]}", "", "| fact | shown by |", "|---|---|"]
        lines += [f"| {_cell(fact.fact)} | {_shown(fact)} |" for fact in group]
    return "\n".join(lines) + "\n"


def _shown(fact: Fact) -> str:
    if not fact.tests:
        return f"not modelled: {_cell(fact.not_modelled)}"
    places: dict[str, list[str]] = {}
    for test in fact.tests:
        path, _, name = test.partition("::")
        places.setdefault(path.removeprefix("tests/"), []).append(name.removeprefix("test_"))
    return "; ".join(f"`{path}`: {', '.join(names)}" for path, names in places.items())


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    print(table(), end="")
