"""What parts of a batch have to tell each other, by the loss."""

from __future__ import annotations

import pytest

from sslang.api import load_source
from sslang.diagnostics import Source
from sslang.ir.graph import ASK, CROSSINGS, FETCH, PRODUCT
from sslang.ir.partition import (
    Local,
    Partition,
    Placement,
    Sharded,
    Whole,
    is_affine,
    partition,
    read_in_parts,
    reads,
)
from sslang.ir.verify import verify
from sslang.passes import optimise

HEAD = """\
method "example" (labels = true)
view a, b = random_resized_crop(12)
encoder f = vit(patch = 4, width = 16, depth = 1, heads = 2, position = learned)
head g = linear(8)
head h = linear(8)
p = l2_normalize(h(g(f(a))))
q = l2_normalize(g(f(b)))
features = f(a)
assume no_collapse "only the graph matters here"
recipe default {
    data = embedded()
    batch = 16
    length = 1 epochs
    optimizer = sgd(lr = 0.1)
}
"""


def split(body: str, sharded: frozenset[str] = frozenset()) -> Partition:
    graph = optimise(load_source(Source("example.ssl", HEAD + body), None, ()).step)
    found = partition(graph, sharded=sharded)
    verify(found.graph)
    return found


def crossings(found: Partition) -> list[str]:
    return [f"{n.op}({n.references[0]})" for n in found.graph.nodes if n.op in CROSSINGS]


@pytest.mark.parametrize(
    ("body", "expected", "affine"),
    [
        # a loss of its own for each row: its mean is all that is told
        ("loss = 2 - 2 * dot(p, stop_grad(q))", ["total(mean_loss_sum_part)"], True),
        # rows against all rows: one side stays, the other is gathered, once
        (
            "loss = info_nce_batch(p, q, 0.1)",
            ["gather_rows(q)", "enter(all_transpose)", "own_rows(arange)",
             "total(mean_loss_sum_part)"],
            False,
        ),
        # a Gram matrix over rows is a sum over the parts
        ("loss = mean((p.T @ q - eye(8)) ** 2)", ["total(matmul_part)"], False),
        # a sum of scaled means is known to be affine, a product of means is not
        (
            "loss = 3 * mean(dot(p, q)) - mean(p ** 2) / 4",
            ["total(mean_sum_part)", "total(mean_2_sum_part)"],
            True,
        ),
        (
            "loss = mean(dot(p, q)) * mean(p ** 2)",
            ["total(mean_sum_part)", "total(mean_2_sum_part)"],
            False,
        ),
        # the queue of a later step needs all keys
        (
            "queue keys[32] = sphere(8)\nkeys <- stop_grad(q)\n"
            "loss = info_nce(p, stop_grad(q), keys, 0.1)",
            ["total(mean_loss_sum_part)", "gather_rows(stop_grad)"],
            True,
        ),
    ],
)  # fmt: skip
def test_what_is_told(body: str, expected: list[str], affine: bool) -> None:
    found = split(body)
    assert crossings(found) == expected
    assert is_affine(found) == affine


def test_the_rows_of_a_part_and_what_all_have() -> None:
    found = split("loss = info_nce_batch(p, q, 0.1)")
    assert found.placed["p"] == Local()
    assert found.placed["all_q"] == Whole(batch=True)
    assert found.local("log_softmax") == Local(embedding=False)


def test_a_trained_value_that_all_use_alike_counts_once() -> None:
    found = split("weight w[8, 8] = uniform_fan_in\nloss = mean((p.T @ q - w) ** 2)")
    assert "once(w)" in crossings(found)
    found = split("weight w[8, 8] = uniform_fan_in\nloss = mean(((p @ w) - q) ** 2)")
    assert not [c for c in crossings(found) if c.startswith("once")]


