"""A loss that is no number: the step, the op and the batch that made it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sslang.api import load_source
from sslang.diagnostics import Diagnostic, DiagnosticError, Source
from sslang.train import checkpoint, run
from sslang.train.finite import LossWatch
from sslang.train.not_a_number import kept_batch
from sslang.train.options import RunOptions
from tests.conftest import ROOT, TINY

HEAD = """\
method "example"
view a, b = random_resized_crop(16)
encoder f = resnet18(width = 0.125, stem = small)
z = f([a, b])
features = f(a)
"""
RECIPE = """
recipe default : laptop {
    batch     = 32
    length    = 1 epochs
    optimizer = adamw(lr = 1e-3)
    evaluate  = knn()
}
"""


def options(out: Path) -> RunOptions:
    return RunOptions(device="cpu", workers=0, out=out, tracking="off", quiet=True, save_every=0.0)


def gone_wrong(text: str, out: Path, *overrides: str) -> tuple[Diagnostic, Path]:
    """The finding about a run, and its folder."""
    program = load_source(Source("example.ssl", text), None, overrides)
    with pytest.raises(DiagnosticError) as error:
        run.run(program, options(out), text, "example")
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "E703"
    (folder,) = (out / "example").iterdir()
    return diagnostic, folder


def test_an_op_is_named_where_the_spec_says_it(tmp_path: Path) -> None:
    """The logarithm of 0, in the first step."""
    text = HEAD + (
        "p = softmax(z[a] @ z[b].T / 0.0001)\nloss = -log(take(p, arange(batch)))\n" + RECIPE
    )
    found, folder = gone_wrong(text, tmp_path)
    assert found.message == (
        "step 1: `log` in `log(take(p, arange(batch)))` is the first to give an infinite value"
    )
    assert found.span is not None and found.span.line == 7
    assert str(folder / "batch-00000001.pt") in found.hint
    loaded = checkpoint.load_latest(folder / "checkpoints")
    assert loaded is not None and loaded.step == 0


def test_the_part_of_a_net_is_named(tmp_path: Path) -> None:
    """A rate that makes parameters of 1e25, which the next step multiplies."""
    text = (ROOT / "specs/simclr.ssl").read_text()
    found, _ = gone_wrong(text, tmp_path, *TINY["simclr"], "optimizer=sgd(lr = 1e25)")
    assert found.message.startswith("step 2: the net `f`, in its part `0.")
    assert found.message.endswith("is the first to give nan")


def test_micro_batches_hide_nothing(tmp_path: Path) -> None:
    """The step is looked at in one piece, however it was computed."""
    text = (ROOT / "specs/mocov2.ssl").read_text()
    overrides = (*TINY["mocov2"], "optimizer=sgd(lr = 1e25)")
    program = load_source(Source("mocov2.ssl", text), None, overrides)
    messages = []
    for micro_batch in (None, 32):
        given = replace(options(tmp_path / f"{micro_batch}"), micro_batch=micro_batch)
        with pytest.raises(DiagnosticError) as error:
            run.run(program, given, text, "mocov2")
        messages.append(error.value.diagnostics[0].message)
    assert messages[0] == messages[1]
    assert messages[0].startswith("step 2: the net `f`, in its part `0.")


def test_a_gradient_is_named_where_the_loss_was_a_number(tmp_path: Path) -> None:
    """The root of 0 has an infinite slope; times 0 in the chain rule it is no number."""
    text = HEAD + (
        "u = l2_normalize(z)\n"
        "loss = nt_xent(u, 0.5) + mean(sqrt(relu(z[a] - 1000) * z[a]))\n" + RECIPE
    )
    found, folder = gone_wrong(text, tmp_path)
    assert found.message == (
        "step 1: the loss is a number, and the gradient of `sqrt` in "
        "`sqrt(relu(z[a] - 1000) * z[a])` is not"
    )
    loaded = checkpoint.load_latest(folder / "checkpoints")
    assert loaded is not None and loaded.step == 0, "a state with such parameters was saved"


def test_the_kept_batch_is_the_one_that_did_it(tmp_path: Path) -> None:
    from sslang.data.batches import Batches
    from sslang.train.data import open_data

    text = (ROOT / "specs/simclr.ssl").read_text()
    _, folder = gone_wrong(text, tmp_path, *TINY["simclr"], "optimizer=sgd(lr = 1e25)")
    kept = kept_batch(folder / "batch-00000002.pt")
    program = load_source(Source("example.ssl", text), None, TINY["simclr"])
    recipe = program.spec.recipe
    assert recipe is not None
    data = open_data(program)
    with Batches(
        data.train, recipe.batch, last_batch=recipe.last_batch, seed=0, phase=program.phase,
        device="cpu", workers=0, first_step=1,
    ) as batches:  # fmt: skip
        expected = next(batches)
    assert kept["step"] == 1
    assert torch.equal(kept["pixels"], expected.pixels)
    assert torch.equal(kept["index"], expected.index)
    assert torch.equal(kept["label"], expected.label)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_it_stands_where_memory_lacks_to_look_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def load(_: Path) -> None:
        raise error

    monkeypatch.setattr("sslang.train.not_a_number.checkpoint.load_latest", load)
    loss = "p = softmax(z[a] @ z[b].T / 0.0001)\nloss = -log(take(p, arange(batch)))\n"
    found, folder = gone_wrong(HEAD + loss + RECIPE, tmp_path)
    assert found.message == (
        "the loss of step 1 is not a number; there is no memory to repeat the steps before it and "
        "to find the op"
    )
    assert found.span is not None and found.span.line == 7
    monkeypatch.undo()
    assert checkpoint.load_latest(folder / "checkpoints") is not None


def test_the_op_is_named_where_the_batch_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("sslang.train.not_a_number.write_atomic", write)
    loss = "p = softmax(z[a] @ z[b].T / 0.0001)\nloss = -log(take(p, arange(batch)))\n"
    found, _ = gone_wrong(HEAD + loss + RECIPE, tmp_path)
    assert found.message.startswith("step 1: `log` in")
    assert "cannot be kept: memory ran out" in found.hint


def test_every_loss_is_looked_at() -> None:
    watch = LossWatch()
    for step, loss in enumerate((1.0, 2.0)):
        watch.note(step, torch.tensor(loss))
        assert watch.bad(wait=False) == 0
    watch.note(2, torch.tensor(float("inf")))
    watch.note(3, torch.tensor(float("nan")))
    assert watch.bad(wait=False) == 3
    watch.note(4, torch.tensor(0.0))
    assert watch.bad(wait=True) == 3, "the first stays the first"


@pytest.mark.gpu
def test_on_a_gpu_the_last_loss_waits_for_the_next_step() -> None:
    watch = LossWatch()
    watch.note(0, torch.tensor(float("nan"), device="cuda"))
    assert watch.bad(wait=False) == 0
    watch.note(1, torch.tensor(1.0, device="cuda"))
    assert watch.bad(wait=False) == 1
