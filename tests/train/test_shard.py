"""Nets whose parameters the processes hold together: the same steps, and a part of the memory."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributed.fsdp import FSDPModule

from sslang.api import load_source
from sslang.bench.equality import largest_difference
from sslang.diagnostics import Source
from sslang.emit.sharding import SHARD_BYTES
from sslang.ir.program import Program
from sslang.processes.group import ALONE, Processes
from sslang.processes.shards import Piece, replaced, rows_of
from sslang.train import checkpoint
from sslang.train.learner import Learner
from sslang.train.memory import held
from sslang.train.pretrained import pretrained_weights
from tests.train.several import in_processes
from tests.train.split import IMAGES, TINY, learn, load

VIT = "backbone=vit(patch = 4, width = 24, depth = 2, heads = 2, position = learned)"
LARS = "optimizer=lars(lr = 0.3, momentum = 0.9, weight_decay = 1e-4)"
# name: spec, overrides, micro-batch
CASES: dict[str, tuple[str, tuple[str, ...], int | None]] = {
    "simclr": ("simclr", (*TINY, "batch=12"), None),
    "simclr, lars": ("simclr", (*TINY, "batch=12", LARS), None),
    "byol": ("byol", (*TINY, "batch=12"), None),
    "mocov2": ("mocov2", (*TINY, "batch=96", "memory=192"), None),
    "swav": ("swav", (*TINY, "batch=12", "local_size=8", "memory=24", "clusters=8"), None),
    "dino": ("dino", (VIT, "size=12", "batch=12", "local_size=8", "outputs=32"), None),
    "dino, parts": ("dino", (VIT, "size=12", "batch=12", "local_size=8", "outputs=32"), 2),
    "mocov3_vit": ("mocov3_vit", (VIT, "size=12", "batch=12"), None),
    "mocov3_vit, cached": ("mocov3_vit", (VIT, "size=12", "batch=12"), 2),
    # Two processes have fewer rows than the first, and would have fewer micro-batches.
    "dino, uneven": ("dino", (VIT, "size=12", "batch=13", "local_size=8", "outputs=32"), 2),
    "mocov3_vit, uneven": ("mocov3_vit", (VIT, "size=12", "batch=13"), 2),
    "cmc": ("cmc", (*TINY, "batch=12", "negatives=16"), None),
    "instdisc": ("instdisc", (*TINY, "batch=12", "negatives=16"), None),
    "cpc": ("cpc", ("batch=8",), None),
    "mae": ("../examples/mae", ("batch=8",), None),
}


# One of a kind: an optimizer that needs whole norms, a queue with shuffled rows, weights beside
# nets, micro-batches that are uneven and that are cached, a bank.
QUICK = ("simclr, lars", "mocov2", "swav", "dino, uneven", "mocov3_vit, cached", "instdisc")
REST = tuple(case for case in CASES if case not in QUICK)
RESUMED_QUICK = ("simclr, lars", "mocov2", "instdisc")
RESUMED_REST = ("mocov3_vit", "swav")
COMPILED = {
    "aot_eager": ("mocov3_vit, cached",),
    "aot_eager, uneven": ("dino, uneven",),
    "inductor": ("simclr", "mocov3_vit, cached"),
}


def program(case: str) -> Program:
    spec, overrides, _ = CASES[case]
    return load(spec, *overrides)


@pytest.mark.parametrize("cases", [QUICK, pytest.param(REST, marks=pytest.mark.slow)],
                         ids=["one of a kind", "the rest"])  # fmt: skip
def test_sharded_steps_are_the_steps(cases: tuple[str, ...], tmp_path: Path) -> None:
    in_processes(3, partial(_sharded, cases), tmp_path)
    for case in cases:
        alone = learn(program(case), ALONE)
        found = torch.load(tmp_path / f"{case}.pt", weights_only=True)
        difference, where = largest_difference(alone, found)
        assert difference < 1e-9, (case, where)


@pytest.mark.parametrize(
    "cases", [RESUMED_QUICK, pytest.param(RESUMED_REST, marks=pytest.mark.slow)],
    ids=["one of a kind", "the rest"],
)  # fmt: skip
def test_what_was_saved_in_parts_goes_on(cases: tuple[str, ...], tmp_path: Path) -> None:
    """By as many processes to the same bits; by one, or by two that share nothing, as one run."""
    in_processes(3, partial(_saved, cases), tmp_path)
    in_processes(2, partial(_gone_on, cases), tmp_path)
    for case in cases:
        assert (tmp_path / case / "step-00000002.part-3-of-3.pt").exists()
        through, again, others = (
            torch.load(tmp_path / f"{case}-{name}.pt", weights_only=True)
            for name in ("through", "again", "others")
        )
        assert largest_difference(through, again)[0] == 0, case
        assert largest_difference(through, others)[0] < 1e-9, case
        alone = learner_of(case, ALONE)
        loaded = checkpoint.load_latest(tmp_path / case)
        assert loaded is not None
        alone.load_state_dict(loaded.payload)
        step(alone, 2)
        assert largest_difference(through, alone.whole_state_dict())[0] < 1e-9, case


def learner_of(
    case: str, processes: Processes, shard: int | None = None, micro_batch: int | None = None
) -> Learner:
    return Learner(
        program(case), images=IMAGES, classes=4, dtype=torch.float64, processes=processes,
        micro_batch=micro_batch, shard_nets=shard, shard_states=SHARD_BYTES if shard is None else 0,
    )  # fmt: skip


def step(learner: Learner, number: int) -> None:
    """The step of this number, on images made up for it."""
    random = np.random.default_rng(number)
    batch = learner.recipe.batch
    pixels = torch.from_numpy(random.integers(0, 256, (batch, 3, 16, 16), dtype=np.uint8))
    mine = slice(*learner.share(batch))
    index = torch.from_numpy(random.permutation(IMAGES)[:batch])
    learner.train_step(pixels[mine], index=index[mine], batch=batch)


def _saved(cases: tuple[str, ...], processes: Processes, folder: Path) -> None:
    for case in cases:
        learner = learner_of(case, processes, shard=0)
        step(learner, 0)
        step(learner, 1)
        part = checkpoint.Part(1 + processes.rank, processes.count, "one save")
        checkpoint.save(folder / case, 2, learner.state_dict(), part=part)
        step(learner, 2)
        _write(learner, folder / f"{case}-through.pt")
        loaded = checkpoint.load_latest(folder / case)  # the others have saved: a step was taken
        assert loaded is not None
        again = learner_of(case, processes, shard=0)
        again.load_state_dict(loaded.payload)
        step(again, 2)
        _write(again, folder / f"{case}-again.pt")


def _gone_on(cases: tuple[str, ...], processes: Processes, folder: Path) -> None:
    for case in cases:
        loaded = checkpoint.load_latest(folder / case)
        assert loaded is not None
        learner = learner_of(case, processes)
        learner.load_state_dict(loaded.payload)
        step(learner, 2)
        _write(learner, folder / f"{case}-others.pt")


def _write(learner: Learner, path: Path) -> None:
    state = learner.whole_state_dict()
    if learner.processes.is_first:
        torch.save(state, path)


def test_each_process_holds_its_part(tmp_path: Path) -> None:
    in_processes(3, _held, tmp_path)
    whole = held(learner_of("mocov3_vit", ALONE))
    for rank in range(3):
        found = json.loads((tmp_path / f"{rank}.json").read_text("utf-8"))
        assert found["units"] >= 6  # two blocks of each of two encoders, and the nets themselves
        for name in ("parameters", "their gradients"):
            assert found[name] < 0.4 * whole[name]
        # Averages are shared as well; what is left whole are running statistics.
        assert (
            found["averages, frozen nets and running statistics"]
            < 0.5 * whole["averages, frozen nets and running statistics"]
        )
        assert found["features"] < 1e-12
        assert (
            found["noted"] == 0
        )  # FSDP2 notes every forward until a backward, which averages lack


def _held(processes: Processes, folder: Path) -> None:
    learner = learner_of("mocov3_vit", processes, shard=0)
    step(learner, 0)
    units = [m for m in learner.method.nets.modules() if isinstance(m, FSDPModule)]
    alone = learner_of("mocov3_vit", ALONE)
    alone.load_state_dict(learner.whole_state_dict())
    found: dict[str, float] = {**held(learner), "units": len(units)}
    pixels = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8)
    sizes = np.full((5, 2), 16)
    with learner.whole():  # each with as many batches as it likes
        mine = [learner.features(pixels, sizes) for _ in range(1 + processes.rank)]
    noted: Any = [unit._get_fsdp_state()._comm_ctx.post_forward_order for unit in units]
    found["noted"] = sum(len(forwards) for forwards in noted)
    found["features"] = float((mine[0] - alone.features(pixels, sizes)).abs().max())
    (folder / f"{processes.rank}.json").write_text(json.dumps(found), encoding="utf-8")
    step(learner, 1)  # it is shared again


def _sharded(cases: tuple[str, ...], processes: Processes, folder: Path) -> None:
    for case in cases:
        found = learn(program(case), processes, CASES[case][2], shard=0)
        if processes.is_first:
            torch.save(found, folder / f"{case}.pt")


TEACHER = """\
method "student"
view a, b = random_resized_crop(12)
encoder t = pretrained(resnet(depth = 18, width = 0.0625, stem = small, stages = 2),
                       from = "{run}", part = "f")
