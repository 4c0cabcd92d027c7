"""A split step is the step: over micro-batches here, over two processes in one launch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from sslang.api import load_source
from sslang.bench.equality import largest_difference
from sslang.diagnostics import DiagnosticError, Source
from sslang.emit.method import Method
from sslang.emit.split.messages import messages
from sslang.ir.program import Program
from sslang.processes import group
from sslang.processes.group import Processes
from sslang.processes.rows import shares
from sslang.train.learner import Learner
from tests.train.several import in_processes
from tests.train.split import IMAGES, TINY, learn, load

VIT = "backbone=vit(patch = 4, width = 24, depth = 2, heads = 2, position = learned)"
SPECS: dict[str, tuple[str, ...]] = {
    "mocov2": (*TINY, "batch=64", "memory=128"),
    "simclr": (*TINY, "batch=12"),
    "byol": (*TINY, "batch=12"),
    "swav": (*TINY, "batch=12", "local_size=8", "memory=24", "clusters=8"),
    "dino": (VIT, "size=12", "batch=12", "local_size=8", "outputs=32"),
    "mocov3_vit": (VIT, "size=12", "batch=12"),
    "instdisc": (*TINY, "batch=12", "negatives=16"),
    "cmc": (*TINY, "batch=12", "negatives=16"),
    "cpc": ("batch=8",),
    "invaspread": (*TINY, "batch=12"),
}
# Steps in which the last is short, so that a process has fewer rows, or none.
SHORT = {
    "simclr": (12, 12, 1), "mocov2": (64, 96, 32), "byol": (12, 7, 3), "dino": (12, 1, 5),
    "cmc": (12, 1, 3), "swav": (12, 3, 1),
}  # fmt: skip

GROUPED = """\
method "grouped"
param width = 16
view a, b = random_resized_crop(12) | horizontal_flip
encoder f = resnet(depth = 18, width = 0.0625, stem = small, stages = 2)
head g = mlp(32, width)
branch online = f | g with (batch_norm = groups(4))
z = online([a, b])
loss = nt_xent(z, 0.1)
features = f(a)
recipe default {
    data = embedded()
    batch = 16
    length = 2 epochs
    optimizer = sgd(lr = 0.01, momentum = 0.9)
}
"""


# What a part computes and what all compute, in ways that once went wrong.
ODD_HEAD = """\
method "odd" (labels = true)
view a, b = random_resized_crop(12)
encoder f = vit(patch = 4, width = 16, depth = 1, heads = 2, position = learned)
head g = mlp(16, 8, norm = none)
branch online = f | g
z = online([a, b])
features = f(a)
assume no_collapse "only the split matters here"
recipe default {
    data = embedded()
    batch = 8
    length = 2 epochs
    optimizer = sgd(lr = 0.1, momentum = 0.9)
}
"""
ODD = {
    "learned temperature":
        "weight s = zeros()\nloss = -mean(dot(z[a], stop_grad(z[b]))) * exp(s)",
    "weight on a mean":
        "weight w[8] = normal\nloss = sum(w * mean(z[a], axis = 0)) + mean(z[b]**2)",
    "probe with batch norm":
        "head h = batch_norm | linear(classes)\np = h(stop_grad(f(a)))\n"
        "loss = mean(dot(z[a], stop_grad(z[b]))) + mean(label_cross_entropy(p, label))",
    "weight on a Gram matrix":
        "weight w[8, 8] = normal\nloss = mean((z[a].T @ z[b]) * w)",
    "queue that is empty at first":
        "queue neg[16] = empty(8)\nneg <- stop_grad(l2_normalize(z[b]))\n"
        "loss = mean(dot(z[a], stop_grad(z[b]))) + sum(exp(z[a] @ neg.T / 10)) / 99",
    "whole matrices beside rows":
        "weight w[1, 8, 4] = normal\nloss = mean((z[a][:, none, :] @ w)**2) + mean(z[b]**2)",
    "two shuffles":
        "head h = batch_norm | linear(8)\n"
        "branch tg = ema(f | g, 0.9) with (batch_norm = shuffle(4))\n"
        "k = stop_grad(tg(b))\nl = stop_grad(tg(a))\n"
        "loss = mean(dot(z[a], k)) + mean(dot(z[b], l)) + mean(h(z[a])**2)",
    "draws below the batch":
        "i = draw_integers(4, below = batch, per = step)\nloss = mean(z[a] @ z[b][i].T)",
    "patches":
        "loss = mean(f(a).patches**2) + mean(f(b).grid**2) + mean(z[a]**2)",
    # Nets on what has no rows to share: all compute the same.
    "a net on a mean over the batch":
        "head h = mlp(16, 4, norm = none)\n"
        "loss = mean(dot(z[a], z[b])) + mean(h(mean(z[a], axis = 0)[none, :]) ** 2)",
    "a trained net's gradient goes on through a mean":
        "head h = linear(8)\nm = h(mean(z[a], axis = 0)[none, :])\n"
        "loss = mean((z[b] - m) ** 2) + mean(h(z[a]) ** 2)",
    "batch norm of centres":
        "head h = mlp(16, 8)\nc = h(z[a].T @ z[b])\nloss = mean((z[a] @ c.T) ** 2) + mean(c ** 2)",
    "batch norm of a weight":
        "head h = mlp(16, 8)\nweight w[6, 8] = normal\n"
        "loss = mean((z[a] @ h(w).T) ** 2) + mean(z[b] * mean(h(w), axis = 0))",
    "fields of a net on centres":
        "head h = linear(8)\nencoder v = vit(patch = 4, width = 16, depth = 1, heads = 2)\n"
        "p = mean(mean(v(b).patches, axis = 1), axis = 0)[none, :]\n"
        "loss = mean(h(p)**2) + mean(z[a]**2)",
    "an average of a net on a mean":
        "head h = linear(8)\nbranch slow = ema(h, 0.9)\nm = mean(z[a], axis = 0)[none, :]\n"
        "loss = mean((h(m) - stop_grad(slow(mean(z[b], axis = 0)[none, :])))**2) + mean(z[a]**2)",
    "groups of batch norm over joined rows":
        "head h = mlp(16, 8)\nbranch hh = h with (batch_norm = groups(4))\n"
        "p = hh(concat([z[a], z[b]]))\nloss = mean((p - concat([z[b], z[a]]))**2)",
    "runs of centres":
        "head h = mlp(16, 8)\nbranch hh = h with (batch_norm = groups(4))\n"
        "c = hh(z[a].T @ z[b])\nloss = mean((z[a] @ c.T) ** 2)",
    "statistics of what asks for no gradient":
        "head h = mlp(8, 8)\nbranch hh = h with (batch_norm = groups(4))\n"
        "branch slow = ema(h, 0.9)\n"
        "loss = -mean(dot(hh(z[a]), stop_grad(z[b]))) + mean(stop_grad(slow(z[a].T @ z[b])))",
    "a memory beside the rows":
        "queue memory[16] = sphere(8)\nmemory <- stop_grad(l2_normalize(z[b]))\n"
        "head h = mlp(8, 8)\n"
        "loss = mean(h(concat([z[a], memory]))**2) + mean(dot(z[a], stop_grad(z[b])))",
    "a weight beside centres":
        "weight w[8, 8] = normal\nhead h = mlp(8, 4)\nc = h([z[a].T @ z[b], w])\n"
        "loss = mean((c[0] - c[1])**2) + mean(z[b]**2)",
    "masks in another order":
        "branch o = f with (batch_norm = shuffle(4))\nm = rank(draw_uniform(9)) < 4\n"
        "x = where(m[..., none], o(a, keep = m).patches, 0)\nloss = mean(x**2) + mean(z[b]**2)",
    "paths of tokens that are dropped":
        "head t = transformer(depth = 2, heads = 2, position = none)\n"
        "branch p = t with (drop_path = 0.5)\nx = p([f(a).patches, f(b).patches])\n"
        "loss = mean((x[0] - stop_grad(x[1]))**2) + mean(z[a]**2)",
    "shuffled tokens":
        "head t = transformer(depth = 1, heads = 2)\nhead h = batch_norm | linear(3)\n"
        "branch tt = t with (batch_norm = shuffle(4))\n"
        "loss = mean(tt(f(a).patches)**2) + mean(h(z[b])**2)",
    "shuffled patches":
        "view c = random_resized_crop(12) | patches(6, stride = 3)\n"
        "encoder r = resnet(depth = 18, width = 0.0625, stem = small, stages = 2)\n"
        "branch rr = r with (batch_norm = shuffle(4))\nloss = mean(rr(c)**2) + mean(z[a]**2)",
    "nearest rows":
        "i = argmax(stop_grad(z[a] @ z[b].T))\nloss = mean(dot(z[a], stop_grad(z[b])[i]))",
}  # fmt: skip


@dataclass(frozen=True)
class Some:
    """Names of specs, of specs with a short last step, and of losses."""

    specs: tuple[str, ...]
    short: tuple[str, ...]
    odd: tuple[str, ...]


QUICK = Some(
    ("mocov2", "swav", "dino"),
    ("mocov2", "dino"),
    (
        "learned temperature", "probe with batch norm", "two shuffles", "draws below the batch",
        "patches", "a net on a mean over the batch", "batch norm of a weight",
        "groups of batch norm over joined rows", "a memory beside the rows",
        "masks in another order", "shuffled patches",
    ),
)  # fmt: skip
REST = Some(*(
    tuple(name for name in every if name not in quick)
    for every, quick in ((SPECS, QUICK.specs), (SHORT, QUICK.short), (ODD, QUICK.odd))
))  # fmt: skip
by_some = pytest.mark.parametrize(
    "some", [QUICK, pytest.param(REST, marks=pytest.mark.slow)],
    ids=["one of a kind", "the rest"],
)  # fmt: skip


def odd(name: str) -> Program:
    return load_source(Source("odd.ssl", ODD_HEAD + ODD[name]), None, ())


def program(name: str) -> Program:
    return load(name, *SPECS[name])


def grouped() -> Program:
    return load_source(Source("grouped.ssl", GROUPED), None, ())


@pytest.mark.parametrize(
    ("name", "micro_batch"), [("mocov2", 32), ("dino", 5), ("mocov3_vit", 4), ("cpc", 3)]
)
def test_micro_batches_change_nothing(name: str, micro_batch: int) -> None:
    whole, split = learn(program(name)), learn(program(name), micro_batch=micro_batch)
    difference, where = largest_difference(whole, split)
    assert difference < 1e-9, where


@pytest.mark.parametrize("name", ODD)
def test_micro_batches_of_odd_losses(name: str) -> None:
    micro_batch = 4 if "shuffle" in name or "statistics" in name else 3
    whole, split = learn(odd(name)), learn(odd(name), micro_batch=micro_batch)
    difference, where = largest_difference(whole, split)
    assert difference < 1e-9, where


def test_the_size_of_a_queue_is_known_where_the_queue_is_not_read() -> None:
    text = ODD_HEAD + ODD["queue that is empty at first"].replace("sum(exp(", "mean(exp(")
    spec = load_source(Source("queue.ssl", text), None, ())
    found = learn(spec, micro_batch=3)["losses"]
    assert found[:2].isnan().all() and found[2].isfinite()  # a mean of nothing, until it is full


def test_a_micro_batch_of_all_images_is_no_split() -> None:
    whole, split = learn(program("simclr")), learn(program("simclr"), micro_batch=100)
    assert largest_difference(whole, split)[0] == 0


def test_micro_batches_of_rows_that_couple() -> None:
    """All embeddings first, then backward part by part (gradient caching)."""
    difference, where = largest_difference(learn(grouped()), learn(grouped(), micro_batch=4))
    assert difference < 1e-9, where


def test_a_split_step_can_be_compiled() -> None:
    """By the backend that needs no compiler of C."""
    whole = learn(program("mocov3_vit"))
    split = learn(program("mocov3_vit"), micro_batch=6, compile_with="aot_eager")
    difference, where = largest_difference(whole, split)
    assert difference < 1e-9, where


def test_what_micro_batches_cannot_do_is_refused() -> None:
    with pytest.raises(DiagnosticError) as caught:
        learn(program("simclr"), micro_batch=6)
    assert caught.value.diagnostics[0].code == "E740"
    with pytest.raises(DiagnosticError) as caught:
        learn(grouped(), micro_batch=6)
    assert caught.value.diagnostics[0].code == "E741"
    assert caught.value.diagnostics[0].hint == "--micro-batch 8"


def test_too_many_processes_are_refused() -> None:
    with pytest.raises(DiagnosticError) as caught:
        learn(grouped(), Processes(0, 5))
    assert caught.value.diagnostics[0].code == "E742"
    hint = caught.value.diagnostics[0].hint
    assert hint == "--processes 4, or a batch of 20 images, or groups of 3"


@pytest.mark.parametrize("split", ["micro-batches", "processes"])
def test_a_mask_by_the_whole_batch_is_refused(split: str) -> None:
    """The nets would have to see the images twice."""
    text = ODD_HEAD + (
        "n = rank(draw_uniform(9) * mean(z[a])) < 4\nx = f(b, keep = n).patches\n"
        "loss = mean(where(n[..., none], x, 0)**2) + mean(z[a] ** 2)"
    )
    spec = load_source(Source("odd.ssl", text), None, ())
    given = {"micro_batch": 4} if split == "micro-batches" else {"processes": Processes(0, 2, 0)}
    with pytest.raises(DiagnosticError) as caught:
        Learner(spec, images=IMAGES, **given)  # type: ignore[arg-type]
    (found,) = caught.value.diagnostics
    assert found.code == "E743"
    assert found.span is not None and found.span.text == "f(b, keep = n)"


@by_some
def test_two_processes_change_nothing(some: Some, tmp_path: Path) -> None:
    in_processes(2, partial(_both_ways, some), tmp_path)
    made = [*some.specs, *some.odd, *(f"{name}-short" for name in some.short)]
    made += ["mocov2-parts", "uneven", "groups"]
    for name in made:
        whole = torch.load(tmp_path / f"{name}-whole.pt", weights_only=True)
        split = torch.load(tmp_path / f"{name}-split.pt", weights_only=True)
        difference, where = largest_difference(whole, split)
        assert difference < 1e-9, (name, where)


@by_some
def test_two_processes_that_share_nets_change_nothing(some: Some, tmp_path: Path) -> None:
    in_processes(2, partial(_sharded, some), tmp_path)
    for name in some.odd:
        found = torch.load(tmp_path / f"{name}.pt", weights_only=True)
        difference, where = largest_difference(learn(odd(name)), found)
        assert difference < 1e-9, (name, where)


def _sharded(some: Some, processes: Processes, folder: Path) -> None:
    for name in some.odd:
        found = learn(odd(name), processes, shard=0)
        if processes.is_first:
            torch.save(found, folder / f"{name}.pt")


@by_some
def test_messages_are_those_that_the_graph_promises(some: Some, tmp_path: Path) -> None:
    in_processes(2, partial(_counted, some), tmp_path)
    for name, spec in _programs(some).items():
        recipe = spec.spec.recipe
        assert recipe is not None
        method = Method(spec, 0, dims={"dataset": IMAGES, "classes": 4})
        promised = messages(method, recipe.batch, 2)
        counted = json.loads((tmp_path / f"{name}.json").read_text("utf-8"))
        for way in ("gather", "sum", "exchange"):
            assert counted[way]["calls"] == sum(m.calls for m in promised if m.way == way), name
        for way in ("gather", "sum"):
            assert counted[way]["bytes"] == sum(m.bytes for m in promised if m.way == way), name


def _programs(some: Some) -> dict[str, Program]:
    return {name: program(name) for name in some.specs} | {name: odd(name) for name in some.odd}


def _counted(some: Some, processes: Processes, folder: Path) -> None:
    """Count the collectives of the last of three steps of each, in float32."""
    for name, spec in _programs(some).items():
        counts = Counts()
        learn(spec, processes, dtype=torch.float32, before_last=counts.begin)
        if processes.is_first:
            (folder / f"{name}.json").write_text(json.dumps(counts.found), encoding="utf-8")
        counts.end()


class Counts:
    """Calls and bytes of torch's collectives, from `begin` to `end`."""

    def __init__(self) -> None:
        self.found = {way: {"calls": 0, "bytes": 0} for way in ("gather", "sum", "exchange")}
        self._patch = pytest.MonkeyPatch()

    def begin(self) -> None:
        for module, name, way in (
            (dist, "all_reduce", "sum"), (group, "_all_gather", "gather"),
            (dist, "all_to_all_single", "exchange"),
        ):  # fmt: skip
            self._patch.setattr(module, name, self._counting(getattr(module, name), way))

    def end(self) -> None:
        self._patch.undo()

    def _counting(self, collective: Any, way: str) -> Any:
        def counted(tensor: torch.Tensor, *rest: Any, **named: Any) -> Any:
            self.found[way]["calls"] += 1
            self.found[way]["bytes"] += tensor.numel() * tensor.element_size()
            return collective(tensor, *rest, **named)

        return counted


