"""Texts to try the front end on: specs, random changes of them, random tokens, random bytes."""

from __future__ import annotations

import random
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SPECS = sorted((ROOT / "specs").glob("*.ssl"))
STD = sorted((ROOT / "sslang" / "std").glob("*.ssl"))
CASES = sorted((ROOT / "tests" / "cases").glob("*.md"))

TEXTS = [path.read_text(encoding="utf-8") for path in (*SPECS, *STD)]
SNIPPETS = [
    'method "case"\nview a, b = simclr_views(32)\nencoder f = resnet18()\n' + block
    for path in CASES
    for block in re.findall(r"```ssl\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
]
TOKEN = re.compile(
    r'"[^"\n]*"|#[^\n]*|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|\w+|<-|->|\.\.\.|\.\.|\+\+|\*\*'
    r"|[=!<>]=|\n|[ ]+|."
)
POOL = sorted(
    {t for text in TEXTS + SNIPPETS for t in TOKEN.findall(text) if t.strip() and t[0] != "#"}
) + ["\n"] * 30  # fmt: skip


def mutated(rng: random.Random, text: str | None = None) -> str:
    """A spec with a few tokens taken away, doubled, exchanged, moved or replaced."""
    pool = TEXTS[: len(SPECS)] if rng.random() < 0.6 else TEXTS + SNIPPETS
    tokens = TOKEN.findall(text or rng.choice(pool))
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        at = rng.randrange(len(tokens))
        words = [i for i, t in enumerate(tokens) if t.strip() and not t.startswith("#")] or [0]
        match rng.randrange(6):
            case 0:
                del tokens[at : at + rng.choice([1, 1, 2, 5])]
            case 1:
                other = rng.randrange(len(tokens))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 2:
                tokens.insert(at, tokens[at])
            case 3:
                tokens.insert(at, f" {rng.choice(POOL)} ")
            case 4:
                tokens[rng.choice(words)] = rng.choice(POOL)
            case 5:
                run = tokens[at : at + rng.randrange(1, 12)]
                other = rng.randrange(len(tokens))
                tokens[other:other] = run
        tokens = tokens or ["x"]
    return "".join(tokens)


def soup(rng: random.Random) -> str:
    """Tokens in no order."""
    return " ".join(rng.choice(POOL) for _ in range(rng.randrange(1, 60)))


def junk(rng: random.Random) -> str:
    """Bytes, read as one encoding or another."""
    data = bytes(rng.randrange(256) for _ in range(rng.randrange(200)))
    how = "surrogateescape" if rng.random() < 0.3 else "replace"
    return data.decode(rng.choice(["latin1", "utf-8"]), how)


def anything(seed: int) -> str:
    """A text of one of these sorts, by its seed."""
    rng = random.Random(seed)
    return rng.choices([junk, soup, mutated], [0.08, 0.12, 0.8])[0](rng)
