"""Pictures of graphs: complete, legible, the same each time, and well formed whatever the names."""

from __future__ import annotations

import re
from functools import cache
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sslang.ir.build import build
from sslang.ir.graph import Graph, Node, Write
from sslang.ir.picture import Course, Layout, Pairs, Sketch, graph_dot, graph_svg, place, sketch
from sslang.ir.program import Program
from sslang.model.overlay import resolve
from sslang.model.resolve import load, read
from sslang.types import BATCH, TensorType, Type, ViewType

SPECS = sorted((Path(__file__).parents[2] / "specs").glob("*.ssl"))
NAMES = [path.stem for path in SPECS]
ROWS = TensorType((BATCH, 8))


@cache
def program(name: str) -> Program:
    path = next(path for path in SPECS if path.stem == name)
    return build(resolve(load(read(path)), "default"))


def pairs(built: Program) -> Pairs:
    return [pair for average in built.averages for pair in average.pairs]


@cache
def svg(name: str) -> str:
    built = program(name)
    return graph_svg(built.step, title=built.spec.method, averages=pairs(built))


def drawn(name: str) -> Sketch:
    return sketch(program(name).step, pairs(program(name)))


def texts(source: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(source).iter() if e.tag.endswith("}text")]


def node(
    name: str,
    op: str,
    *inputs: str | float,
    scope: str = "",
    type_: Type = ROWS,
    **settings: object,
) -> Node:
    return Node(name, op, inputs, tuple(settings.items()), type_, None, scope)


IMAGE = node("image", "image", type_=ViewType(3, None))
VIEW = node("a", "random_resized_crop", "image", type_=ViewType(3, 32), size=32, site="view/a/0",
            probability=1.0)  # fmt: skip
F = node("f", "apply", "a", net="f", views=1, group=0)


def graph(*nodes: Node, writes: dict[str, str] | None = None) -> Graph:
    return Graph((IMAGE, VIEW, F, *nodes), {"loss": nodes[-1].name}, writes or {})


def clear(layout: Layout) -> bool:
    """Whether no box covers another, and all lie in the picture."""
    inside = all(x >= 0 and y >= 0 and x + w <= layout.width and y + h <= layout.height
                 for x, y, w, h in layout.boxes)  # fmt: skip
    return inside and not any(
        a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
        for a, b in combinations(layout.boxes, 2)
    )


def points(course: Course) -> list[tuple[float, float]]:
    """Points along a course of level lines and cubic bends."""
    found: list[tuple[float, float]] = []
    for letter, body in re.findall(r"([MHC])([^MHC]+)", course.data):
        n = [float(v) for v in body.split()]
        if letter == "M":
            found.append((n[0], n[1]))
            continue
        x, y = found[-1]
        controls = [(x, y), (x, y), (n[0], y), (n[0], y)]
        if letter == "C":
            controls = [(x, y), (n[0], n[1]), (n[2], n[3]), (n[4], n[5])]
        for t in (i / 40 for i in range(1, 41)):
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            parts = [sum(w * c[k] for w, c in zip(weights, controls, strict=True)) for k in (0, 1)]
            found.append((parts[0], parts[1]))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_is_one_svg_that_needs_nothing_else(name: str) -> None:
    root = ElementTree.fromstring(svg(name))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.search(r"<script|<style|<image|<foreignObject|href|@import", svg(name))
    assert root.find("{http://www.w3.org/2000/svg}title").text == program(name).spec.method  # type: ignore[union-attr]


@pytest.mark.parametrize("name", NAMES)
def test_names_all_views_nets_and_states(name: str) -> None:
    built = program(name)
    views = {str(n.setting("site")).split("/")[1] for n in built.step.nodes
             if str(n.setting("site", "")).startswith("view/")}  # fmt: skip
    nets = {net.name for net in built.nets}
    states = {state.name for state in built.states}
    assert views
    assert nets
    assert views | nets | states | {"image", "loss"} <= set(texts(svg(name)))
    dot = graph_dot(built.step, built.spec.method, pairs(built))
    assert all(re.search(rf'label="{re.escape(t)}["\\]', dot) for t in views | nets | states)


@pytest.mark.parametrize("name", NAMES)
def test_has_few_boxes_and_none_overlap(name: str) -> None:
    boxes = [box for box in drawn(name).boxes if box.kind != "cut"]
    assert 7 <= len(boxes) <= 40
    layout = place(drawn(name))
    assert clear(layout)
    assert layout.width < 2500
    assert layout.height < 1500


@pytest.mark.parametrize("name", NAMES)
def test_data_edges_run_beside_the_boxes(name: str) -> None:
    what = drawn(name)
    layout = place(what)
    for edge, course in zip(what.edges, layout.courses, strict=True):
        if edge.line != "data":
            continue
        for at, (x, y, w, h) in enumerate(layout.boxes):
            if at not in (edge.source, edge.target):
                assert not any(x < u < x + w and y < v < y + h for u, v in points(course))


@pytest.mark.parametrize("name", NAMES)
def test_edges_say_what_reaches_the_loss(name: str) -> None:
    """Every box lies on a path to the loss, and data edges lead to later boxes."""
    what = drawn(name)
    assert all(e.source < e.target for e in what.edges if e.line == "data")
    reached = {at for at, box in enumerate(what.boxes) if box.kind == "loss"}
    assert len(reached) == 1
    reached |= {e.source for e in what.edges if e.line == "write"}  # or to what is written
    for at in reversed(range(len(what.boxes))):
        if any(user in reached for user in what.users(at)):
            reached.add(at)
    assert reached == set(range(len(what.boxes)))


