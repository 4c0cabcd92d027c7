"""The formatter's spelling, by examples."""

from __future__ import annotations

import pytest

from sslang.diagnostics import Source
from sslang.syntax.formatter import format_text

EXAMPLES = {
    "names, equals and comments line up": (
        """
        encoder f=backbone # one
        head projector =mlp( hidden,dim )   # two

        branch online=f|projector
        """,
        """
        encoder f         = backbone          # one
        head    projector = mlp(hidden, dim)  # two

        branch online = f | projector
        """,
    ),
    "a value over several lines stays in its run, under its bracket": (
        """
        recipe x {
          optimizer = lars(lr = 1,
              momentum = 0.9)
          a = [
          1,
              2,
          ]
          clip = none
        }
        """,
        """
        recipe x {
            optimizer = lars(lr = 1,
                             momentum = 0.9)
            a         = [
                1,
                2,
            ]
            clip      = none
        }
        """,
    ),
    "a line that begins with an operator goes on": (
        """
        fn chain(size) =
        crop(size)
        | flip @ 0.5
        loss = mean(l[v]
        for v in views
        if v != a)
        """,
        """
        fn chain(size) =
            crop(size)
            | flip @ 0.5
        loss = mean(l[v]
                    for v in views
                    if v != a)
        """,
    ),
    "indexed targets line up among themselves": (
        """
        views = [a,b]
        p[v in views]=f(v)
        target[ v in views ] = - f( v )[:,1:-1]**-2
        """,
        """
        views = [a, b]
        p[v in views]      = f(v)
        target[v in views] = -f(v)[:, 1:-1]**-2
        """,
    ),
    "spaces": (
        """
        fn f(z:[B,D][2],t=1,)=z if not(t) else-z[ :,:2]
        x=0.2 .. 1
        m = cosine(1->0,warmup = 10epochs)
        recipe r:a,b{length=3 epochs}
        q<-k
        """,
        """
        fn f(z: [B, D][2], t = 1,) = z if not (t) else -z[:, :2]
        x = 0.2..1
        m = cosine(1 -> 0, warmup = 10 epochs)
        recipe r : a, b { length = 3 epochs }
        q <- k
        """,
    ),
    "blank lines: one at most, none at the ends": (
        "\n\na = 1\n\n\n\nb = 2\n\n\n",
        "a = 1\n\nb = 2\n",
    ),
}


def _unindented(text: str) -> str:
    lines = text.split("\n")
    if not text.startswith("\n        "):
        return text
    return "\n".join(line[8:] for line in lines[1:-1]) + "\n"


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str) -> None:
    before, after = map(_unindented, EXAMPLES[name])
    assert format_text(Source("text", before)) == (after, [])
