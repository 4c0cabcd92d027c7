"""The standard library, declaration by declaration, is what its files are as wholes."""

from __future__ import annotations

from sslang.model.resolve import prelude
from sslang.std import prelude_files
from sslang.syntax import tree
from sslang.syntax.parser import parse


def test_a_declaration_parsed_alone_is_the_one_of_its_whole_file() -> None:
    alone: dict[str, tree.Node] = {e.name: e.value for e in prelude().namespace.functions()}
    alone |= prelude().recipes
    whole: dict[str, tree.Node] = {}
    for source in prelude_files():
        file, found = parse(source)
        assert not found
        for statement in file.statements:
            assert isinstance(statement, tree.Function | tree.Recipe)
            assert statement.name not in whole
            whole[statement.name] = statement
    assert alone == whole
    for name, node in alone.items():
        assert node.span.text == whole[name].span.text
        assert str(node.span) == str(whole[name].span)


def test_a_name_of_the_library_is_parsed_once() -> None:
    library = prelude().namespace
    assert library.find("nt_xent") is library.find("nt_xent")
    assert library.find("no_such_loss") is None
    assert "nt_xent" in library.names()
