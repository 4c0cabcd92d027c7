"""Names and overlays: layers, what each may do, and the resolved spec and its hash."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from sslang.api import parse_overrides
from sslang.diagnostics import Diagnostic, DiagnosticError, Source
from sslang.ir.build import build
from sslang.ir.program import Program
from sslang.model.overlay import resolve
from sslang.model.resolve import load, read
from sslang.syntax import tree
from sslang.syntax.parser import parse
from sslang.syntax.printer import show
from tests.texts import SPECS

HEAD = 'method "test"\nview a, b = simclr_views(32)\nencoder f = resnet18(stem = small)\n'


def program(text: str, recipe: str | None = None, overrides: Sequence[str] = ()) -> Program:
    return build(resolve(load(Source("spec.ssl", text)), recipe, parse_overrides(overrides)))


def codes(found: Sequence[Diagnostic]) -> list[str]:
    return [d.code for d in found]


ALL = [(p, r) for p in SPECS for r in [None, *load(read(p)).recipes]]
IDS = [f"{path.stem}-{recipe}" for path, recipe in ALL]


@pytest.mark.parametrize(("path", "recipe"), ALL, ids=IDS)
def test_the_resolved_text_is_a_spec_that_resolves_to_itself(
    path: Path, recipe: str | None
) -> None:
    first = build(resolve(load(read(path)), recipe))
    assert first.diagnostics == ()
    again = program(first.spec.text)
    assert again.diagnostics == ()
    assert again.spec.text == first.spec.text
    assert again.spec.hash == first.spec.hash
    assert again.spec.recipe == first.spec.recipe
    assert [p.step for p in again.phases] == [p.step for p in first.phases]
    assert [p.features for p in again.phases] == [p.features for p in first.phases]


@pytest.mark.parametrize(("path", "recipe"), ALL, ids=IDS)
def test_declarations_are_a_set(path: Path, recipe: str | None) -> None:
    first = build(resolve(load(read(path)), recipe))
    file, _ = parse(read(path))
    phases = [s for s in file.statements if isinstance(s, tree.Phase)]  # these have an order
    statements = [s for s in file.statements if s not in phases]
    for seed in range(3):
        random.Random(seed).shuffle(statements)
        text = "\n".join(show(s) for s in (*statements, *phases)) + "\n"
        again = program(text, recipe)
        assert again.diagnostics == ()
        assert again.spec.hash == first.spec.hash
        assert again.step == first.step


def test_layers_are_the_file_its_bases_the_recipe_and_the_command_line() -> None:
    text = HEAD + (
        "param t = 1\nloss = t * mean(f(a))\n"
        "recipe low : laptop { t = 2 }\nrecipe mid : low { t = 3 }\n"
        "recipe other : laptop { t = 9 }\n"
        "recipe high : mid, other {}\nrecipe default : laptop {}\n"
    )

    def value(recipe: str | None, *overrides: str) -> str:
        return program(text, recipe, overrides).spec.settings["t"]

    assert value(None) == "1"
    assert value("low") == "2"
    assert value("mid") == "3"
    assert value("high") == "9"
    assert value("high", "t=5 + 1") == "5 + 1"


def test_names_resolve_after_the_last_layer() -> None:
    text = HEAD + (
        "param t = 1\nparam u = 2 * t\nloss = u * mean(f(a))\nrecipe default : laptop { t = 3 }\n"
    )
    assert any(6 in node.inputs for node in program(text).step.nodes)
    assert any(8 in node.inputs for node in program(text, None, ["t=4"]).step.nodes)


def test_a_recipe_extends_the_prelude_recipe_of_its_own_name() -> None:
    text = HEAD + "loss = mean(f(a))\nrecipe laptop : laptop { batch = 32 }\n"
    recipe = program(text, "laptop").spec.recipe
    assert recipe is not None
    assert recipe.batch == 32
    assert recipe.last_batch == "drop"


def test_what_a_std_recipe_sets_and_the_spec_lacks_is_ignored() -> None:
    found = program(HEAD + "loss = mean(f(a))\nrecipe default : laptop {}\n")
    assert found.diagnostics == ()
    assert "backbone" not in found.spec.text


def test_the_command_line_only_replaces() -> None:
    text = HEAD + "param temperature = 1\nloss = temperature * mean(f(a))\n"
    (found,) = (d for d in program(text, None, ["temprature=2"]).diagnostics if d.code == "E205")
    assert found.hint == "did you mean `temperature`?"
    assert found.span is not None
    assert found.span.source.name == "command line"
    assert "E211" in codes(program(text, None, ["temperature[1]=2"]).diagnostics)
    assert "E211" in codes(program(text, None, ['temperature="warm"']).diagnostics)
    assert "E204" in codes(program(text, "nothing").diagnostics)
    assert "E204" in codes(program(text, "").diagnostics)


@pytest.mark.parametrize(
    ("old", "new"),
    [("0.5", "cosine(1 -> 0)"), ("mlp(8, 4)", "relu"), ("relu", "none"), ("none", "mlp(8, 4)"),
     ("cosine(0 -> 1)", "3"), ("0.1..1", "0.2..1"), ("[1, 2]", "[3]")],
)  # fmt: skip
def test_overlays_that_keep_the_type(old: str, new: str) -> None:
    text = HEAD + f"param t = {old}\nhead g = linear(8)\nloss = mean(g(f(a)))\nuse_it = t\n"
    found = program(text.replace("loss = mean", "loss = 1 + mean"), None, [f"t={new}"])
    assert "E211" not in codes(found.diagnostics)


def test_batch_is_nominal_in_a_recipe_and_symbolic_in_expressions() -> None:
    text = HEAD + (
        "loss = mean(f(a)) * batch\n"
        "recipe default : laptop { batch = 64\n optimizer = sgd(lr = 0.1 * batch / 256) }\n"
    )
    found = program(text)
    assert found.spec.recipe is not None
    assert found.spec.recipe.optimizer.lr == pytest.approx(0.025)
    assert any(n.op == "size" for n in found.step.nodes)


def test_the_hash_covers_what_a_run_is_a_function_of_and_nothing_else() -> None:
    text = HEAD + "param t = 1\nloss = t * mean(f(a))\n"
    assert program(text).spec.hash == program(text + "# a comment\n\n").spec.hash
    assert program(text).spec.hash == program(text + "param unreached = 3\n").spec.hash
    assert program(text).spec.hash != program(text, None, ["t=2"]).spec.hash
    assert (
        program(text, None, ["t=2"]).spec.hash
        == program(text + "recipe r { t = 2 }\n", "r").spec.hash
    )


def test_a_function_of_the_spec_and_one_of_std_by_the_same_name_live_side_by_side() -> None:
    text = HEAD + (
        "fn dot(x, y) = mean(x * y)\nloss = dot(f(a), f(b)) + mean(cosine_similarity(f(a), f(b)))\n"
    )
    first = program(text)
    assert codes(first.diagnostics) == ["E208"]
    again = program(first.spec.text)
    assert again.step == first.step
    assert again.spec.hash == first.spec.hash


def test_what_only_a_replaced_right_side_names_is_kept_where_it_is_needed_elsewhere() -> None:
    text = HEAD + (
        "param u = 1\nparam t = u + 1\nloss = t * u * mean(f(a))\n"
        "recipe default : laptop { t = 3 }\n"
    )
    first = program(text)
    assert "param u = 1" in first.spec.text
    assert program(first.spec.text).step == first.step


def test_use_takes_names_from_a_file_beside_the_spec(tmp_path: Path) -> None:
    (tmp_path / "mine.ssl").write_text(
        "param scale = 2\nfn half(x) = x / scale\nfn dot(x, y) = sum(x * y)\n"
        "fn both(x) = dot(half(x), x)\n"
    )
    spec = tmp_path / "spec.ssl"
    spec.write_text(
        HEAD + 'use both, half from "mine.ssl"\nparam scale = 3\n'
        "loss = scale * both(f(a)) + mean(half(f(b)))\n"
    )
    first = build(resolve(load(read(spec))))
    assert not any(d.is_error for d in first.diagnostics)
    assert program(first.spec.text).step == first.step
    spec.write_text(HEAD + 'use hafl from "mine.ssl"\nloss = mean(f(a))\n')
    (found,) = (d for d in build(resolve(load(read(spec)))).diagnostics if d.is_error)
    assert (found.code, found.hint) == ("E201", "did you mean `half`?")


def test_a_file_that_is_used_often_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "mine.ssl").write_text("param scale = 2\nparam shift = 1\nparam scale = 3\n" * 300)
    spec = tmp_path / "spec.ssl"
    uses = (
        'use scale from "mine.ssl"\nuse shift from "./mine.ssl"\n' + 'use x from "mine.ssl"\n' * 99
    )
    spec.write_text(HEAD + uses + "loss = mean(f(a))\n")
    start = time.process_time()
    module = load(read(spec))
    assert time.process_time() - start < 2
    scale, shift = module.namespace.entries["scale"], module.namespace.entries["shift"]
    assert scale.home is shift.home
    twice = [d for d in module.diagnostics if d.code == "E202"]
    assert len(twice) == 599 + 299, "what is wrong in the file is told once"
    assert codes(module.diagnostics).count("E201") == 99


def test_use_reads_no_other_places(tmp_path: Path) -> None:
    spec = tmp_path / "spec.ssl"
    (tmp_path / "binary.ssl").write_bytes(b"\xff\xfe")
    for path, code in {
        "../x.ssl": "E206", "/etc/passwd": "E206", "spec.ssl": "E206", ".": "E206", "": "E206",
        "none.ssl": "E206", "a\0b": "E206", "binary.ssl": "E104",
    }.items():  # fmt: skip
        spec.write_text(HEAD + f'use x from "{path}"\nloss = mean(f(a))\n')
        assert codes(load(read(spec)).diagnostics) == [code], path


def test_use_within_use_is_not_compiled_yet(tmp_path: Path) -> None:
    (tmp_path / "one.ssl").write_text('use y from "two.ssl"\nparam x = 1\n')
    (tmp_path / "two.ssl").write_text('use x from "one.ssl"\nparam y = 1\n')
    spec = tmp_path / "spec.ssl"
    spec.write_text(HEAD + 'use x from "one.ssl"\nloss = x * mean(f(a))\n')
    assert codes(load(read(spec)).diagnostics) == ["E210"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    long = tmp_path / "long.ssl"
    long.write_bytes(b"#" * 5_000_000)
    text = tmp_path / "latin.ssl"
    text.write_bytes("# é".encode("latin1"))
    expected = {long: "E104", text: "E104", tmp_path: "E206", tmp_path / "no": "E206"}
    for path, code in expected.items():
        with pytest.raises(DiagnosticError) as caught:
            read(path)
        assert codes(caught.value.diagnostics) == [code]
    marked = tmp_path / "marked.ssl"
    marked.write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    assert read(marked).text == "a = 1\nb = 2\n"


def test_a_syntax_error_brings_no_errors_about_what_its_line_declares() -> None:
    found = program(HEAD + "param t = 1 1\nloss = t * mean(f(a)) $\nfeatures = f(a) * t\n")
    assert codes(found.diagnostics) == ["E101", "E102"]


def test_an_override_may_stand_inside_a_phase() -> None:
    text = (
        HEAD
        + "loss = mean(f(a))\nphase second { loss = mean(f(a)) * 2 }\nrecipe default : laptop {}\n"
    )
    found = program(text, None, ["second { length = 3 epochs }"])
    assert not any(d.is_error for d in found.diagnostics)
    lengths = [str(p.spec.recipe.length) for p in found.phases if p.spec.recipe is not None]
    assert lengths == ["12 epochs", "3 epochs"]
    assert "E205" in codes(program(text, None, ["third { length = 3 epochs }"]).diagnostics)
