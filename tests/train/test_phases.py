"""Runs of several phases: SimCLR v2's three, interrupted, resumed, begun late."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

import sslang
from sslang.api import load_source
from sslang.cli.main import main
from sslang.diagnostics import DiagnosticError, Source
from sslang.ir.program import Program
from sslang.track.run_folder import RunFolder, list_runs
from sslang.train import checkpoint, run
from sslang.train.learner import Learner, StepReport
from sslang.train.options import RunOptions
from sslang.train.session import Outcome
from tests.conftest import ROOT

STEPS = 8  # of each phase
PHASES = ("pretrain", "finetune", "distill")
TEXT = (
    (ROOT / "specs" / "simclrv2.ssl").read_text("utf-8")
    + f"""
recipe small : default {{
    backbone       = resnet18(width = 0.125)
    small_backbone = resnet18(width = 0.125)
    size           = 16
    hidden         = 16
    dim            = 8
    memory         = 96
    momentum       = 0.9
    batch          = 32
    length         = {STEPS} steps
    optimizer      = adamw(lr = cosine(1e-2 -> 0))
    evaluate       = knn()
    loss           = 2 * nt_xent_memory(z, negatives, temperature)
    finetune {{ optimizer = adamw(lr = cosine(1e-2 -> 0)) }}
}}
"""
)


def program_of(text: str = TEXT) -> Program:
    return load_source(Source("simclrv2.ssl", text), "small")


def options(out: Path, **changes: object) -> RunOptions:
    given = {"device": "cpu", "workers": 0, "out": out, "tracking": "off", "quiet": True, **changes}
    return RunOptions(**given)  # type: ignore[arg-type]


def begin(
    out: Path, phase: str | None = None, begun: RunFolder | None = None, **more: object
) -> Outcome:
    return run.run(
        program_of(), options(out, **more), TEXT, "simclrv2",
        phase=phase, begun=begun,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run of all three phases that nothing interrupts."""
    return begin(tmp_path_factory.mktemp("whole"))


def lines(folder: RunFolder, *prefixes: str) -> list[dict[str, float]]:
    """metrics.jsonl without what depends on the clock; of phases with these prefixes, if any."""
    rows = [json.loads(line) for line in folder.metrics_path.read_text().splitlines()]
    kept = [{k: v for k, v in row.items() if k != "time" and "time/" not in k} for row in rows]
    if not prefixes:
        return kept
    return [row for row in kept if any(k.startswith(prefixes) for k in row)]


def learner_state(folder: RunFolder) -> dict[str, Tensor]:
    """Everything in a run's last checkpoint: its phase's nets and states, and the optimizer."""
    loaded = checkpoint.load_latest(folder.checkpoints)
    assert loaded is not None
    state = dict(loaded.payload["learner"]["method"])
    for number, slots in loaded.payload["learner"]["optimizer"]["state"].items():
        state |= {f"{number}/{k}": torch.as_tensor(v) for k, v in slots.items()}
    return state


def nets_after(folder: RunFolder, phase: str) -> dict[str, Tensor]:
    loaded = checkpoint.load_latest(folder.phases / phase)
    assert loaded is not None
    nets: dict[str, Tensor] = loaded.payload["nets"]
    return nets


def expect_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


# --- a whole run -----------------------------------------------------------------------------


def test_a_run_trains_its_phases_in_order(whole: Outcome) -> None:
    """Steps go on through the phases; later ones have names of their own in the log."""
    assert whole.finished and whole.folder.status() == "FINISHED"
    rows = lines(whole.folder)
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)
    last = {
        prefix: max(row["step"] for row in rows if f"{prefix}train/loss" in row)
        for prefix in ("", "finetune/", "distill/")
    }
    assert last == {"": STEPS, "finetune/": 2 * STEPS, "distill/": 3 * STEPS}
    assert {"eval/accuracy", "eval/accuracy_at_init"} <= whole.results.keys()
    assert "eval/knn_top1" not in whole.results  # the last phase's
    assert any("eval/knn_top1" in row for row in rows)
    assert any("finetune/eval/accuracy" in row for row in rows)


