"""Codes E1xx. Text and syntax."""

from __future__ import annotations

from sslang.diagnostics.code import Code

ALL = (
    Code("E101", "unexpected text", "The grammar has no place for this token here."),
    Code("E102", "unknown character", "This character begins no token of the language."),
    Code("E103", "nesting too deep", "Brackets and operators may be nested 60 deep at most."),
    Code("E104", "not a text file", "A spec is UTF-8 text of at most 1 MB."),
    Code("E105", "number out of range", "A number in a spec has at most 15 digits."),
    Code("E106", "unfinished statement", "The file ends inside a bracket, a block or a string."),
)
