"""Views by kornia in a split step: the same images bit for bit, the same loss and state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sslang.api import load_source
from sslang.bench.equality import in_processes, largest_difference
from sslang.data.batches import Batches
from sslang.diagnostics import Source
from sslang.emit.method import Method
from sslang.emit.split.step import _Run
from sslang.ir.program import Program
from sslang.passes import PIPELINE, Pass
from sslang.processes.group import ALONE, Processes
from sslang.train.data import open_data
from tests.train.split import learn

NETS = """\
encoder f = vit(patch = 4, width = 16, depth = 1, heads = 2, position = learned)
head g = mlp(16, 8, norm = none)
z = (f | g | l2_normalize)([a, b])
features = f(a)
assume no_collapse "only the split matters here"
recipe default {
    data = embedded()
    batch = 9
    length = 2 epochs
    optimizer = sgd(lr = 0.03, momentum = 0.9)
}
"""
KORNIA = """\
method "mixed"
view a = random_resized_crop(12) | some_of(2, [rotation(30), equalize, gaussian_blur | hue(0.1), \
rain(5..9, height = 2..4, width = -2..2)]) | mixup @ 0.8 | gaussian_noise(0.1)
view b = random_resized_crop(12) | rand_augment | elastic_transform(9, sigma = 1) @ 0.5 \
| mosaic @ 0.3 | cutmix @ 0.5
loss = -mean((1 - a.weight) * dot(z[a], z[b]) + a.weight * dot(z[a], z[b][a.partner])) \
+ 0.1 * mean(b.cutmix.weight * dot(z[b], z[b][b.cutmix.partner]))
"""
OURS = """\
method "ours"
view a, b = random_resized_crop(12) | horizontal_flip @ 0.5 \
| color_jitter(0.4, 0.4, 0.2, 0.1) @ 0.8 | grayscale @ 0.2 | gaussian_blur @ 0.5 | solarize @ 0.2 \
| normalize([0.5, 0.5, 0.5], [0.2, 0.2, 0.2])
loss = -mean(dot(z[a], stop_grad(z[b])))
"""
SPECS: dict[str, tuple[str, tuple[Pass, ...]]] = {
    "kornia": (KORNIA, PIPELINE),
    "ours by kornia": (OURS, ()),
    "ours": (OURS, PIPELINE),
}
Views = dict[tuple[int, str, int], Tensor]  # of a step, by the name of the view and the row


def program(name: str) -> Program:
    return load_source(Source("split.ssl", SPECS[name][0] + NETS), None, ())


@contextmanager
def seen() -> Iterator[Views]:
    """The views that steps make within."""
    found: Views = {}
    patch = pytest.MonkeyPatch()
    whole, part = Method.views, _Run._views

    def note(step: int, names: Any, first: int, views: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        for name, view in zip(names, views, strict=True):
            for row, image in enumerate(view):
                found[step, name, first + row] = image.clone()
        return views

    def of_whole(self: Method, images: Tensor, sizes: Any, step: int) -> tuple[Tensor, ...]:
        return note(step, self.view_code.views, 0, whole(self, images, sizes, step))

    def of_part(self: _Run, stage: Any, at: Any) -> tuple[Tensor, ...]:
        return note(int(self.clock.step), stage.views.views, at.start, part(self, stage, at))

    patch.setattr(Method, "views", of_whole)
    patch.setattr(_Run, "_views", of_part)
    try:
        yield found
    finally:
        patch.undo()


def learned(
    name: str, processes: Processes = ALONE, micro_batch: int | None = None
) -> tuple[dict[str, Any], Views]:
    with seen() as views:
        found = learn(
            program(name), processes, micro_batch, dtype=torch.float32, passes=SPECS[name][1]
        )
    return found, views


def expect_same(found: tuple[Any, Views], whole: tuple[Any, Views], rows: int) -> None:
    """The same images, of `rows` rows a view and step, and the same numbers."""
    assert len(found[1]) == 3 * 2 * rows
    for at, image in found[1].items():
        assert torch.equal(image, whole[1][at]), at
    difference, where = largest_difference(whole[0], found[0])
    assert difference < 1e-6, where


@pytest.mark.parametrize("name", SPECS)
def test_micro_batches_make_the_same_views(name: str) -> None:
    whole = learned(name)
    assert len(whole[1]) == 3 * 2 * 9
    expect_same(learned(name, micro_batch=4), whole, 9)  # 4, 4 and 1


def test_two_processes_make_the_same_views(tmp_path: Path) -> None:
    in_processes(2, _learned, tmp_path)
    for name in SPECS:
        whole = learned(name)
        rows = []
        for rank in range(2):
            found = torch.load(tmp_path / f"{name}-{rank}.pt", weights_only=True)
            rows.append(len(found[1]) // 6)
            expect_same(found, whole, rows[-1])
        assert sum(rows) == 9 and min(rows) > 0


def _learned(processes: Processes, folder: Path) -> None:
    for name in SPECS:
        torch.save(learned(name, processes), folder / f"{name}-{processes.rank}.pt")


def test_workers_of_the_loader_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batch of views, of images that the loader reads one by one."""
    monkeypatch.setattr("sslang.data.batches.RESIDENT_BYTES", 0)
    spec = program("kornia")
    method, source = Method(spec, 0), open_data(spec).train
    made = []
    for workers in (0, 2):
        with Batches(source, 9, last_batch="drop", seed=0, phase=spec.phase, device="cpu",
                     workers=workers) as batches:  # fmt: skip
            batch = next(batches)
        made.append(method.views(batch.pixels, np.asarray(batch.sizes), 0))
    for one, other in zip(*made, strict=True):
        assert torch.equal(one, other)