def _both_ways(some: Some, processes: Processes, folder: Path) -> None:
    """Train each by both processes, and by one of them alone."""
    works = [(name, program(name), None, ()) for name in some.specs]
    works += [(f"{name}-short", program(name), None, SHORT[name]) for name in some.short]
    works += [(name, odd(name), None, ()) for name in some.odd]
    works.append(("mocov2-parts", load("mocov2", *TINY, "batch=128", "memory=128"), 32, ()))
    # One process has more images than a micro-batch, the other has not.
    works.append(("uneven", odd("patches"), 2, (5, 5, 3)))
    works.append(("groups", grouped(), 4, (16, 12, 4)))
    for number, (name, spec, micro_batch, sizes) in enumerate(works):
        split = learn(spec, processes, micro_batch, batches=sizes)
        if processes.is_first:
            torch.save(split, folder / f"{name}-split.pt")
        if number % 2 == processes.rank:  # both have something to do
            torch.save(learn(spec, batches=sizes), folder / f"{name}-whole.pt")


@pytest.mark.parametrize(
    ("rows", "parts", "unit", "expected"),
    [
        (10, 3, 1, (4, 3, 3)),
        (2, 3, 1, (1, 1, 0)),
        (100, 2, 32, (64, 36)),
        (65, 2, 32, (64, 1)),
        (33, 4, 32, (32, 1, 0, 0)),
        (0, 2, 1, (0, 0)),
    ],
)
def test_shares_are_whole_runs(rows: int, parts: int, unit: int, expected: tuple[int, ...]) -> None:
    assert shares(rows, parts, unit) == expected
    assert sum(expected) == rows