def test_a_draw_that_all_make_alike_is_not_sent() -> None:
    found = split("u = draw_uniform(8)\nloss = mean(p.T @ u)")
    assert not [c for c in crossings(found) if c.startswith("gather")]
    found = split("u = draw_uniform(8)\nloss = mean(p @ u.T)")
    assert not [c for c in crossings(found) if c.startswith("gather")]


BANK = "bank m[dataset] = sphere(8)\nm[index] <- stop_grad(q)\n"


@pytest.mark.parametrize(
    ("index", "placement", "early"),
    [
        ("index", Local(), True),
        ("draw_integers(5, below = dataset)[:, 0]", Local(order="*"), True),
        ("draw_integers(5, below = dataset, per = step)", Whole(), True),
        # only the embeddings know which rows these are
        ("argmax(stop_grad(q))", Local(embedding=False), False),
        ("argmax(mean(stop_grad(q) @ stop_grad(q).T, axis = 0))", Whole(batch=True), False),
    ],
)
def test_rows_of_a_sharded_bank_are_fetched(index: str, placement: Placement, early: bool) -> None:
    body = f"{BANK}i = {index}\nloss = mean(dot(p, m[index])) - mean(m[i] ** 2)"
    found = split(body, frozenset({"m"}))
    assert found.placed["m"] == Sharded()
    fetches = {
        found.graph.node(n.references[1]): n for n in found.graph.nodes if n.op == FETCH
    }  # fmt: skip
    ask, node = next(
        (ask, fetch) for ask, fetch in fetches.items()
        if (ask.references[0] == "index") == (index == "index")
    )  # fmt: skip
    assert found.placed[node.name] == placement
    assert ask.op == ASK and str(ask.setting("rows")) == "dataset"
    assert (node.name in found.fetched) == early
    assert not found.is_embedding(node)
    assert not [n for n in found.graph.nodes if n.op == "gather"]


@pytest.mark.parametrize(
    ("left", "placement"),
    [
        ("p", Local(embedding=False)),
        ("concat([p, q], axis = 0)", Local(2, embedding=False)),
        ("mean(p, axis = 0, keep = true)", Whole(batch=True)),
        ("w", Whole(batch=True)),
    ],
)
def test_products_with_a_sharded_bank(left: str, placement: Placement) -> None:
    body = (
        f"{BANK}weight w[3, 8] = uniform_fan_in\nloss = mean(({left} @ m.T) ** 2) + mean(p @ w.T)"
    )
    found = split(body, frozenset({"m"}))
    (product,) = (n for n in found.graph.nodes if n.op == PRODUCT)
    assert found.placed[product.name] == placement
    assert found.graph.node(product.references[1]).op == "read"
    assert str(product.setting("rows")) == "dataset"
    assert not [n for n in found.graph.nodes if n.op == "transpose" and "m" in n.references]
    assert ("once(w)" in crossings(found)) == (left == "w")


def test_one_index_into_two_banks_is_asked_once() -> None:
    body = f"{BANK}bank n[dataset] = sphere(8)\nn[index] <- stop_grad(p)\n"
    body += "loss = mean(dot(p, m[index])) + mean(dot(q, n[index])) + mean(dot(q, m[index]))"
    found = split(body, frozenset({"m", "n"}))
    ops = [n.op for n in found.graph.nodes]
    assert (ops.count(ASK), ops.count(FETCH)) == (1, 2)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mean(dot(p, m[index]))", True),
        ("mean(q)", True),
        ("mean(dot(p, m[index])) + mean(p @ m.T)", True),
        ("mean(p @ m.T)", True),
        ("mean(p * m[:, 0][index][:, none])", False),
        ("mean(m @ p.T)", False),
        ("mean(m @ m.T) + mean(p @ m.T)", False),
    ],
)
def test_what_is_read_in_parts(loss: str, expected: bool) -> None:
    source = Source("example.ssl", f"{HEAD}{BANK}loss = {loss}")
    graph = optimise(load_source(source, None, ()).step)
    assert read_in_parts(graph, "m") == expected
    assert bool(reads(graph, "m")) == ("m" in loss.replace("mean", ""))