@pytest.mark.parametrize("name", NAMES)
def test_is_the_same_each_time(name: str) -> None:
    built = build(resolve(load(read(next(p for p in SPECS if p.stem == name))), "default"))
    assert graph_svg(built.step, title=built.spec.method, averages=pairs(built)) == svg(name)


def test_byol_as_the_field_draws_it() -> None:
    what = drawn("byol")
    kinds = [box.kind for box in what.boxes]
    assert (kinds.count("view"), kinds.count("net"), kinds.count("average")) == (2, 6, 4)
    assert kinds.count("cut") == 2
    for at, box in enumerate(what.boxes):
        if box.kind == "cut":
            assert {what.boxes[i].title for i in what.inputs(at)} == {"target.projector"}
            assert {what.boxes[i].title for i in what.users(at)} == {"cosine_similarity"}
    ema = {(what.boxes[e.source].title, what.boxes[e.target].title)
           for e in what.edges if e.line == "ema"}  # fmt: skip
    assert ema == {("f", "target.f"), ("projector", "target.projector")}
    (loss,) = (box for box in what.boxes if box.kind == "loss")
    assert loss.lines == ("2 - 2·cosine_similarity", "+ 2 - 2·cosine_similarity")
    (view,) = (box for box in what.boxes if box.title == "b")
    assert view.lines[0].startswith("random_resized_crop 32, ")
    assert view.lines[-1] == "normalize"
    assert "horizontal_flip @ 0.5" in view.lines
    assert len({box.accent for box in what.boxes if box.title.endswith("f")}) == 1
    assert 'class="average"' in svg("byol")


def test_moco_writes_its_queue_and_shuffles() -> None:
    what = drawn("mocov2")
    titles = [box.title for box in what.boxes]
    assert {"shuffle", "unshuffle"} <= set(titles)
    (write,) = (e for e in what.edges if e.line == "write")
    assert (titles[write.source], titles[write.target]) == ("stop-grad", "negatives")
    assert [titles[i] for i in what.users(write.target)] == ["loss"]
    assert texts(svg("mocov2")).count("write") == 1
    assert texts(svg("mocov2")).count("ema") == 2


def test_simclr_draws_the_members_of_one_value_as_one() -> None:
    titles = [box.title for box in drawn("simclr").boxes]
    assert titles.count("f") == 1
    assert "l2_normalize × 2" in titles


def test_a_call_around_a_net_is_two_boxes() -> None:
    what = sketch(graph(
        node("x", "multiply", "f", 2, scope="both/1"),
        node("g", "apply", "x", net="g", views=1, group=0, scope="both/1"),
        node("y", "add", "x", "g", scope="both/1"),
        node("loss", "sum", "y", scope="", axis=-1, keep=False),
    ))  # fmt: skip
    assert [b.title for b in what.boxes] == ["image", "a", "f", "both", "g", "both", "loss"]
    assert all(e.source < e.target for e in what.edges)


def test_a_formula_around_a_call_is_two_boxes() -> None:
    what = sketch(graph(
        node("x", "exp", "f"),
        node("y", "sum", "x", scope="call/1"),
        node("half", "divide", "x", 2),
        node("loss", "subtract", "half", "y"),
    ))  # fmt: skip
    titles = [b.title for b in what.boxes]
    assert titles.count("call") == 1
    assert all(e.source < e.target for e in what.edges)
    assert clear(place(what))


def test_constants_stand_in_formulas() -> None:
    what = sketch(graph(
        node("tau", "schedule", type_=TensorType(())),
        node("n", "size", type_=TensorType(())),
        node("shift", "subtract", 1, "tau"),
        node("scaled", "divide", "f", "shift"),
        node("loss", "subtract", "n", "scaled"),
    ))  # fmt: skip
    assert [b.title for b in what.boxes] == ["image", "a", "f", "loss"]
    assert what.boxes[-1].lines == ("n - f/(1 - tau)",)


def test_a_long_formula_gives_its_operations() -> None:
    nodes = [node("x0", "exp", "f")]
    for i in range(60):
        nodes.append(node(f"x{i + 1}", ("multiply", "add", "power")[i % 3], f"x{i}", f"x{i}"))
    loss = sketch(graph(*nodes)).boxes[-1]
    assert loss.lines == ("exp, multiply, add, …",)


def test_a_state_that_is_written_later_than_read() -> None:
    what = graph(
        node("old", "read", state="memory"),
        node("mixed", "add", "f", "old"),
        node("g", "apply", "mixed", net="g", views=1, group=0),
        node("cut", "stop_grad", "g"),
        node("loss", "subtract", "g", "cut"),
        writes={"memory": Write("cut")},
    )
    layout = place(sketch(what))
    assert clear(layout)
    assert texts(graph_svg(what, title="")).count("write") == 1


def test_a_state_that_nothing_reads_is_drawn() -> None:
    what = graph(node("loss", "sum", "f"), writes={"memory": Write("f")})
    assert "memory" in texts(graph_svg(what, title="t"))
    assert clear(place(sketch(what)))


def test_special_characters_are_escaped() -> None:
    odd = 'A <b> & "c" \\ \x07]]>'
    source = graph_svg(program("byol").step, title=odd)
    root = ElementTree.fromstring(source)
    shown = odd.replace("\x07", "\ufffd")
    assert root.find("{http://www.w3.org/2000/svg}title").text == shown  # type: ignore[union-attr]
    assert shown in texts(source)
    first = graph_dot(program("byol").step, odd).splitlines()[0]
    assert first.startswith('digraph "A <b> & \\"c\\" \\\\ ')
