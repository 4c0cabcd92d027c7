"""Banks and queues that processes share: each holds some rows, and the step is the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sslang.api import load_source
from sslang.bench.equality import largest_difference
from sslang.diagnostics import Source
from sslang.emit.method import Method
from sslang.emit.sharding import sharded_states
from sslang.emit.split.messages import messages
from sslang.emit.split.products import product
from sslang.emit.states import append_own_rows, append_rows, initial_value, scatter_own_rows
from sslang.ir.program import Program
from sslang.processes.group import ALONE, Processes
from sslang.processes.shards import Rows, rows_of
from sslang.train.learner import Learner
from sslang.train.memory import held
from tests.train.several import in_processes
from tests.train.split import TINY, load
from tests.train.test_split import Counts

HEAD = """\
method "banks"
view a, b = random_resized_crop(12)
encoder f = vit(patch = 4, width = 16, depth = 1, heads = 2, position = learned)
head g = mlp(16, 8, norm = none)
z = l2_normalize(g(f(a)))
y = l2_normalize(g(f(b)))
bank m[dataset] = sphere(8)
m[index] <- l2_normalize(0.5 * m[index] + 0.5 * z)
assume no_collapse "only the banks matter here"
recipe default {
    data = embedded()
    batch = 12
    length = 9 epochs
    optimizer = sgd(lr = 0.1, momentum = 0.9)
}
"""
PLAIN = "features = f(a)\n"
SHARED = {
    "two places": PLAIN + """
drawn = draw_integers(5, below = dataset)
loss = bank_info_nce(z, m, index, drawn, 0.1) - mean(dot(y, m[index]))""",
    "the same draw for all": PLAIN + """
i = draw_integers(6, below = dataset, per = step)
loss = mean(log_sum_exp(concat([dot(z, m[index])[:, none], y @ m[i].T], axis = 1), axis = 1))""",
    # What an image gives is known to none before its embedding is.
    "an index from the end": PLAIN + """
loss = -mean(dot(z, m[index - 30]))""",
    "an index of embeddings": PLAIN + """
nearest = argmax(stop_grad(z) @ stop_grad(y).T)
loss = -mean(dot(z, m[argmax(stop_grad(y))])) - mean(dot(y, m[nearest]))""",
    "a shuffled target": PLAIN + """
bank n[dataset] = uniform(8, -1..1)
branch target = ema(f | g, 0.9) with (batch_norm = shuffle(4))
k = stop_grad(target(b))
n[index] <- k
drawn = draw_integers(3, below = dataset)
loss = -mean(dot(z, n[index] + k)) + mean(dot(y[:, none], m[drawn]))""",
}  # fmt: skip
QUEUE = PLAIN + "queue q[24] = sphere(8)\n"
PRODUCTS = {
    "logits of a bank": PLAIN + """
loss = -mean(take(log_softmax(z @ m.T / 0.1), index)) - mean(dot(y, m[index]))""",
    "a queue": QUEUE + """
q <- y
k = stop_grad(y)
loss = info_nce(z, k, q, 0.1) + info_nce(y, stop_grad(z), q, 0.2)""",
    "a queue that begins empty": PLAIN + """
queue q[24] = empty(8)
q <- y
loss = info_nce(z, stop_grad(y), q, 0.1) + sum(z @ q.T) / 100""",
    "a queue that a batch turns over": PLAIN + """
queue q[12] = sphere(8)
q <- y
loss = info_nce(z, stop_grad(y), q, 0.1)""",
    "the nearest of a queue": QUEUE + """
q <- z
near = q[argmax(stop_grad(z) @ q.T)]
loss = info_nce_batch(near, y, 0.1)""",
    "what all have alike": QUEUE + """
q <- z
weight w[3, 8] = uniform_fan_in
center = mean(y, axis = 0, keep = true)
far = mean((w @ q.T) ** 2) + mean((w @ m.T) * 0.1)
loss = far + mean(center @ q.T) - mean(dot(z, m[index]))""",
    "parts of an image": PLAIN + """