encoder f = resnet(depth = 18, width = 0.0625, stem = small, stages = 2)
head g = linear(8)
loss = mean((g(f(a)) - stop_grad(fixed(t)(b))) ** 2)
features = f(a)
recipe default {{
    data = embedded()
    batch = 8
    length = 1 epochs
    optimizer = sgd(lr = 0.1)
}}
"""


def test_a_net_of_a_run_that_shared_it_is_loaded_whole(tmp_path: Path) -> None:
    teacher = learner_of("simclr", ALONE)
    step(teacher, 0)
    state = teacher.state_dict()
    for number in (2, 1):
        pieces = replaced(state, partial(_piece, rank=number - 1))
        part = checkpoint.Part(number, 2, "a save")
        checkpoint.save(tmp_path / "checkpoints", 1, {"learner": pieces}, part=part)
    text = TEACHER.format(run=tmp_path)
    found = pretrained_weights(load_source(Source("student.ssl", text), None, ()))
    expected = teacher.method.net("f").state_dict()
    assert {n.removeprefix("t."): v.shape for n, v in found.items()} == {
        n: v.shape for n, v in expected.items()
    }
    assert all(torch.equal(found[f"t.{n}"], v) for n, v in expected.items())


def _piece(value: object, rank: int) -> object:
    if not isinstance(value, torch.Tensor) or not value.dim():
        return value
    at = rows_of(len(value), rank, 2)
    return Piece(value[at.start : at.stop].clone(), at)


def _compiled(compiled: str, processes: Processes, folder: Path) -> None:
    for case in COMPILED[compiled]:
        learner = learner_of(case, processes, shard=0, micro_batch=CASES[case][2])
        learner.compile(backend=compiled.partition(",")[0])
        for number in range(3):
            step(learner, number)
        _write(learner, folder / f"{case}.pt")


@pytest.mark.slow  # of nets that are whole: test_split
@pytest.mark.parametrize("compiled", COMPILED)
def test_nets_that_are_shared_and_compiled(compiled: str, tmp_path: Path) -> None:
    in_processes(2, partial(_compiled, compiled), tmp_path)
    for case in COMPILED[compiled]:
        alone = learner_of(case, ALONE)
        for number in range(3):
            step(alone, number)
        found = torch.load(tmp_path / f"{case}.pt", weights_only=True)
        assert largest_difference(alone.whole_state_dict(), found)[0] < 1e-9, case
