"""A spec run with no passes agrees with the same spec under the whole pipeline.

Passes on the step are compared on the same views; those of kornia differ from ours in float32.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

import sslang
from sslang.passes import PIPELINE, Pass
from sslang.train.learner import Learner, StepReport
from tests.conftest import TINY
from tests.fidelity.test_methods import images

ON_THE_STEP = tuple(p for p in PIPELINE if p.name != "fuse_views")
(FUSE,) = set(PIPELINE) - set(ON_THE_STEP)


@cache
def trained(
    path: Path, passes: tuple[Pass, ...], *, channels_last: bool = False
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """The losses and the state after four steps in float64, computed once for all tests."""
    program = sslang.load(path, None, TINY[path.stem])
    learner = Learner(
        program,
        images=640,
        classes=10,
        seed=1,
        dtype=torch.float64,
        passes=passes,
        channels_last=channels_last,
    )
    losses = [stepped(learner, step).loss for step in range(4)]
    return losses, learner.method.state_dict()


def stepped(learner: Learner, step: int) -> StepReport:
    """One step on 64 images, which are images 64 t .. 64 t + 63 of the set, of ten classes."""
    index = torch.arange(64 * step, 64 * step + 64)
    return learner.train_step(images(64, step), index=index, label=index % 10)


def differ(
    first: tuple[list[torch.Tensor], dict[str, torch.Tensor]],
    second: tuple[list[torch.Tensor], dict[str, torch.Tensor]],
) -> float:
    """The largest difference, against the size of what differs."""
    pairs = list(zip(first[0], second[0], strict=True))
    pairs += [(v, second[1][k]) for k, v in first[1].items()]
    return max(
        float((a.double() - b.double()).abs().max()) / max(1.0, float(b.double().abs().max()))
        for a, b in pairs
    )


def test_the_pipeline_keeps_results_to_rounding(trained_spec: Path) -> None:
    assert differ(trained(trained_spec, (FUSE,)), trained(trained_spec, PIPELINE)) < 1e-9


@pytest.mark.parametrize("step", ON_THE_STEP, ids=lambda p: p.name)
def test_a_pass_that_keeps_bits_keeps_them(trained_spec: Path, step: Pass) -> None:
    found = differ(trained(trained_spec, (FUSE,)), trained(trained_spec, (step, FUSE)))
    assert found < 1e-9
    assert step.keeps == "rounding" or found == 0.0


def test_kornias_views_and_ours_give_the_same_loss(trained_spec: Path) -> None:
    """Views are float32: of a step's first loss in float64 six digits are the same."""
    (by_kornia, *_), (ours, *_) = (trained(trained_spec, p)[0] for p in ((), (FUSE,)))
    assert float((by_kornia - ours).abs()) <= 1e-5 * max(1.0, float(ours.abs()))


def test_the_memory_format_changes_nothing_but_rounding(trained_spec: Path) -> None:
    plain = trained(trained_spec, PIPELINE)
    assert differ(plain, trained(trained_spec, PIPELINE, channels_last=True)) < 1e-9
