"""Codes E2xx. Names, files and overlays."""

from __future__ import annotations

from sslang.diagnostics.code import Code

ALL = (
    Code("E201", "unknown name", "No declaration, parameter or prelude name is called this."),
    Code("E202", "declared twice", "A file has one namespace; each name is declared once."),
    Code("E203", "cycle", "These declarations need each other, and no state lies between them."),
    Code("E204", "unknown recipe", "The file has no recipe of this name, nor has the prelude."),
    Code(
        "E205",
        "override of an unknown name",
        "A recipe in the file or the command line replaces right sides; it adds no names except "
        "the fields of a recipe.",
    ),
    Code("E206", "file cannot be read", "The path does not name a readable spec."),
    Code("E207", "unused declaration", "No recipe of the file reaches this declaration."),
    Code(
        "E208", "hides a prelude name", "The declaration takes the place of a prelude name.", "note"
    ),
    Code("E209", "no method line", 'A spec begins with `method "NAME"`.'),
    Code(
        "E210",
        "not in this version",
        "The construct belongs to the language, and this version does not compile it yet.",
    ),
    Code(
        "E212",
        "labels not declared",
        'A method that uses `label` or `classes` says so: `method "..." (labels = true)`.',
    ),
    Code(
        "E213",
        "allows nothing",
        "`# allow CODE: reason` silences a warning or a note of its own line; this one does not.",
        "warning",
    ),
    Code("E211", "changed kind", "An overlay keeps the kind of what it replaces."),
)
