"""A learner's state, taken and given back."""

from __future__ import annotations

import numpy as np
import torch

from sslang.bench.equality import largest_difference
from sslang.train.learner import Learner
from tests.train.split import IMAGES, TINY, load


def step(learner: Learner, number: int) -> None:
    random = np.random.default_rng(number)
    images = random.integers(0, 256, (learner.recipe.batch, 3, 16, 16), dtype=np.uint8)
    learner.train_step(torch.from_numpy(images))


WIDE = (
    "backbone=resnet(depth=18, width=0.25, stem=small, stages=2)"  # wide enough for channels last
)


def learner(channels_last: bool) -> Learner:
    program = load("simclr", *TINY, WIDE, "batch=8", "optimizer=adamw(lr = 1e-3)")
    return Learner(program, images=IMAGES, dtype=torch.float64, channels_last=channels_last)


def test_momentum_goes_on_in_another_layout_of_memory() -> None:
    """torch's fused AdamW mixes up elements where momentum and parameter have other strides."""
    began = learner(channels_last=False)
    step(began, 0)
    state = began.state_dict()
    images_last = learner(channels_last=True)
    images_last.load_state_dict(state)
    weight = images_last.method.get_parameter("nets.f.0.conv1.weight")
    momentum = images_last.optimizer.state[weight]["exp_avg"]
    assert weight.stride() == momentum.stride() != weight.contiguous().stride()
    step(began, 1)
    step(images_last, 1)
    difference, where = largest_difference(began.state_dict(), images_last.state_dict())
    assert difference < 1e-9, where
