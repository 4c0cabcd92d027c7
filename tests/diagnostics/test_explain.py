"""Every code is explained, and the programs of its page do what the page says of them."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from click.testing import CliRunner, Result

from sslang.api import load_source
from sslang.checks import check_file
from sslang.cli.main import main
from sslang.diagnostics import CODES, Code, DiagnosticError, Example, Source, codes, render

ALL = list(CODES.values())
EXAMPLES = [(code.code, code.example) for code in ALL if code.example is not None]
STARTED = [(code, example) for code, example in EXAMPLES if example.found == "start"]
by_code = pytest.mark.parametrize("code", ALL, ids=lambda code: code.code)


def examples(cases: list[tuple[str, Example]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("code", "example"), cases, ids=[code for code, _ in cases])


def found(text: str) -> list[str]:
    return [d.code for d in check_file(Source("example.ssl", text))]


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["explain", *arguments])


@by_code
def test_a_code_is_explained(code: Code) -> None:
    assert re.fullmatch(r"E[1-7]\d\d", code.code)
    assert len(code.explanation.split()) >= 15
    assert code.explanation.endswith(".")
    assert 2 <= len(re.findall(r"[.?](?= [A-Z`]|$)", code.explanation)) <= 6
    assert "  " not in code.explanation + code.arises


@by_code
def test_a_code_has_a_program_or_says_how_it_arises(code: Code) -> None:
    assert code.example is not None or code.arises
    if code.arises:
        assert re.search(r"`sslang \w+", code.arises), "no command says how to go on"


def test_every_declared_code_is_known_once() -> None:
    modules = [import_module(f"{codes.__name__}.{m.name}") for m in iter_modules(codes.__path__)]
    declared = [code.code for module in modules for code in module.ALL]
    assert sorted(declared) == list(CODES)


def test_titles_are_unique() -> None:
    assert len({code.title for code in ALL}) == len(ALL)


@examples(EXAMPLES)
def test_the_mended_program_has_no_finding(code: str, example: Example) -> None:
    mended = example.programs()[1]
    assert [render(d) for d in check_file(Source("example.ssl", mended))] == []


@examples([(code, example) for code, example in EXAMPLES if example.found == "check"])
def test_the_failing_program_has_the_code_alone(code: str, example: Example) -> None:
    assert set(found(example.programs()[0])) == {code}


@examples(STARTED)
def test_what_the_check_passes_is_found_when_a_run_starts(
    code: str, example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sslang.train.options import RunOptions
    from sslang.train.run import prepare, run

    monkeypatch.chdir(tmp_path)
    options = RunOptions(device="cpu", workers=0, out=tmp_path, tracking="off", quiet=True)
    fails, mended = example.programs()
    assert found(fails) == []
    with pytest.raises(DiagnosticError) as raised:
        run(load_source(Source("example.ssl", fails)), options, fails, "example")
    assert [d.code for d in raised.value.diagnostics] == [code]
    assert raised.value.diagnostics[0].span is not None
    prepare(load_source(Source("example.ssl", mended)), options)


@by_code
def test_explain_shows_all_of_it(code: Code) -> None:
    said = explain(code.code)
    assert said.exit_code == 0, said.output
    assert said.output.startswith(f"{code.code}: {code.title} ({code.severity})\n")
    words = said.output.split()
    for text in (code.explanation, code.arises):
        assert " ".join(text.split()) in " ".join(words)
    assert max(len(line) for line in said.output.split("\n")) <= 200
    if code.example is None:
        return
    fails, mended = said.output.split("\nMended:\n")
    shown = {line[4:] for line in fails.split("\n")}
    assert set(code.example.programs()[0].split("\n")) <= shown
    shown = {line[4:] for line in mended.split("\n")}
    assert set(code.example.programs()[1].split("\n")) <= shown
    if code.example.found == "check":
        assert f"{code.severity}[{code.code}]: " in fails


def test_what_is_new_in_the_mended_program_is_marked() -> None:
    page = explain("E404").output
    assert re.findall(r"^  \+ (.*)$", page, re.MULTILINE) == ["negatives <- k"]
    assert "# allow E404: why" in page
    assert "# allow" not in explain("E401").output


def test_all_codes_are_listed_and_come_as_data() -> None:
    listed = explain().output.splitlines()
    assert [line.split()[0] for line in listed] == list(CODES)
    page = json.loads(explain("e505", "--json").output)
    assert page["found"] == "start"
    assert (page["fails"], page["mended"]) == CODES["E505"].example.programs()  # type: ignore[union-attr]


def test_a_code_that_there_is_none_of() -> None:
    result = explain("E4O1")
    assert result.exit_code == 1
    assert "there is no code `E4O1`" in result.output
