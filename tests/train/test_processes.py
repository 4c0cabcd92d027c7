"""Whole runs on two real processes: one folder, one log, one end."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sslang.api import load_source
from sslang.diagnostics import Diagnostic, DiagnosticError, Source
from sslang.ir.program import Program
from sslang.processes.group import ALONE, Processes
from sslang.track.run_folder import RunFolder
from sslang.train import checkpoint, run
from sslang.train.learner import Learner
from sslang.train.options import RunOptions
from sslang.train.session import Outcome
from tests.conftest import ROOT, TINY
from tests.train.several import called

STOPPED_IN = 4
SPEC = (ROOT / "specs/mocov2.ssl").read_text()


def program(*overrides: str) -> Program:
    return load_source(Source("mocov2.ssl", SPEC), None, (*TINY["mocov2"], *overrides))


def options(out: Path, processes: Processes, **changes: object) -> RunOptions:
    given = {"device": "cpu", "workers": 0, "out": out, "tracking": "off", "quiet": True,
             "processes": processes, **changes}  # fmt: skip
    return RunOptions(**given)  # type: ignore[arg-type]


def begin(out: Path, processes: Processes, *overrides: str, shard: bool = False) -> Outcome:
    given = options(out, processes, save_every=0.0, shard=shard)
    return run.run(program(*overrides), given, SPEC, "mocov2")


def disturbed(processes: Processes, rank: int, disturb: Any) -> pytest.MonkeyPatch:
    """At one process, `disturb` is called in the fourth step."""
    patch, step = pytest.MonkeyPatch(), Learner.train_step

    def stepped(self: Learner, *given: Any, **named: Any) -> Any:
        if processes.rank == rank and self.step == STOPPED_IN - 1:
            disturb()
        return step(self, *given, **named)

    patch.setattr(Learner, "train_step", stepped)
    return patch


def of_runs(processes: Processes, folder: Path) -> dict[str, Any]:
    def told() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    patch = disturbed(processes, 1, told)
    stopped = begin(folder / "stopped", processes)
    patch.undo()
    finished = run.resume(stopped.folder, program(), options(folder / "stopped", processes))
    failed, where = [], begin_badly(folder / "nan", processes)
    try:
        with pytest.MonkeyPatch.context() as patch:
            refuse_image(patch, processes)
            begin(folder / "data", processes)
    except DiagnosticError as error:
        failed = [d.code for d in error.diagnostics]
    return {
        "stopped": [stopped.finished, stopped.exit_code, str(stopped.folder.path)],
        "finished": [finished.finished, finished.exit_code, finished.results],
        "nan": where,
        "failed": failed,
    }


def of_sharded_runs(processes: Processes, folder: Path) -> dict[str, Any]:
    """Stopped, and gone on with, by processes that hold the nets together."""

    def told() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    patch = disturbed(processes, 1, told)
    stopped = begin(folder / "stopped", processes, shard=True)
    patch.undo()
    files = sorted(p.name for p in stopped.folder.checkpoints.glob("*.pt"))
    given = options(folder / "stopped", processes, shard=True)
    finished = run.resume(stopped.folder, program(), given)
    return {
        "stopped": [stopped.finished, stopped.exit_code],
        "files": files,
        "finished": [finished.finished, finished.exit_code, finished.results],
    }


def of_fitting(processes: Processes, folder: Path) -> list[int | None]:
    """The rows at a time that memory takes, of processes that hold the nets together."""
    found = []
    for name, room in (("dino", 2**40), ("dino", 0), ("dino", 2**22), ("mocov2", 0)):
        path = ROOT / f"specs/{name}.ssl"
        source = Source(path.name, path.read_text())
        given = options(folder, processes, shard=True, micro_batch="auto")
        with pytest.MonkeyPatch.context() as patch:
            # one process has less room than the others
            own = room >> processes.rank
            patch.setattr("sslang.train.memory.available", lambda _, own=own: own)
            learner = run.prepare(load_source(source, None, TINY[name]), given)[1]
        assert learner.shares_nets
        found.append(learner.micro_batch)
    return found


def of_bad_sharded_runs(processes: Processes, folder: Path) -> dict[str, list[str]]:
    """What is said of a loss that is no number, whether memory has room to look for it or not."""
    found = {"found": begin_badly(folder / "found", processes, shard=True)}
    for name, rank, refused in (
        ("no room", 0, refuse_room), ("not handed over", 1, refuse_to_hand_over),
        ("not put together", 0, refuse_to_build),
    ):  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            if processes.rank == rank:
                refused(patch)
            found[name] = begin_badly(folder / name, processes, shard=True)
    return found


def refuse_room(patch: pytest.MonkeyPatch) -> None:
    """This process has little memory."""
    patch.setattr("sslang.train.not_a_number.available", lambda _: 2**10)


def refuse_to_hand_over(patch: pytest.MonkeyPatch) -> None:
    """This process has no memory to write what it holds beside its checkpoints."""
    save = checkpoint.save

    def saved(folder: Path, *given: Any, **named: Any) -> Path:
        if folder.name != "checkpoints":
            raise MemoryError
        return save(folder, *given, **named)

    patch.setattr(checkpoint, "save", saved)


def refuse_to_build(patch: pytest.MonkeyPatch) -> None:
    """This process has no memory for the nets in one piece."""

    def built(program: Program, *given: Any, processes: Processes, **named: Any) -> Learner:
        if processes.alone:
            raise torch.OutOfMemoryError("out of memory")
        return Learner(program, *given, processes=processes, **named)

    patch.setattr("sslang.train.building.Learner", built)


def begin_badly(out: Path, processes: Processes, *, shard: bool = False) -> list[str]:
    try:
        begin(out, processes, "optimizer=sgd(lr = 1e25)", shard=shard)
    except DiagnosticError as error:
        return [f"{d.code}: {d.message}" for d in error.diagnostics]
    return []


def refuse_image(patch: pytest.MonkeyPatch, processes: Processes) -> None:
    """The second process cannot read its share of the third step."""
    from sslang.data.batches import Batches

    following = Batches.__next__

    def refused(self: Batches) -> Any:
        if processes.rank == 1 and self.step == 2:
            raise DiagnosticError(Diagnostic("E605", "gone"))
        return following(self)

    patch.setattr(Batches, "__next__", refused)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def found(folder: Path) -> list[Any]:
    return called(2, of_runs, folder)


def lines(folder: RunFolder) -> list[tuple[int, dict[str, float]]]:
    """The log without what depends on the clock, rounding or the accuracy of few images."""
    shown = ("train/", "health/", "eval/embedding", "eval/effective")
    return [
        (row.step, {k: v for k, v in row.metrics.items() if k.startswith(shown)})
        for row in folder.metrics()
    ]


def test_a_signal_at_one_stops_all_after_the_same_step(found: list[Any]) -> None:
    for each in found:
        assert each["stopped"] == [False, 75, found[0]["stopped"][2]]
        assert each["finished"] == [True, 0, found[0]["finished"][2]]


@pytest.fixture(scope="module")
def alone(folder: Path) -> RunFolder:
    return begin(folder / "alone", ALONE).folder


def test_there_is_one_folder_and_one_log(found: list[Any], folder: Path, alone: RunFolder) -> None:
    """It is that of a run on one process, but for rounding."""
    (path,) = (folder / "stopped" / "mocov2").iterdir()
    ours = RunFolder(path)
    assert (ours.status(), ours.record().exit_code) == ("FINISHED", 0)
    text = ours.log_path.read_text()
    assert text.count(f"goes on from step {STOPPED_IN}") == 1
    assert text.count("steps of 64 on 2 processes, cpu") == 2
    assert_alike(ours, alone)


def assert_alike(ours: RunFolder, alone: RunFolder) -> None:
    assert len(lines(ours)) == len(lines(alone)) > 2
    for (step, mine), (other, expected) in zip(lines(ours), lines(alone), strict=True):
        assert step == other
        assert mine == pytest.approx(expected, rel=1e-3)
    assert {p.name for p in ours.artifacts.iterdir()} == {p.name for p in alone.artifacts.iterdir()}


def test_processes_that_hold_the_nets_together(tmp_path: Path, alone: RunFolder) -> None:
    """The same log, checkpoints in two parts, and an encoder that is whole."""
    found = called(2, of_sharded_runs, tmp_path)
    for each in found:
        assert each["stopped"] == [False, 75]
        assert each["finished"] == [True, 0, found[0]["finished"][2]]
        assert f"step-{STOPPED_IN:08}.part-2-of-2.pt" in each["files"]
    (path,) = (tmp_path / "stopped" / "mocov2").iterdir()
    assert_alike(RunFolder(path), alone)
    mine, expected = (
        load_file(folder.artifacts / "encoder" / "model.safetensors")
        for folder in (RunFolder(path), alone)
    )
    assert {k: v.shape for k, v in mine.items()} == {k: v.shape for k, v in expected.items()}
    assert torch.allclose(mine["conv1.weight"], expected["conv1.weight"], rtol=1e-3, atol=1e-4)


def test_micro_batches_that_fit_processes_with_shared_nets(tmp_path: Path) -> None:
    """Measured by all together; all take what the one with the least room takes."""
    first, second = called(2, of_fitting, tmp_path)
    everything, least, some, groups = first
    assert first == second
    assert (everything, least, groups) == (None, 1, None)
    assert some is not None and 1 < some < 32, first


def test_what_goes_wrong_at_one_ends_all(found: list[Any]) -> None:
    assert [each["failed"] for each in found] == [["E721"], ["E605"]]


def test_all_say_the_same_of_a_loss_that_is_no_number(found: list[Any], folder: Path) -> None:
    (first,), (second,) = (each["nan"] for each in found)
    assert first == second
    assert first.startswith("E703: step 2: the net `f`, in its part `0.")
    assert len(list((folder / "nan" / "mocov2").glob("*/batch-00000002.pt"))) == 1


@pytest.mark.slow  # the same kind as with whole nets, above
def test_where_a_number_goes_wrong_in_nets_that_are_shared(tmp_path: Path) -> None:
    """The op is found, or all say why it is not; nothing is left of the search."""
    first, second = called(2, of_bad_sharded_runs, tmp_path)
    assert first == second
    (found,), (room,), (kept,), (apart,) = first.values()
    assert found.startswith("E703: step 2: the net `f`, in its part `0.")
    unfound = "E703: step 2: the loss is not a number; the op that made it cannot be looked for: "
    assert room == f"{unfound}the first process has no memory for what all hold together"
    assert kept == f"{unfound}writing the state ran out of memory"
    assert apart == f"{unfound}building the nets ran out of memory on cpu (out of memory)"
    folders = list(tmp_path.glob("*/mocov2/*"))
    assert len(folders) == 4
    for folder in folders:
        assert (folder / "batch-00000002.pt").exists()
        assert not (folder / "looked-at").exists()


def test_another_number_of_processes_goes_on(found: list[Any], folder: Path) -> None:
    """What two began, one finishes: the checkpoint does not know how many there were."""
    (path,) = (folder / "data" / "mocov2").iterdir()
    outcome = run.resume(RunFolder(path), program(), options(folder / "data", ALONE))
    assert outcome.finished
    expected = json.loads(json.dumps(found[0]["finished"][2]))
    for name in ("eval/embedding_std", "eval/effective_rank"):
        assert outcome.results[name] == pytest.approx(expected[name], rel=1e-3)