def test_nets_live_on_to_the_bit(whole: Outcome) -> None:
    """What a phase does not train is in the next one's nets as it was."""
    first, second, third = (nets_after(whole.folder, phase) for phase in PHASES)
    assert {k.partition(".")[0] for k in first} == {"f", "g", "target"}
    assert {k.partition(".")[0] for k in second.keys() - first.keys()} == {"classifier"}
    later = ("g.3.", "g.4.", "g.6.", "g.7.", "target.")
    for name, value in first.items():
        if "num_batches" not in name:
            assert torch.equal(second[name], value) == name.startswith(later), name
    for name, value in second.items():  # the teacher
        assert torch.equal(third[name], value), name
    new = {k.partition(".")[0] for k in third.keys() - second.keys()}
    assert new == {"student", "readout"}


def test_each_phase_leaves_what_it_was(whole: Outcome) -> None:
    """A generated text, an encoder and an evaluation for each phase."""
    names = {p.name for p in whole.folder.artifacts.iterdir()}
    for phase in PHASES[1:]:
        assert any(phase in name and name.startswith("encoder") for name in names), phase
        assert any(phase in name and name.startswith("evaluation") for name in names), phase
        assert any(phase in name and name.startswith("generated") for name in names), phase


def test_what_a_later_phase_cannot_do_is_told_before_the_first(tmp_path: Path) -> None:
    """A warm-up longer than the phase, which the size of the labelled set decides."""
    text = TEXT.replace(
        "finetune { optimizer = adamw(lr = cosine(1e-2 -> 0)) }",
        "finetune { optimizer = adamw(lr = cosine(1e-2 -> 0, warmup = 1 epochs)) }",
    )
    with pytest.raises(DiagnosticError, match="E504"):
        run.run(program_of(text), options(tmp_path), text, "simclrv2")
    assert not list_runs(tmp_path)


# --- interrupted -----------------------------------------------------------------------------


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """Where to stop: `phase`, `step` (done before), `how` (a signal, or an error like a crash)."""
    where: dict[str, object] = {}
    original = Learner.train_step

    def step(self: Learner, *given: object, **named: object) -> StepReport:
        if (self.program.phase, self.step) == (where.get("phase"), where.get("step")):
            if where["how"] == "crash":
                raise ConnectionError("the test pulls the plug")
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Learner, "train_step", step)
    return where


