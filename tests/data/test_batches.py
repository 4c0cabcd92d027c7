from __future__ import annotations

import os
import signal
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sslang.data.batches import Batch, Batches, all_images
from sslang.data.files import FileSource, image_folder
from sslang.data.plan import LastBatch, Plan
from sslang.data.source import ArraySource
from sslang.diagnostics import DiagnosticError


def array_source(count: int = 10) -> ArraySource:
    values = np.arange(count, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(values, (count, 4, 6, 3)).copy()
    return ArraySource("array", images, list(range(count)), None)


def folder(tmp_path: Path, count: int = 10) -> Path:
    for i in range(count):
        Image.new("RGB", (4 + i, 9 - i % 4), (i, i, i)).save(tmp_path / f"{i:02}.png")
    return tmp_path


def batches(source: ArraySource | FileSource, batch: int = 4, **options: object) -> Batches:
    settings: dict[str, object] = {
        "last_batch": "drop", "seed": 1, "phase": "train", "device": "cpu", "workers": 0,
    } | options  # fmt: skip
    return Batches(source, batch, **settings)  # type: ignore[arg-type]


def same(a: Batch, b: Batch) -> bool:
    return (
        torch.equal(a.pixels, b.pixels)
        and np.array_equal(a.sizes, b.sizes)
        and torch.equal(a.index, b.index)
        and torch.equal(a.label, b.label)
        and a.epoch == b.epoch
    )


@pytest.mark.parametrize(
    ("last", "steps", "lengths"),
    [("drop", 2, [4, 4, 4, 4]), ("keep", 3, [4, 4, 2, 4]), ("wrap", 3, [4, 4, 4, 4])],
)
def test_last_batch(last: LastBatch, steps: int, lengths: list[int]) -> None:
    made = batches(array_source(), last_batch=last)
    assert made.steps_per_epoch == steps
    got = list(islice(made, 4))
    assert [len(b.index) for b in got] == lengths
    assert [b.epoch for b in got] == [t // steps for t in range(4)]
    first = torch.cat([b.index for b in got if b.epoch == 0])
    assert len(first.unique()) == min(10, len(first))
    if last == "wrap":
        assert torch.equal(got[2].index[2:], got[3].index[:2]), "filled from the next epoch"


def test_wrap_with_fewer_images_than_a_batch() -> None:
    rows = Plan(3, 8, "wrap", seed=0, phase="train").rows(0)
    assert len(rows) == 8
    assert np.bincount(rows).max() <= 3


def test_a_step_is_a_function_of_seed_phase_and_step() -> None:
    whole = list(islice(batches(array_source()), 7))
    resumed = list(islice(batches(array_source(), first_step=4), 3))
    assert all(same(a, b) for a, b in zip(whole[4:], resumed, strict=True))
    assert not torch.equal(whole[0].index, whole[2].index), "epochs differ"
    for other in ({"seed": 2}, {"phase": "second"}):
        assert not torch.equal(next(batches(array_source(), **other)).index, whole[0].index)


def test_memory_source_gives_pixels_and_labels() -> None:
    batch = next(batches(array_source()))
    assert batch.pixels.shape == (4, 3, 4, 6)
    assert batch.pixels.dtype == torch.uint8
    assert batch.pixels.is_contiguous()
    assert torch.equal(batch.pixels[:, 0, 0, 0].long(), batch.index)
    assert torch.equal(batch.label, batch.index)
    assert batch.sizes.tolist() == [[4, 6]] * 4


def test_images_of_other_sizes_are_padded_at_the_bottom_and_right(tmp_path: Path) -> None:
    source = image_folder("train", path=str(folder(tmp_path)))
    batch = next(batches(source))
    assert batch.pixels.shape[2:] == tuple(batch.sizes.max(axis=0))
    for row, i in enumerate(batch.index.tolist()):
        height, width = batch.sizes[row]
        assert (height, width) == (9 - i % 4, 4 + i)
        assert (batch.pixels[row, :, :height, :width] == i).all()
        assert batch.pixels[row].sum() == 3 * i * height * width


def test_any_number_of_workers_gives_the_same_batches(tmp_path: Path) -> None:
    path = str(folder(tmp_path))
    before = torch.random.get_rng_state()
    by_workers = []
    for workers in (0, 1, 2):
        with batches(image_folder("train", path=path), workers=workers, first_step=1) as made:
            by_workers.append(list(islice(made, 5)))
            assert made.wait_seconds > 0
            assert made.step == 6
    for other in by_workers[1:]:
        assert all(same(a, b) for a, b in zip(by_workers[0], other, strict=True))
    assert torch.equal(before, torch.random.get_rng_state()), "the global stream moved"


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_images_are_replaced_and_counted(tmp_path: Path, workers: int) -> None:
    path = folder(tmp_path)
    for name in ("03.png", "04.png"):
        whole = (path / name).read_bytes()
        (path / name).write_bytes(whole[: whole.index(b"IDAT") + 8])
    source = image_folder("train", path=str(path))
    with batches(source, batch=10, workers=workers) as made:
        for batch in islice(made, 3):
            assert sorted(batch.index.tolist()) == [0, 1, 2, 5, 5, 5, 6, 7, 8, 9]
            assert batch.pixels[:, 0, 0, 0].tolist() == batch.index.tolist()
    assert sorted(Path(s.path).name for s in source.skipped) == ["03.png", "04.png"]


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_damaged_images_end_the_run(tmp_path: Path, workers: int) -> None:
    path = folder(tmp_path)
    for i in range(5):
        whole = (path / f"{i:02}.png").read_bytes()
        (path / f"{i:02}.png").write_bytes(whole[: whole.index(b"IDAT") + 8])
    made = batches(image_folder("train", path=str(path)), batch=10, workers=workers)
    with made, pytest.raises(DiagnosticError) as error:
        next(made)
    assert error.value.diagnostics[0].code == "E605"


class DyingSource(FileSource):
    """Kills its process when it reads image 5, as often as there are files in `fuses`."""

    fuses: Path

    def read_readable(self, i: int) -> tuple[NDArray[np.uint8], int]:
        fuse = next(self.fuses.iterdir(), None) if i == 5 else None
        if fuse is not None:
            fuse.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read_readable(i)


def dying(tmp_path: Path, deaths: int) -> DyingSource:
    images, fuses = tmp_path / "images", tmp_path / "fuses"
    images.mkdir()
    fuses.mkdir()
    names = sorted(p.name for p in folder(images).iterdir())
    for i in range(deaths):
        (fuses / str(i)).touch()
    source = DyingSource("dying", images, names, [-1] * 10, None, limit=None)
    source.fuses = fuses
    return source


def test_a_dead_worker_is_replaced_once(tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGCHLD)
    with batches(dying(tmp_path, deaths=1), workers=1) as made:
        got = list(islice(made, 5))
    assert signal.getsignal(signal.SIGCHLD) == handler
    expected = islice(batches(image_folder("train", path=str(tmp_path / "images"))), 5)
    assert all(same(a, b) for a, b in zip(got, expected, strict=True))


def test_a_second_death_is_a_diagnostic(tmp_path: Path) -> None:
    made = batches(dying(tmp_path, deaths=5), workers=1)
    with made, pytest.raises(DiagnosticError, match="died at step") as error:
        list(islice(made, 5))
    assert error.value.diagnostics[0].code == "E606"


@pytest.mark.parametrize("workers", [0, 2])
def test_all_images_in_order(tmp_path: Path, workers: int) -> None:
    for source in (array_source(), image_folder("train", path=str(folder(tmp_path)))):
        got = list(all_images(source, 4, "cpu", workers))
        assert torch.cat([b.index for b in got]).tolist() == list(range(10))
        assert [len(b.index) for b in got] == [4, 4, 2]
        assert all(b.epoch == 0 for b in got)


def test_too_few_images() -> None:
    with pytest.raises(DiagnosticError, match="10 images, fewer than one batch of 11") as error:
        batches(array_source(), batch=11)
    assert error.value.diagnostics[0].code == "E602"
    empty = ArraySource("empty", np.zeros((0, 4, 4, 3), dtype=np.uint8), None, None)
    with pytest.raises(DiagnosticError, match="no images"):
        batches(empty, last_batch="wrap")
    assert list(all_images(empty, 4, "cpu")) == []
