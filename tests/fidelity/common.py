"""What the fidelity tests share: learners of small specs, and plain PyTorch to hold them against.

The reference side imports nothing of sslang's emission: its nets and optimizers are written from
the papers, it only starts from the learner's weights and sees the learner's views.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sslang.diagnostics import Source
from sslang.ir.build import build
from sslang.ir.program import Program
from sslang.model.resolve import load, read, resolve
from sslang.passes import PIPELINE, Pass
from sslang.syntax import tree
from sslang.syntax.parser import parse_expression
from sslang.train.learner import Learner

SPECS = Path(__file__).parents[2] / "specs"
TOLERANCE = 1e-9

torch.set_num_threads(1)


# --- learners ------------------------------------------------------------------------------


def binding(text: str) -> tree.Binding:
    """An override as on the command line, `name = expression`."""
    name, _, value = text.partition("=")
    parsed = parse_expression(Source("command line", f"{name.strip()}={value.strip()}"))
    found = parsed[0] if isinstance(parsed, tuple) else parsed
    assert isinstance(found, tree.Binding), text
    return found


def program_of(
    spec: str | Source, recipe: str | None = None, overrides: Sequence[str] = ()
) -> Program:
    """A spec by the name of its file, or its source, built without errors."""
    source = spec if isinstance(spec, Source) else read(SPECS / f"{spec}.ssl")
    program = build(resolve(load(source), recipe, [binding(o) for o in overrides]))
    errors = [d for d in program.diagnostics if d.code.startswith("E2") is False and d.is_error]
    assert not errors, errors
    return program


def learner_of(
    spec: str | Source,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    *,
    images: int,
    seed: int = 0,
    passes: tuple[Pass, ...] = PIPELINE,
) -> Learner:
    program = program_of(spec, recipe, overrides)
    return Learner(program, images=images, seed=seed, dtype=torch.float64, passes=passes)


def pixels(batch: int, step: int, size: int = 24) -> Tensor:
    """Smooth random pictures, uint8 [batch, 3, size, size]."""
    generator = torch.Generator().manual_seed(step)
    coarse = torch.rand(batch, 3, 5, 5, generator=generator)
    fine = nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    return (fine.clamp(0, 1) * 255).to(torch.uint8)


def sizes_of(images: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.tile(np.array(images.shape[-2:], dtype=np.int64), (len(images), 1))