@pytest.mark.parametrize(
    ("phase", "step", "how"),
    [
        ("finetune", 3, "crash"),
        pytest.param("finetune", 5, "signal", marks=pytest.mark.slow),
        pytest.param("distill", 2, "crash", marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_phase_resumes_to_the_same_bits(
    phase: str, step: int, how: str, whole: Outcome, stopping: dict[str, object], tmp_path: Path
) -> None:
    """Of nets, states and optimizer, and in every line of the log."""
    stopping.update(phase=phase, step=step, how=how)
    if how == "crash":
        with pytest.raises(ConnectionError):
            begin(tmp_path, save_every=0.0)
        (folder,) = list_runs(tmp_path)
    else:
        outcome = begin(tmp_path)
        folder = outcome.folder
        assert not outcome.finished and outcome.exit_code == 75
        assert folder.status() == "KILLED"
    loaded = checkpoint.load_latest(folder.checkpoints)
    assert loaded is not None and loaded.payload["phase"] == phase
    stopping.clear()
    resumed = run.resume(folder, sslang.load(folder.resolved_path), options(tmp_path))
    assert resumed.finished and resumed.results == whole.results
    assert folder.status() == "FINISHED"
    expect_same(learner_state(folder), learner_state(whole.folder))
    for name in PHASES:
        expect_same(nets_after(folder, name), nets_after(whole.folder, name))
    assert lines(folder) == lines(whole.folder)


def test_a_run_that_crashes_in_a_phases_first_step_goes_on_with_it(
    whole: Outcome, stopping: dict[str, object], tmp_path: Path
) -> None:
    """Its state at step 0 is saved before the first step, so the phase before is done with."""
    stopping.update(phase="finetune", step=0, how="crash")
    with pytest.raises(ConnectionError):
        begin(tmp_path, save_every=0.0)
    (folder,) = list_runs(tmp_path)
    stopping.clear()
    assert run.resume(folder, sslang.load(folder.resolved_path), options(tmp_path)).finished
    expect_same(learner_state(folder), learner_state(whole.folder))
    assert lines(folder) == lines(whole.folder)


# --- begun late ------------------------------------------------------------------------------


def test_a_late_phase_begins_with_the_nets_of_a_run(whole: Outcome, tmp_path: Path) -> None:
    """`--phase finetune --from RUN`: the same nets, draws and batches, so the same bits."""
    late = begin(tmp_path, "finetune", whole.folder)
    assert late.finished and late.results == whole.results
    expect_same(learner_state(late.folder), learner_state(whole.folder))
    for phase in PHASES[1:]:
        expect_same(nets_after(late.folder, phase), nets_after(whole.folder, phase))
    assert not (late.folder.phases / "pretrain").exists()
    ours, theirs = (lines(f, "finetune/", "distill/") for f in (late.folder, whole.folder))
    assert [{**row, "step": row["step"] + STEPS} for row in ours] == theirs
    last = begin(tmp_path, "distill", whole.folder)
    expect_same(learner_state(last.folder), learner_state(whole.folder))


def test_a_late_phase_without_a_run_begins_with_first_weights(
    whole: Outcome, tmp_path: Path
) -> None:
    late = begin(tmp_path, "finetune")
    assert late.finished
    ours, theirs = (nets_after(f, "finetune") for f in (late.folder, whole.folder))
    assert any(not torch.equal(ours[k], theirs[k]) for k in ours if k.startswith("f."))


def test_a_late_run_that_is_interrupted_resumes_to_the_same_bits(
    whole: Outcome, stopping: dict[str, object], tmp_path: Path
) -> None:
    stopping.update(phase="distill", step=4, how="signal")
    late = begin(tmp_path, "finetune", whole.folder)
    assert not late.finished
    stopping.clear()
    resumed = run.resume(late.folder, sslang.load(late.folder.resolved_path), options(tmp_path))
    assert resumed.finished
    expect_same(learner_state(late.folder), learner_state(whole.folder))


def test_a_phase_that_a_run_has_not_finished_is_refused(
    stopping: dict[str, object], tmp_path: Path
) -> None:
    stopping.update(phase="finetune", step=2, how="signal")
    part = begin(tmp_path)
    stopping.clear()
    with pytest.raises(DiagnosticError, match="E701"):
        begin(tmp_path, "distill", part.folder)
    with pytest.raises(DiagnosticError, match="E204"):
        begin(tmp_path, "fintune", part.folder)


# --- the command line ------------------------------------------------------------------------


def call(out: Path, *more: str) -> Result:
    spec = out / "simclrv2.ssl"
    spec.write_text(TEXT, "utf-8")
    given = ("--recipe", "small", "--device", "cpu", "--workers", "0", "--tracking", "off")
    return CliRunner().invoke(
        main, ["run", str(spec), *given, "--quiet", "--out", str(out / "runs"), *more]
    )


def test_the_command_line_begins_late(whole: Outcome, tmp_path: Path) -> None:
    result = call(tmp_path, "--phase", "distill", "--from", str(whole.folder.path))
    assert result.exit_code == 0, result.output
    (folder,) = list_runs(tmp_path / "runs")
    expect_same(learner_state(folder), learner_state(whole.folder))


def test_the_command_line_refuses_what_makes_no_sense(whole: Outcome, tmp_path: Path) -> None:
    result = call(tmp_path, "--from", str(whole.folder.path))
    assert result.exit_code == 2 and "--phase" in result.output
    result = call(tmp_path, "--phase", "fintune", "--from", str(whole.folder.path))
    assert result.exit_code == 1 and "E204" in result.output and "finetune" in result.output
    result = call(tmp_path, "--phase", "finetune", "--from", str(tmp_path / "no-run"))
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert not list_runs(tmp_path / "runs")
