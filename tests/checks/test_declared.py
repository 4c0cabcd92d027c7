"""What is known of data before they are read, beside the data."""

from __future__ import annotations

import pytest

from sslang.api import load_source
from sslang.checks.declared import epoch, images, number, side
from sslang.data.embedded import embedded
from sslang.diagnostics import Source
from sslang.ir.program import Program
from sslang.types.dims import linear

SPEC = """method "x"{labels}
view a, b = random_resized_crop(32)
encoder f = resnet18(width = 0.25, stem = small)
loss = {loss}
batch = 100
length = 10 epochs
optimizer = sgd(lr = 0.1)
data = {data}
"""


def program(data: str, loss: str = "info_nce_batch(f(a), f(b), 0.1)", labels: str = "") -> Program:
    return load_source(Source("x.ssl", SPEC.format(data=data, loss=loss, labels=labels)))


def test_the_embedded_images_are_as_declared() -> None:
    found = program("embedded()")
    train = embedded("train")
    assert images(found) == len(train)
    assert (side(found), side(found)) == train.resolution
    labelled = program("embedded()", "label_cross_entropy(f(a) + f(b), label)", " (labels = true)")
    assert images(labelled) == len(embedded("train", unlabeled=False))


@pytest.mark.parametrize(
    ("data", "count", "pixels"),
    [
        ("cifar10()", 50_000, 32),
        ("cifar100(images = 1000)", 1000, 32),
        ("stl10()", 105_000, 96),
        ("stl10(unlabeled = false)", 5000, 96),
        ("fashion_mnist()", 60_000, 28),
        ('imagenet("data")', 1_281_167, None),
        ('image_folder("data")', None, None),
    ],
)
def test_data_sets(data: str, count: int | None, pixels: int | None) -> None:
    found = program(data)
    assert images(found) == count
    assert side(found) == pixels
    assert epoch(found) == (None if count is None else count // 100)
    assert number(found, linear(1, {"batch": 2})) == 201
    assert number(found, linear(0, {"dataset": 1})) == count
