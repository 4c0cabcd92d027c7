"""Passes: what each does to the text of a graph, and that the results stay (tests/fidelity)."""

from __future__ import annotations

import sslang
from sslang.ir.graph import APPLY, MEMBER, Graph
from sslang.passes import PIPELINE, optimise
from sslang.passes.join_members import join_members
from sslang.passes.merge_views import merge_views
from tests.conftest import ROOT


def step(name: str) -> Graph:
    return sslang.load(ROOT / "specs" / f"{name}.ssl").step


def applications(graph: Graph) -> list[tuple[str, int, int]]:
    """(net, inputs, views) of each application."""
    return [
        (n.setting("net"), len(n.inputs), n.setting("views")) for n in graph.nodes if n.op == APPLY
    ]


def test_members_of_one_value_are_joined_by_nothing() -> None:
    graph = step("simclr")
    assert applications(graph) == [("f", 2, 2), ("g", 2, 2)]
    assert applications(join_members(graph)) == [("f", 2, 2), ("g", 1, 2)]


def test_views_of_one_net_are_merged_with_statistics_of_their_own() -> None:
    graph = step("byol")
    assert len(applications(graph)) == 10
    merged = merge_views(graph)
    assert applications(merged) == [
        ("f", 2, 2), ("projector", 2, 2), ("predictor", 2, 2), ("target.f", 2, 2),
        ("target.projector", 2, 2),
    ]  # fmt: skip
    joints = {n.setting("joint") for n in merged.nodes if n.op == APPLY}
    assert joints == {False}


def test_the_pipeline_leaves_one_application_a_net_and_no_idle_member() -> None:
    graph = optimise(step("byol"))
    nets = [net for net, _, _ in applications(graph)]
    assert len(nets) == len(set(nets))
    used = {name for n in graph.nodes for name in n.references} | set(graph.roots())
    assert all(n.name in used for n in graph.nodes if n.op == MEMBER)


def test_merging_leaves_different_settings_alone() -> None:
    graph = step("mocov2")
    assert merge_views(graph).nodes == graph.nodes


def test_every_pass_says_what_it_keeps() -> None:
    assert [(p.name, p.keeps) for p in PIPELINE] == [
        ("merge_views", "rounding"), ("join_members", "bits"), ("fuse_views", "rounding"),
    ]  # fmt: skip
