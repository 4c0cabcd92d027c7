"""What a learner decides of its own."""

from __future__ import annotations

import torch

from sslang.train.learner import Learner
from tests.train.split import IMAGES, learn, load

NARROW = ("backbone=resnet(depth=18, width=0.0625, stem=small, stages=2)", "size=12", "batch=32")


def test_narrow_nets_keep_a_memory_order_that_onednn_computes_rightly() -> None:
    """With channels last, the gradient of a strided 1x1 convolution of 4 channels was wrong, or
    the process crashed (AVX2, torch 2.14)."""
    narrow, wide = load("simclr", *NARROW), load("simclr", *NARROW, "backbone=resnet18()")
    assert not Learner(narrow, images=IMAGES).channels_last
    assert Learner(wide, images=IMAGES).channels_last
    found, exact = learn(narrow, dtype=torch.float32, steps=1), learn(narrow, steps=1)
    state, expected = found["state"]["method"], exact["state"]["method"]
    assert expected
    for name, value in expected.items():
        torch.testing.assert_close(
            state[name].double(), value.double(), rtol=1e-3, atol=1e-4, msg=name
        )