queue q[24] = sphere(16)
q <- mean(f(b), axis = 0, keep = true) * 0 + f(a)
tokens = unflatten(f(a), 1, 2)
loss = mean((tokens @ m.T) ** 2) - mean(dot(z, m[index])) + mean(f(b) @ q.T)""",
    "a shuffled target with a queue": QUEUE + """
branch target = ema(f | g, 0.9) with (batch_norm = shuffle(4))
k = stop_grad(l2_normalize(target(b)))
q <- k
loss = info_nce(z, k, q, 0.1) + mean(k @ q.T)""",
}  # fmt: skip
WHOLE = {
    "read whole": PLAIN + "loss = -mean(dot(z, m[index])) + mean(y @ mean(m, axis = 0)[:, none])",
    "read whole beside": PLAIN + "loss = -mean(dot(z, m[index])) + mean(y @ (m * 2).T)",
    "read by features": "features = f(a) @ m[:16, :]\nloss = -mean(dot(z, m[index]))",
}
IMAGES = 50  # which three processes cannot share evenly


@dataclass(frozen=True)
class Work:
    """Some steps of a spec on images some of which are in a batch twice."""

    program: Program
    images: int = IMAGES
    batches: Sequence[int] = (12,) * 5
    micro_batch: int | None = None
    exact: bool = True  # to the bit; a product adds up in another order


def own(body: str) -> Program:
    return load_source(Source("banks.ssl", HEAD + body), None, ())


def works() -> dict[str, Work]:
    papers = {
        name: load(name, *TINY, "batch=12", "negatives=16") for name in ("instdisc", "cmc")
    }  # fmt: skip
    found = {name: Work(program) for name, program in papers.items()}
    # The last process has no image in the last batch, and no row of the bank.
    found["little"] = Work(own(SHARED["two places"]), images=4, batches=(12, 5, 2))
    for name, body in SHARED.items():
        found[name] = Work(own(body), batches=(12, 9, 4))
    for name, body in PRODUCTS.items():
        found[name] = Work(own(body), batches=(12, 12, 9, 4), exact=False)
    for name in ("a queue", "logits of a bank", "what all have alike"):  # a process has no image
        work = Work(own(PRODUCTS[name]), batches=(12, 12, 2, 1), exact=False)
        found[f"{name}, few images"] = work
    for name in ("logits of a bank", "a queue", "what all have alike"):
        work = Work(own(PRODUCTS[name]), batches=(9, 9, 4), micro_batch=2, exact=False)
        found[f"{name}, in micro-batches"] = work
    for name in ("two places", "the same draw for all", "an index of embeddings"):
        work = Work(own(SHARED[name]), batches=(9, 9, 4), micro_batch=2)
        found[f"{name}, in micro-batches"] = work
    return found


QUICK = (
    "instdisc", "little", "an index of embeddings", "a shuffled target", "logits of a bank",
    "a queue", "a shuffled target with a queue", "what all have alike, few images",
    "a queue, in micro-batches", "two places, in micro-batches",
)  # fmt: skip
REST = tuple(name for name in works() if name not in QUICK)
by_works = pytest.mark.parametrize(
    "names", [QUICK, pytest.param(REST, marks=pytest.mark.slow)],
    ids=["one of a kind", "the rest"],
)  # fmt: skip


def learn(
    work: Work, processes: Processes = ALONE, shard_bytes: int = 0, counts: Counts | None = None
) -> dict[str, Any]:
    """Losses, states and optimizer after the steps, in float64; and the bytes of banks here."""
    learner = Learner(
        work.program, images=work.images, dtype=torch.float64, processes=processes,
        micro_batch=work.micro_batch, shard_states=shard_bytes,
    )  # fmt: skip
    losses = []
    for step, batch in enumerate(work.batches):
        random = np.random.default_rng(step)
        pixels = torch.from_numpy(random.integers(0, 256, (batch, 3, 16, 20), dtype=np.uint8))
        index = torch.from_numpy(random.integers(0, work.images, batch))
        index[-1] = index[0]
        if counts is not None and step == len(work.batches) - 1:
            counts.begin()
        mine = slice(*learner.share(batch))
        losses.append(learner.train_step(pixels[mine], index=index[mine], batch=batch).loss)
    if counts is not None:
        counts.end()
    method = learner.method
    states = {
        name: whole(tensor, method.sharded.get(name), processes)
        for name, tensor in method.state_dict().items()
    }
    return {
        "losses": torch.stack(losses),
        "states": states,
        "optimizer": learner.optimizer.state_dict(),
        "bytes": held(learner)["banks, queues and other states"],
        "sharded": sorted(method.sharded),
    }


def whole(tensor: Tensor, rows: Rows | None, processes: Processes) -> Tensor:
    """A tensor of the state of which this process may have some rows."""
    if rows is None:
        return tensor
    assert len(tensor) == rows.count
    counts = [rows_of(rows.total, r, processes.count).count for r in range(processes.count)]
    return processes.gather(tensor, counts)


def _learnt(names: tuple[str, ...], processes: Processes, folder: Path) -> None:
    """Do each work with shared states and with whole ones."""
    for name in names:
        work = works()[name]
        for shard_bytes, kind in ((0, "shared"), (2**40, "whole")):
            found = learn(work, processes, shard_bytes)
            torch.save(found, folder / f"{name}-{kind}-{processes.rank}.pt")


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
@by_works
def test_shared_states_change_nothing(count: int, names: tuple[str, ...], tmp_path: Path) -> None:
    in_processes(count, partial(_learnt, names), tmp_path)
    works_ = works()
    for name in names:
        truth = learn(works_[name])
        ours, theirs = (
            [torch.load(tmp_path / f"{name}-{kind}-{rank}.pt") for rank in range(count)]
            for kind in ("shared", "whole")
        )
        assert ours[0]["sharded"] and not theirs[0]["sharded"] and not truth["sharded"], name
        banks = sum(truth["states"][key].nbytes for key in ours[0]["sharded"])
        assert sum(o["bytes"] for o in ours) == count * (truth["bytes"] - banks) + banks, name
        for shared, unshared in zip(ours, theirs, strict=True):
            for part in ("losses", "states", "optimizer"):
                most = 0 if works_[name].exact else 1e-12
                assert largest_difference(unshared[part], shared[part])[0] <= most, (name, part)
                difference, where = largest_difference(truth[part], shared[part])
                assert difference < 1e-9, (name, part, where)


@pytest.mark.parametrize("count", [2, 3])
def test_a_process_holds_its_part_of_a_bank(count: int) -> None:
    program = own(SHARED["two places"])
    one = Method(program, 0, dims={"dataset": IMAGES}).state_dict()["state_m"]
    parts = [
        Method(program, 0, dims={"dataset": IMAGES}, processes=Processes(r, count), shard_bytes=0)
        for r in range(count)
    ]
    held_here = [method.state_dict()["state_m"] for method in parts]
    assert torch.equal(torch.cat(held_here), one)
    most = -(-IMAGES // count)
    for rank, (method, rows) in enumerate(zip(parts, held_here, strict=True)):
        assert rows.untyped_storage().nbytes() == 4 * 8 * len(rows)
        stop = min((rank + 1) * most, IMAGES)
        assert method.sharded == {"state_m": Rows(rank * most, stop, IMAGES)}


def sharded(body: str, images: int, **options: Any) -> set[str]:
    method = Method(own(body), 0, dims={"dataset": images}, processes=Processes(0, 2), **options)
    return set(method.sharded)


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_read_whole_stays_whole(name: str) -> None:
    assert sharded(WHOLE[name], IMAGES, shard_bytes=0) == set()
    work = Work(own(WHOLE[name]), batches=(9, 5))
    assert largest_difference(learn(work), learn(work, shard_bytes=2**40))[0] == 0


def test_small_banks_and_queues_stay_whole() -> None:
    body = SHARED["two places"] + " + info_nce(z, y, q, 0.1)\nqueue q[24] = sphere(8)\nq <- z"
    assert sharded(body, IMAGES, shard_bytes=0) == {"state_m", "state_q"}
    assert sharded(body, IMAGES, shard_bytes=24 * 8 * 4 + 1) == {"state_m"}
    program = own(body)
    for images, expected in ((2**21 - 1, []), (2**21, ["m"])):  # 32 bytes a row: 64 MiB
        found = sharded_states(program, [program.step], {"dataset": images}, Processes(1, 3))
        assert list(found) == expected


@pytest.mark.parametrize("initialiser", ["sphere(5)", "uniform(5, -2..1)", "normal(3)", "zeros(4)"])
def test_rows_begin_as_those_of_the_whole(initialiser: str) -> None:
    width = initialiser.split("(")[1][0]
    text = HEAD.replace("sphere(8)", initialiser).replace("mlp(16, 8", f"mlp(16, {width}")
    text += PLAIN + "loss = -mean(dot(y, m[index]))  # allow E431: only the beginning matters"
    program = load_source(Source("banks.ssl", text), None, ())
    (plan,) = program.states
    dims = {"dataset": 1001}
    everything = initial_value(plan, 7, dims)
    for count in (2, 3, 8, 501, 1001):
        for rank in {0, 1, count // 2, count - 1}:
            at = rows_of(1001, rank, count)
            rows = initial_value(plan, 7, dims, at)
            assert torch.equal(rows, everything[at.start : at.stop]), (count, rank)


def test_of_a_repeated_index_the_highest_row_wins_wherever_it_is_held() -> None:
    random = np.random.default_rng(0)
    index = torch.from_numpy(random.integers(0, 11, 40))
    values = torch.from_numpy(random.random((40, 2)))
    bank = torch.zeros(11, 2, dtype=torch.float64)
    expected = bank.clone()
    for at, value in zip(index.tolist(), values, strict=True):
        expected[at] = value
    for count in (1, 2, 3, 7, 20):
        parts = [rows_of(11, rank, count) for rank in range(count)]
        made = [bank[at.start : at.stop].clone() for at in parts]
        for part, at in zip(made, parts, strict=True):
            scatter_own_rows(part, at, index, values)
        assert torch.equal(torch.cat(made), expected), count


@pytest.mark.parametrize("wrong", [11, -12])
def test_a_write_to_no_row_fails_at_all_processes(wrong: int) -> None:
    index, values = torch.tensor([2, wrong]), torch.ones(2, 3)
    for rank in range(3):
        at = rows_of(11, rank, 3)
        with pytest.raises(IndexError):
            scatter_own_rows(torch.zeros(at.count, 3), at, index, values)


def _fetched(processes: Processes, folder: Path) -> None:
    """Rows of one tensor as each process asks for them, the last for none."""
    whole_ = torch.arange(7 * 2 * 3.0).view(7, 2, 3)
    at = rows_of(7, processes.rank, processes.count)
    nothing = torch.empty((0, 4), dtype=torch.int64)
    asked = [torch.tensor([[6, 0], [6, 3]]), torch.arange(7), nothing]
    index = asked[min(processes.rank, 2)]
    rows = processes.fetch(whole_[at.start : at.stop], processes.ask(index, 7))
    same = torch.equal(rows, whole_[index]) and rows.dtype == whole_.dtype
    last = processes.fetch(whole_[at.start : at.stop], processes.ask(torch.tensor([-1, 0]), 7))
    same = same and torch.equal(last, whole_[[-1, 0]])
    wrong = [7, -8] if processes.rank == 1 else [2, 3]
    try:  # of one process; all are told
        processes.ask(torch.tensor(wrong), 7)
    except IndexError as error:
        same = same and str(error) == "an index names no row of 7"
    else:
        same = False
    (folder / f"{processes.rank}.json").write_text(json.dumps(same), encoding="utf-8")


def test_rows_are_fetched_from_their_owners(tmp_path: Path) -> None:
    in_processes(5, _fetched, tmp_path)  # of which the last holds no row of seven
    for rank in range(5):
        assert json.loads((tmp_path / f"{rank}.json").read_text("utf-8")) is True


def _counted(names: tuple[str, ...], processes: Processes, folder: Path) -> None:
    for name in names:
        work = works()[name]
        if work.micro_batch is None:
            counts = Counts()
            learn(work, processes, counts=counts)
            file = folder / f"{name}-{processes.rank}.json"
            file.write_text(json.dumps(counts.found), encoding="utf-8")


@pytest.mark.slow  # of whole states: test_split
@by_works
def test_messages_are_those_that_the_graph_promises(names: tuple[str, ...], tmp_path: Path) -> None:
    """In float64: twice the bytes of sums and gathers of floats, which are not compared here."""
    in_processes(2, partial(_counted, names), tmp_path)
    for name in names:
        work = works()[name]
        if work.micro_batch is not None:
            continue
        method = Method(
            work.program, 0, dims={"dataset": work.images}, processes=Processes(0, 2), shard_bytes=0
        )
        promised = messages(method, work.batches[-1], 2)
        found = [json.loads((tmp_path / f"{name}-{r}.json").read_text("utf-8")) for r in range(2)]
        for way in ("gather", "sum", "exchange"):
            calls = sum(m.calls for m in promised if m.way == way)
            assert [f[way]["calls"] for f in found] == [calls, calls], (name, way)
        exchanges = [m for m in promised if m.way == "exchange"]
        assert exchanges and all(m.way == "exchange" for m in promised if m.at_most)
        if "shuffled" not in name:  # which exchanges images, too
            integers = ("how many", "which")
            bytes_ = {m: m.bytes * (1 if m.what.startswith(integers) else 2) for m in exchanges}
            least = sum(bytes_[m] for m in exchanges if not m.at_most)
            received = sum(f["exchange"]["bytes"] for f in found)
            assert least <= received <= sum(bytes_.values()), name
            assert received > least or not any(m.at_most for m in exchanges), name


def _appended(processes: Processes, folder: Path) -> None:
    """Queues of all lengths, of which each process has some rows, and batches of all sizes."""
    pytest.MonkeyPatch().setattr("sslang.emit.states._BLOCK", 4)  # two rows at a time
    for length in range(1, 12):
        at = rows_of(length, processes.rank, processes.count)
        expected = torch.arange(length * 2.0).view(length, 2)
        own_rows = expected[at.start : at.stop].clone()
        for count in (1, 2, 3, 5, 7, 11, 12):
            entering = torch.arange(count * 2.0).view(count, 2) + 100 * count
            append_rows(expected, entering)
            append_own_rows(own_rows, at, entering, processes)
            assert torch.equal(own_rows, expected[at.start : at.stop]), (length, count)
    (folder / f"{processes.rank}.json").write_text("true", encoding="utf-8")


def test_rows_of_a_shared_queue_move_from_process_to_process(tmp_path: Path) -> None:
    in_processes(4, _appended, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def _multiplied(processes: Processes, folder: Path) -> None:
    """Products and gradients in bfloat16, as under autocast, and of parts without rows."""
    state = torch.linspace(-1, 1, 5 * 4).view(5, 4)
    at = rows_of(5, processes.rank, processes.count)
    counts = [2, 0, 1]
    rows = torch.linspace(-2, 2, 3 * 4).view(3, 4)
    first = sum(counts[: processes.rank])
    x = rows[first : first + counts[processes.rank]].clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = product(x, state[at.start : at.stop], 5, processes, counts)
        expected = rows @ state.T
    found.float().square().sum().backward()
    assert found.dtype == expected.dtype == torch.bfloat16 and x.grad is not None
    assert x.grad.dtype == torch.float32
    assert torch.equal(found, expected[first : first + len(x)])
    torch.testing.assert_close(
        x.grad, 2 * expected.float()[first : first + len(x)] @ state, rtol=0.02, atol=0.02
    )
    (folder / f"{processes.rank}.json").write_text("true", encoding="utf-8")


def test_products_in_bfloat16(tmp_path: Path) -> None:
    in_processes(3, _multiplied, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
