"""Runs from start to end: the record they leave, repetition, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import sslang
from sslang.diagnostics import DiagnosticError
from sslang.ir.program import Program
from sslang.track import run_folder
from sslang.train import checkpoint, described, phase, run
from sslang.train.data import read_listings
from sslang.train.evaluation import Evaluation, Evaluator
from sslang.train.learner import Learner
from sslang.train.options import RunOptions
from sslang.train.session import Outcome, Position, Session
from tests.conftest import ROOT, TINY


def options(out: Path, **changes: object) -> RunOptions:
    given = {"device": "cpu", "workers": 0, "out": out, "tracking": "off", "quiet": True, **changes}
    return RunOptions(**given)  # type: ignore[arg-type]


def lines(folder: Path) -> list[dict[str, float]]:
    """metrics.jsonl without what depends on the clock."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if not k.startswith("time")} for row in rows]


def start(name: str, out: Path, *more: str, save_every: float = 60.0) -> list[str]:
    return [
        sys.executable, "-m", "sslang.cli", "run", f"specs/{name}.ssl", *TINY[name], *more,
        "--device", "cpu", "--tracking", "off", "--out", str(out), "--save-every", str(save_every),
    ]  # fmt: skip


def final_state(folder: Path) -> dict[str, torch.Tensor]:
    loaded = checkpoint.load_latest(folder / "checkpoints")
    assert loaded is not None
    state: dict[str, torch.Tensor] = loaded.payload["learner"]["method"]
    return state


def test_a_run_leaves_its_record(trained_spec: Path, tmp_path: Path) -> None:
    spec = trained_spec
    program = sslang.load(spec, None, TINY[spec.stem])
    outcome = run.run(program, options(tmp_path), spec.read_text(), spec.stem)
    folder = outcome.folder
    assert outcome.finished
    assert folder.status() == "FINISHED"
    rows = lines(folder.path)
    measured = ("knn_top1", "effective_rank", "embedding_std")
    assert rows[0].keys() == {"step", *(f"eval/{name}" for name in measured)}
    assert rows[0]["step"] == 0, "the curve begins with what the net is as initialised"
    assert rows[1]["step"] == 10
    wanted = {"train/loss", "train/lr", "health/embedding_std", "health/effective_rank"}
    assert wanted <= rows[1].keys()
    assert rows[-1]["step"] == 12 * len(program.phases)
    _, reached = (row["eval/knn_top1"] for row in rows if "eval/knn_top1" in row)
    assert 0 < reached < 1
    record = folder.record()
    (result,) = (r for r in record.results if r.metric == "eval/knn_top1")
    assert (result.initial, result.value) == (rows[0]["eval/knn_top1"], reached)
    assert result.gain == pytest.approx(reached - result.initial)
    assert result.pixels is not None
    assert record.label == described.run_name(program, options(tmp_path), spec.stem, 1)
    assert f"{reached:.3f}" in record.description
    assert {one.context.partition(" ")[0] for one in record.inputs} == {"training", "evaluation"}
    assert folder.resolved_path.read_text() == program.spec.text
    names = {p.name for p in folder.artifacts.iterdir()}
    wanted = {"spec.ssl", "resolved.ssl", "ir.txt", "generated.py", "graph.svg", "views.png",
              "loss.png", "evaluation.json"}  # fmt: skip
    assert wanted <= names
    assert {"map", "neighbours", "views"} <= {path.name for path in folder.images.iterdir()}
    assert all((e / "example.npz").is_file() for e in folder.embedders.iterdir())
    encoders = sorted(name for name in names if name.startswith("encoder"))
    expected = {"cmc": ["encoder_f_ab", "encoder_f_l"],
                "simclrv2": ["encoder", "encoder_distill", "encoder_finetune"]}  # fmt: skip
    assert encoders == expected.get(spec.stem, ["encoder"])
    assert all((folder.artifacts / e / "model.safetensors").is_file() for e in encoders)
    record = json.loads((folder.artifacts / "evaluation.json").read_text())["eval/knn_top1"]
    hits = record["hits"]
    assert hits.count("1") / len(hits) == pytest.approx(reached)


def test_the_same_seed_gives_the_same_lines_for_any_number_of_workers(tmp_path: Path) -> None:
    images = tmp_path / "images"
    _write_images(images, 80)
    overrides = (*TINY["simclr"], f'data=image_folder("{images}")', "batch=16", "length=11 steps")
    found = []
    for workers in (0, 2, 2):
        program = sslang.load(ROOT / "specs/simclr.ssl", None, overrides)
        outcome = run.run(program, options(tmp_path / "runs", workers=workers), "", "simclr")
        found.append(lines(outcome.folder.path))
    assert found[0] == found[1] == found[2]
    assert any("train/loss" in row for row in found[0])
    program = sslang.load(ROOT / "specs/simclr.ssl", None, overrides)
    other = run.run(program, options(tmp_path / "runs", seed=1), "", "simclr")
    assert lines(other.folder.path) != found[0]


