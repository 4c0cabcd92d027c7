"""The tests for collapse on every spec, on other losses, and on broken ones."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from click.testing import CliRunner, Result

from sslang.api import load_source
from sslang.bench.collapse import Row, form_program, judged, rows, table
from sslang.bench.collapse_forms import FORMS, PREAMBLE, Form
from sslang.bench.collapse_papers import PAPERS
from sslang.cli.main import main
from sslang.diagnostics import Source
from sslang.evaluate import probe as probing
from sslang.evaluate.probe import CACHE, Verdict, computed, findings, probe, probe_numbers
from sslang.evaluate.probe_file import probe_file
from sslang.evaluate.probe_graph import Excerpt, excerpt, sharpening
from sslang.evaluate.probe_step import Machine
from sslang.evaluate.probe_trials import _end
from sslang.ir.program import Program
from tests.conftest import ROOT

# Rows without a net follow targets that have nothing to do with them; a net learns their mean.
MISSED = {("ARB", "the base of an older batch")}
SOFT = "no sharpening: the teacher's temperature is the student's"
# One form a kind: sound by T0 (with labels), by T1 (also of a changed file and of a paper) and by
# T2 (also with a bank); safe by asymmetry; broken by T0, T1 and T2; narrow; missed. All others are
# slow.
QUICK = {
    ("alignment and uniformity", ""), ("MoCo, negatives times 1e-4", ""),
    ("Barlow Twins, no eps", ""), ("supervised contrastive", ""), ("PIRL", ""),
    ("W-MSE (Ermolov et al., 2021)", ""), ("BYOL", ""), ("I-JEPA", ""), ("BYOL", "no predictor"),
    ("VICReg", "invariance alone"), ("alignment and uniformity", "sign of uniformity"),
    ("spectral contrastive", "attraction alone"), ("DINO", SOFT),
    ("regression", "rows differ in length alone"), *MISSED,
}  # fmt: skip
CONTRAST = "loss = info_nce_batch(l2_normalize(online(a)), l2_normalize(online(b)), 0.2)\n"
NO_VARIANCE = """
x = online(a)
y = online(b)
fn redundancy(z: [B, D]) = sum(off_diagonal((z - mean(z, axis = 0)).T @ z / B)**2)
loss = mean((x - y)**2) + redundancy(x) + redundancy(y)
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _verdicts(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for these tests, and not the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _verdicts: None) -> Path:
    """A cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sslang" / "collapse"


def program(body: str) -> Program:
    text = PREAMBLE.replace(" (labels = true)", "") + body
    return load_source(Source("form.ssl", text))


def form(method: str, broken: str = "") -> Form:
    return next(f for f in FORMS if (f.method, f.broken) == (method, broken))


def tried(found: Form) -> ParameterSet:
    marks = [] if (found.method, found.broken) in QUICK else [pytest.mark.slow]
    return pytest.param(found, id=f"{found.method}: {found.broken or 'as it is'}", marks=marks)


# --- verdicts ----------------------------------------------------------------------------


def test_every_spec_passes_or_rests_on_asymmetry(trained_spec: Path) -> None:
    spec = trained_spec
    source = Source(spec.name, spec.read_text())
    for phase in load_source(source).phases:
        verdict = probe(phase)
        expected = "note" if spec.stem in ("byol", "simsiam") else "pass"
        assert verdict.outcome == expected, verdict
        assert findings(phase, verdict) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "specs").glob("*.ssl")), ids=lambda p: p.stem)
def test_no_recipe_of_a_spec_gets_a_finding(path: Path) -> None:
    probed, found = probe_file(Source(path.name, path.read_text()))
    assert found == []
    assert {p.verdict.outcome for p in probed} <= {"pass", "note", "assumed"}


@pytest.mark.parametrize(
    "name",
    [
        "imix",
        "mae",
        "nnclr",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("barlow_twins", "densecl", "vicreg")
        ),
    ],
)
def test_the_examples_pass(name: str) -> None:
    path = ROOT / "examples" / f"{name}.ssl"
    assert probe(load_source(Source(path.name, path.read_text()))).outcome == "pass"


@pytest.mark.parametrize(
    "op",
    ["mixup(0..1)", *(pytest.param(op, marks=pytest.mark.slow) for op in ("cutmix", "mosaic"))],
)
def test_images_that_a_view_mixes_are_mixed_in_the_tables(op: str) -> None:
    """At so low a temperature rows that were not mixed cost more than a constant one."""
    text = (ROOT / "examples" / "imix.ssl").read_text().replace("mixup(share)", op)
    text = text.replace("temperature = 0.2", "temperature = 0.07")
    if op == "mosaic":
        body, rest = text.split("loss     =")
        text = f"{body}loss = -sum(a.weight[:, j] * take(scores, a.partner[:, j]) for j in 0..3)\n"
        text += f"features = f(b)\n{rest[rest.index('recipe default') :]}".split("# A box")[0]
    lines = [line for line in text.splitlines() if not line.startswith("param share")]
    verdict = probe(load_source(Source("imix.ssl", "\n".join(lines) + "\n")))
    assert (verdict.test, verdict.outcome) == ("T1", "pass"), verdict


@pytest.mark.parametrize(
    ("name", "recipe"),
    [("simsiam", "no_stop_grad"), pytest.param("dino", "no_centre", marks=pytest.mark.slow)],
)
def test_an_ablation_collapses_and_is_not_tried_where_that_is_meant(name: str, recipe: str) -> None:
    path = ROOT / "specs" / f"{name}.ssl"
    meant = load_source(Source(path.name, path.read_text()), recipe)
    assert probe(meant).outcome == "assumed"
    assert meant.spec.assumes[0][1] in probe(meant).reason
    verdict, numbers = judged(meant)
    assert (verdict.test, verdict.outcome) == ("T0", "error")
    assert numbers.outcome == "error"


@pytest.mark.parametrize("given", map(tried, (*FORMS, *PAPERS)))
def test_what_is_broken_is_found_and_what_is_sound_passes(given: Form) -> None:
    verdict = probe(form_program(given, ROOT))
    if (given.method, given.broken) in MISSED:
        assert verdict.outcome == "pass", "it is found now: take it out of MISSED"
        return
    expected = {"sound": "pass", "asymmetric": "note", "broken": "error", "narrow": "pass"}
    assert verdict.outcome == expected[given.truth]


@pytest.mark.slow
def test_numbers_agree_with_structure_on_what_is_broken() -> None:
    found = list(rows(ROOT))
    broken = [r for r in found if r.truth == "broken"]
    unseen = {(r.method, r.broken) for r in broken if r.numbers.outcome != "error"}
    assert unseen == MISSED
    assert {(r.method, r.broken) for r in found if not r.is_right} == MISSED


# --- what is said ------------------------------------------------------------------------


def test_an_error_names_what_sharpens_the_target() -> None:
    broken = form_program(form("DINO", SOFT), ROOT)
    verdict = probe(broken)
    assert "(t[v] - center) / teacher_tau" in verdict.reason
    (diagnostic,) = findings(broken, verdict)
    assert diagnostic.code == "E410"
    assert diagnostic.span is not None
    assert [label.span.text for label in diagnostic.labels] == ["(t[v] - center) / teacher_tau"]
    assert "assume no_collapse" in diagnostic.hint


def test_some_starts_that_stay_are_a_warning() -> None:
    contrast = program(CONTRAST)
    verdict = Verdict("T2", "warning", "from 2 of 6 collapsed points embeddings do not spread")
    (diagnostic,) = findings(contrast, verdict)
    assert (diagnostic.code, diagnostic.severity) == ("E411", "warning")
    assert sharpening(contrast) is None
    assert diagnostic.labels == ()


def test_no_diagnostic_for_what_the_check_says_already() -> None:
    broken = form_program(form("BYOL", "no predictor"), ROOT)
    assert findings(broken, probe(broken)) == []


def test_a_line_for_each_outcome() -> None:
    assert Verdict("T0", "note", "only asymmetry").line("pretrain") == (
        "pretrain: only asymmetry (T0)"
    )
    assert Verdict("T2", "error", "it attracts").line("late") == "late: error: it attracts (T2)"


def test_the_table_says_where_a_verdict_is_wrong() -> None:
    right = Row("A", "", "sound", Verdict("T1", "pass", "", {"spread": 0.5}),
                Verdict("T1", "pass", ""))  # fmt: skip
    wrong = replace(right, method="B", truth="broken")
    lines = table([right, wrong]).splitlines()
    assert lines[2] == "| A |  | T1 | pass | spread 0.5 | T1 pass |  |"
    assert lines[3].endswith("| it is broken |")
    assert lines[-1] == "1 broken: 1 pass"


# --- undecided ---------------------------------------------------------------------------


def test_a_loss_that_is_no_number_is_undecided() -> None:
    body = "x = online(a)\nloss = mean(sqrt(-1 - variance(x, axis = 0))) + mean(x @ x.T)\n"
    verdict = probe(program(body))
    assert verdict.outcome == "undecided"
    assert verdict.reason == "the loss is not a number near the collapsed point"


def test_a_loss_that_reads_pixels_is_not_computed() -> None:
    path = ROOT / "examples" / "mae.ssl"
    verdict = probe_numbers(load_source(Source(path.name, path.read_text())))
    assert verdict.outcome == "undecided"
    assert "`pixels`" in verdict.reason or "beside embeddings" in verdict.reason


def test_a_bank_that_is_written_beyond_its_rows_is_not_tried() -> None:
    path = ROOT / "specs" / "instdisc.ssl"
    text = path.read_text().replace("memory[index] <-", "memory[index + 1] <-")
    verdict = probe_numbers(load_source(Source(path.name, text)))
    assert verdict.outcome == "undecided"
    assert verdict.reason == "`memory` is written in rows that it does not have"


def test_a_loss_too_large_is_not_tried(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "LARGEST", 5)
    verdict = probe(program(CONTRAST))
    assert (verdict.outcome, "no more than 5" in verdict.reason) == ("undecided", True)
    assert len(list(cache.iterdir())) == 1


# --- the excerpt -------------------------------------------------------------------------


def cut(body: str) -> Excerpt:
    return excerpt(program(body))


def test_an_average_is_the_table_of_its_net_and_a_predictor_lies_beyond() -> None:
    found = excerpt(form_program(form("BYOL"), ROOT))
    tables = [(n.setting("table"), n.setting("cut")) for n in found.nodes if n.op == "table"]
    assert sorted(tables) == [("g", False), ("g", True)]
    assert sum(n.op == "predictor" for n in found.nodes) == 1
    assert found.has_cut


def test_the_key_is_about_the_computation_and_not_its_names() -> None:
    renamed = CONTRAST.replace("loss = ", "mine = ") + "loss = mine\n"
    assert cut(renamed).key == cut(CONTRAST).key
    assert cut(CONTRAST.replace("0.2", "0.1")).key != cut(CONTRAST).key


def test_sizes_are_small_but_where_slices_need_them() -> None:
    wide = PREAMBLE.replace("mlp(64, 32)", "mlp(64, 128)").replace(" (labels = true)", "")
    halves = "x = online(a)\nloss = mean(x[:, :64] @ x[:, 64:].T)\n"
    whole = "x = online(a)\nloss = mean(x @ x.T)\n"
    sizes = [
        Machine(excerpt(load_source(Source("form.ssl", wide + body)))).tables["g"]
        for body in (halves, whole)
    ]
    assert sizes == [(128,), (16,)]


# --- the cache ---------------------------------------------------------------------------


def test_a_verdict_is_computed_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = probe(program(CONTRAST))
    assert len(list(cache.iterdir())) == 1

    def never(loss: Excerpt) -> Verdict:
        raise AssertionError("computed again")

    monkeypatch.setattr(probing, "computed", never)
    assert probe(program(CONTRAST)) == first


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"test": "T9", "outcome": "pass", "reason": "", "figures": {}}',
     '{"test": "T1", "outcome": "pass", "reason": "", "figures": {"spread": "0"}}'],
)  # fmt: skip
def test_a_damaged_file_of_the_cache_is_computed_anew(content: str, cache: Path) -> None:
    verdict = probe(program(CONTRAST))
    (path,) = cache.glob("*.json")
    path.write_text(content)
    assert probe(program(CONTRAST)) == verdict
    assert json.loads(path.read_text())["outcome"] == "pass"


def test_a_cache_that_cannot_be_written_costs_time_alone(cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    assert probe(program(CONTRAST)).outcome == "pass"
    assert CACHE.read("any") is None


def test_a_user_without_a_home_has_no_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    CACHE.write("any", {"outcome": "pass"})
    assert CACHE.read("any") is None


def test_a_relative_folder_is_no_cache(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.chdir(tmp_path)
    CACHE.write("any", {"outcome": "pass"})
    assert CACHE.read("any") == {"outcome": "pass"}
    assert not (tmp_path / "here").exists()


def test_what_is_nested_too_deep_is_no_verdict(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "any.json").write_text("[" * 200_000)
    assert CACHE.read("any") is None


def test_the_same_loss_gives_the_same_verdict() -> None:
    loss = cut(CONTRAST)
    assert computed(loss) == computed(loss)


# --- the commands ------------------------------------------------------------------------


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def written(folder: Path, body: str) -> str:
    path = folder / "case.ssl"
    features = "features = f(a)\n"
    path.write_text(PREAMBLE.replace(" (labels = true)", "") + features + body)
    return str(path)


def test_check_prints_each_verdict_once(tmp_path: Path) -> None:
    body = CONTRAST + "recipe default : laptop {}\nrecipe longer : default { length = 9 epochs }\n"
    path = written(tmp_path, body)
    result = call("check", "--probe", path)
    assert result.exit_code == 0, result.output
    assert f"{path}: pretrain: a constant embedding has the loss" in result.stderr
    assert result.stderr.count("pretrain") == 1
    found = json.loads(call("check", "--probe", "--json", path).stdout)
    (verdict,) = found["collapse"]
    assert (verdict["test"], verdict["outcome"], verdict["recipes"]) == ("T1", "pass", [])


def test_check_fails_what_numbers_find(tmp_path: Path) -> None:
    path = written(tmp_path, NO_VARIANCE)
    assert call("check", path).exit_code == 0
    result = call("check", "--probe", path)
    assert result.exit_code == 1
    assert "E410" in result.stderr


def test_a_run_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    path = written(tmp_path, NO_VARIANCE + "recipe default : laptop {}\n")
    result = call("run", path, "--out", str(tmp_path / "runs"))
    assert result.exit_code == 1
    assert "E410" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_a_check_without_probe_needs_no_torch(tmp_path: Path) -> None:
    path = written(tmp_path, CONTRAST)
    code = f"import sys, sslang; sslang.check({path!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- what becomes of a start --------------------------------------------------------------


@pytest.mark.parametrize(
    ("spread", "expected"),
    [
        ([1.0, 2.5], "escapes"),
        ([1.0, 1.5], "open"),
        ([1.0, 1.03, 1.061], "escapes"),  # slow, at a rate that stays
        ([1.0, 1.3, 1.4], "open"),  # at a rate that falls
        ([1.0, 1.005, 1.0101], "open"),  # at next to none
        ([1.0, 1.2, 1.2001], "stays"),
        ([1.0, 0.0, 0.0], "stays"),
        ([1.0, 0.0, 1e-9], "open"),
        ([1.0, 0.9, float("nan")], "open"),
    ],
)
def test_steady_growth_is_an_escape_however_slow(spread: list[float], expected: str) -> None:
    assert _end(spread) == expected


def test_an_escape_too_slow_to_be_sure_of_is_a_warning() -> None:
    """Squares of negatives that change the spread by less than a hundredth in 400 steps."""
    slow = form("MoCo, squares of negatives times 2e-5")
    slow = replace(slow, body=slow.body.replace("2e-5", "4e-6"))
    found = form_program(slow, ROOT)
    verdict = probe(found)
    assert (verdict.test, verdict.outcome) == ("T2", "warning")
    assert verdict.reason.startswith("collapsed embeddings spread too slowly to be sure of: by 1.0")
    (diagnostic,) = findings(found, verdict)
    assert diagnostic.code == "E411"
