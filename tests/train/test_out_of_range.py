"""An index that a step computes, and that names no row."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sslang.diagnostics import DiagnosticError
from sslang.train.learner import Learner
from sslang.train.out_of_range import naming_index
from tests.train.split import IMAGES, TINY, load


def test_it_is_a_diagnostic_at_the_loss() -> None:
    program = load("instdisc", *TINY, "batch=4", "negatives=8")
    learner = Learner(program, images=IMAGES)
    images = torch.from_numpy(np.zeros((4, 3, 16, 16), dtype=np.uint8))
    with pytest.raises(DiagnosticError) as caught, naming_index(learner):
        learner.train_step(images, index=torch.tensor([0, 1, 2, IMAGES]))
    (found,) = caught.value.diagnostics
    assert found.code == "E729"
    assert found.message.startswith("step 1 reads or writes a row that is not there")
    assert found.span is not None and found.span == program.spans["loss"]
