"""Checkpoints that are written beside the training."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch

from sslang.diagnostics import DiagnosticError
from sslang.train import checkpoint
from sslang.train.writer import CheckpointWriter, HostCopy


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Saving begins only when the event is set."""
    go = threading.Event()
    save = checkpoint.save

    def later(folder: Path, step: int, payload: dict[str, object], part: checkpoint.Part) -> Path:
        assert go.wait(30)
        return save(folder, step, payload, part=part)

    monkeypatch.setattr(checkpoint, "save", later)
    return go


def test_what_is_saved_is_the_state_at_the_call(tmp_path: Path, slow: threading.Event) -> None:
    """The loop goes on and changes the tensors while the file is being written."""
    writer, weight = CheckpointWriter(tmp_path), torch.zeros(1000)
    writer.save(1, {"weight": weight, "list": [weight[:10]]})
    assert writer.busy
    weight.fill_(7.0)
    slow.set()
    writer.wait()
    assert not writer.busy
    loaded = checkpoint.load_latest(tmp_path)
    assert loaded is not None and loaded.step == 1
    assert torch.equal(loaded.payload["weight"], torch.zeros(1000))
    assert torch.equal(loaded.payload["list"][0], torch.zeros(10))
    writer.close()


def test_a_second_save_waits_for_the_first(tmp_path: Path) -> None:
    writer = CheckpointWriter(tmp_path)
    for step in range(1, 6):
        writer.save(step, {"step": torch.tensor(step)})
    writer.wait()
    names = sorted(path.name for path in tmp_path.glob("*.pt"))
    assert names == ["step-00000004.pt", "step-00000005.pt"]
    writer.close()


def test_an_error_is_raised_at_the_next_call(tmp_path: Path, slow: threading.Event) -> None:
    (tmp_path / "file").write_text("in the way")
    writer = CheckpointWriter(tmp_path / "file")
    writer.save(1, {"a": torch.ones(1)})
    writer.check()  # nothing yet: it is still being written
    slow.set()
    while writer.busy:
        time.sleep(0.01)
    with pytest.raises(DiagnosticError, match="E713"):
        writer.check()
    writer.check()  # told once
    writer.close()


def test_what_is_no_plain_value_is_refused_when_the_save_ends(tmp_path: Path) -> None:
    writer = CheckpointWriter(tmp_path)
    writer.save(1, {"a": {1, 2}})
    with pytest.raises(TypeError, match="plain values"):
        writer.wait()
    writer.close()


def test_a_tensor_under_two_names_is_saved_once() -> None:
    tied = torch.arange(6.0).reshape(2, 3)
    copy = HostCopy().of(
        {"a": tied, "b": tied.detach(), "c": tied.t(), "d": torch.nn.Parameter(tied)}
    )
    assert copy["a"] is copy["b"] is copy["d"]
    assert copy["a"].data_ptr() != tied.data_ptr()
    assert torch.equal(copy["c"], tied.t())
    assert not copy["d"].requires_grad


def test_the_memory_format_stays() -> None:
    images = torch.zeros(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert HostCopy().of([images])[0].stride() == images.stride()


def test_memory_of_the_host_is_taken_again() -> None:
    host, weight = HostCopy(), torch.zeros(100)
    first = host.of({"w": weight, "gone": torch.ones(3)})["w"]
    weight.fill_(2.0)
    second = host.of({"w": weight})["w"]
    assert second.data_ptr() == first.data_ptr() != weight.data_ptr()
    assert torch.equal(second, weight)