def _write_images(folder: Path, count: int) -> None:
    from PIL import Image

    from sslang.emit import draws

    key = draws.stream_key(0, "test images")
    for i in range(count):
        height, width = 20 + i % 7, 24 - i % 5
        pixels = draws.uniform(key, i, height, width * 3).reshape(height, width, 3)
        place = folder / f"class{i % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 255).astype("uint8")).save(place / f"{i}.png")


def test_unreadable_images_are_named_in_the_log(tmp_path: Path) -> None:
    images = tmp_path / "images"
    _write_images(images, 80)
    (images / "class0" / "broken.png").write_bytes(b"no picture")
    overrides = (*TINY["simclr"], f'data=image_folder("{images}")', "batch=16", "length=2 steps")
    program = sslang.load(ROOT / "specs/simclr.ssl", None, overrides)
    outcome = run.run(program, options(tmp_path / "runs"), "", "simclr")
    assert "broken.png" in outcome.folder.log_path.read_text()


@pytest.mark.parametrize("name", ["mocov2", pytest.param("byol", marks=pytest.mark.slow)])
def test_a_killed_run_resumes_to_the_same_bits(name: str, tmp_path: Path) -> None:
    whole = subprocess.run(start(name, tmp_path / "whole", "length=40 steps"), cwd=ROOT,
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen(
        start(name, tmp_path / "killed", "length=40 steps", save_every=0.0), cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    folder = _wait_for_step(tmp_path / "killed" / name, 5, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = subprocess.run(
        [sys.executable, "-m", "sslang.cli", "run", "--resume", str(folder)], cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads((folder / "run.json").read_text())["recipe"] == "default"
    (other,) = (tmp_path / "whole" / name).iterdir()
    expected, found = final_state(other), final_state(folder)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[k], found[k]) for k in expected)
    assert lines(folder) == lines(other)


def _wait_for_step(runs: Path, step: int, process: subprocess.Popen[bytes]) -> Path:
    for _ in range(600):
        assert process.poll() is None, "the run ended before it was killed"
        found = sorted(runs.glob("*/checkpoints/step-*.pt"))
        if found and int(found[-1].stem.removeprefix("step-")) >= step:
            return found[-1].parent.parent
        time.sleep(0.05)
    raise AssertionError("no checkpoint appeared")


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    process = subprocess.Popen(
        start("simclr", tmp_path, "length=100000 steps", save_every=0.0), cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    folder = _wait_for_step(tmp_path / "simclr", 3, process)  # type: ignore[arg-type]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"sslang run --resume {folder}" in said
    assert "Traceback" not in said
    assert json.loads((folder / "run.json").read_text())["status"] == "KILLED"


def test_sigterm_asks_to_be_run_again(tmp_path: Path) -> None:
    process = subprocess.Popen(
        start("simclr", tmp_path, "length=100000 steps", save_every=0.0), cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _wait_for_step(tmp_path / "simclr", 1, process)
    process.terminate()
    assert process.wait(timeout=60) == 75


@pytest.mark.parametrize(
    "moment", [pytest.param("at the start", marks=pytest.mark.slow), "at the end"]
)
def test_a_signal_during_an_evaluation_ends_the_run_at_once(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks to be run again, and the same command goes on by itself where there is a state."""
    program = sslang.load(ROOT / "specs/simclr.ssl", None, TINY["simclr"])
    evaluate = phase.evaluate

    def asked(learner: Learner, evaluator: Evaluator) -> Evaluation:
        if learner.step == (0 if moment == "at the start" else learner.total_steps):
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(learner, evaluator)

    with monkeypatch.context() as patch:
        patch.setattr(phase, "evaluate", asked)
        stopped = run.run(program, options(tmp_path), "", "simclr")
    record = stopped.folder.record()
    assert (stopped.finished, stopped.exit_code) == (False, 75)
    assert (record.status, record.exit_code) == ("KILLED", 75)
    again = run.begin_or_go_on(program, options(tmp_path), "", "simclr")
    assert again.finished
    assert again.folder.record().exit_code == 0
    assert (again.folder == stopped.folder) == (moment == "at the end")
    whole = run.run(program, options(tmp_path), "", "simclr")
    assert lines(again.folder.path) == lines(whole.folder.path)


def test_a_resumed_run_goes_by_its_own_list_of_files(tmp_path: Path) -> None:
    """A file that has gone shifts no other; a new one is none of its images."""
    images = tmp_path / "images"
    _write_images(images, 80)
    overrides = (*TINY["simclr"], f'data=image_folder("{images}")', "batch=16", "length=9 steps")
    program = sslang.load(ROOT / "specs/simclr.ssl", None, overrides)
    stopped = _stopped_after(program, 3, tmp_path / "runs")
    _, before = run.prepare(program, options(tmp_path))
    (images / "class0" / "0.png").unlink()
    (images / "class0" / "new.png").write_bytes((images / "class1" / "1.png").read_bytes())
    listed = read_listings(stopped.folder, program.phase)
    data, learner = run.prepare(program, options(tmp_path), None, listed)
    assert learner.method.dims == before.method.dims
    assert [Path(s.path).name for s in data.train.skipped] == ["0.png"]
    assert run.resume(stopped.folder, program, options(tmp_path / "runs")).finished
    text = stopped.folder.log_path.read_text()
    assert "0.png (gone); 1 so far" in text
    assert "goes on from step 3" in text
    for i in range(2, 20, 2):
        (images / "class0" / f"{i}.png").unlink()
    with pytest.raises(DiagnosticError, match="E605"):
        run.resume(stopped.folder, program, options(tmp_path / "runs"))


def _stopped_after(program: Program, step: int, out: Path) -> Outcome:
    """A run that is asked to stop in its step `step`, and its folder."""
    train_step = Learner.train_step

    def asked(self: Learner, *given: object, **named: object) -> object:
        if self.step == step - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(self, *given, **named)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "train_step", asked)
        return run.run(program, options(out), "", "simclr")


def test_resume_refuses_other_data(tmp_path: Path) -> None:
    program = sslang.load(ROOT / "specs/simclr.ssl", None, TINY["simclr"])
    outcome = _stopped_after(program, 3, tmp_path)
    data = outcome.folder.record().data
    assert data.keys() == {program.phase}
    outcome.folder.update(data={program.phase: "that of another version"})
    with pytest.raises(DiagnosticError, match="E727"):
        run.resume(outcome.folder, program, options(tmp_path))
    outcome.folder.update(data=data)
    assert run.resume(outcome.folder, program, options(tmp_path)).finished


def test_resume_refuses_another_spec(tmp_path: Path) -> None:
    program = sslang.load(ROOT / "specs/simclr.ssl", None, TINY["simclr"])
    outcome = run.run(program, options(tmp_path), "", "simclr")
    other = sslang.load(ROOT / "specs/simclr.ssl", None, (*TINY["simclr"], "temperature=0.3"))
    with pytest.raises(DiagnosticError, match="E702"):
        run.resume(outcome.folder, other, options(tmp_path))


def test_images_that_vanish_in_mid_run_are_passed_over(tmp_path: Path) -> None:
    images = tmp_path / "images"
    _write_images(images, 80)
    overrides = (*TINY["simclr"], f'data=image_folder("{images}")', "batch=16", "length=8 steps")
    program = sslang.load(ROOT / "specs/simclr.ssl", None, overrides)
    data, learner = run.prepare(program, options(tmp_path / "runs"))
    for i in (4, 5):
        (images / f"class{i % 2}" / f"{i}.png").unlink()
    folder = run_folder.create(tmp_path / "runs", "simclr")
    for path in (folder.spec_path, folder.resolved_path):
        path.write_text(program.spec.text)
    session = Session(folder, program, options(tmp_path / "runs"), run.prepare)
    assert session.run(Position(0, 0, {}, None), data, learner).finished
    text = folder.log_path.read_text()
    assert "4.png (No such file or directory); 1 so far" in text
    assert "5.png (No such file or directory); 2 so far" in text


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path: Path) -> None:
    overrides = (*TINY["simclr"], "optimizer=sgd(lr = 1e25)")
    program = sslang.load(ROOT / "specs/simclr.ssl", None, overrides)
    with pytest.raises(DiagnosticError, match="E703"):
        run.run(program, options(tmp_path), "", "simclr")
    (folder,) = (tmp_path / "simclr").iterdir()
    assert json.loads((folder / "run.json").read_text())["status"] == "FAILED"


def test_no_checkpoint_is_made_after_the_loss_went_wrong(tmp_path: Path) -> None:
    """Saving falls due at every step, logging at every tenth: the save must look by itself."""
    program = sslang.load(
        ROOT / "specs/simclr.ssl", None, (*TINY["simclr"], "optimizer=sgd(lr = 1e25)")
    )
    with pytest.raises(DiagnosticError, match="E703"):
        run.run(program, options(tmp_path, save_every=0.0), "", "simclr")
    (folder,) = (tmp_path / "simclr").iterdir()
    loaded = checkpoint.load_latest(folder / "checkpoints")
    assert loaded is not None
    assert loaded.step < 10
    assert torch.isfinite(torch.tensor(loaded.payload["interval"]["total"]))


def test_dry_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sslang.train.dry_run import dry_run

    program = sslang.load(ROOT / "specs/mocov3_vit.ssl", None, TINY["mocov3_vit"])
    monkeypatch.chdir(tmp_path)
    report = dry_run(program, options(tmp_path))
    assert report.steps == 12
    assert report.frozen == 2
    assert "momentum of target" in report.schedules
    assert list(tmp_path.iterdir()) == []
