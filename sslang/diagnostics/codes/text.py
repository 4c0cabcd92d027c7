"""Codes E1xx. Text and syntax."""

from __future__ import annotations

from sslang.diagnostics.code import Code, Example

ALL = (
    Code(
        "E101",
        "unexpected text",
        "A spec is made of statements: declarations, bindings `name = expression`, writes "
        "`state <- expression`, functions, phases and recipes. It has no Python in it: no `def`, "
        "`for`, `if` statement, `+=` or `lambda`. A method that is one declaration after the "
        "other can be checked, split over processes and compared as a whole, which a program "
        "that does things in some order cannot.",
        example=Example(
            """\
z = (f | g)([a, b])
loss = nt_xent(z, 0.5)
loss += 0.001 * mean(z[a]**2)
""",
            """\
z = (f | g)([a, b])
loss = nt_xent(z, 0.5) + 0.001 * mean(z[a]**2)
""",
        ),
    ),
    Code(
        "E102",
        "unknown character",
        "This character begins no word, number or sign of the language. Mostly it is the "
        "spelling of another one: a power is `**`, a text stands in double quotes, `and`, `or` "
        "and `not` are words, and a new line ends a statement. Text copied out of a paper may "
        "also hold a minus or quotes that only look like those of the keyboard.",
        example=Example(
            """\
param temperature = 10^-1
loss = nt_xent((f | g)([a, b]), temperature)
""",
            """\
param temperature = 10**-1
loss = nt_xent((f | g)([a, b]), temperature)
""",
        ),
    ),
    Code(
        "E103",
        "nesting too deep",
        "Brackets may be nested 60 deep and operators 100, so that no text, however it was made, "
        "can take a check more than a moment. No method that people have written comes near it; "
        "a program that writes specs may. Give the parts names, or reduce a family: "
        "`sum(... for i in 1..128)`.",
        example=Example(
            f"""\
loss = nt_xent((f | g)([a, b]), {"(" * 61}0.5{")" * 61})
""",
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
""",
        ),
    ),
    Code(
        "E104",
        "not a text file",
        "A spec is UTF-8 text of at most 1 MB. A guess at another encoding would turn some "
        "character into another one, and what was trained would no longer be what is written.",
        arises="It arises where a path names another kind of file, such as weights or a picture, "
        "or where an editor saved the spec as Latin-1 or UTF-16. Save it as UTF-8, or convert "
        "it: `iconv -f latin1 -t utf8 OLD.ssl > NEW.ssl`; then `sslang check NEW.ssl`.",
    ),
    Code(
        "E105",
        "number out of range",
        "A number has at most 15 digits, and other than 0 it lies in 1e-30..1e30: this much a "
        "float holds without another being meant. In Python a number such as 1e999 becomes "
        "infinite without a word, and the first step gives a loss that is not a number.",
        example=Example(
            """\
param epsilon = 1e-45
z = (f | g)([a, b])
loss = nt_xent([l2_normalize(z[a], epsilon), l2_normalize(z[b], epsilon)], 0.5)
""",
            """\
param epsilon = 1e-12
z = (f | g)([a, b])
loss = nt_xent([l2_normalize(z[a], epsilon), l2_normalize(z[b], epsilon)], 0.5)
""",
        ),
    ),
    Code(
        "E106",
        "unfinished statement",
        "A bracket, a block or a text is opened and never closed, so that all the rest of the "
        "file would belong to it. The finding points at the bracket that is open, for what is "
        "missing is mostly near it, and says where reading stopped.",
        example=Example(
            """\
z = (f | g)([a, b]
loss = nt_xent(z, 0.5)
""",
            """\
z = (f | g)([a, b])
loss = nt_xent(z, 0.5)
""",
        ),
    ),
)
