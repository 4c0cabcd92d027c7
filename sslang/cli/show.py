"""`sslang show`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sslang.cli.shared import (
    as_json,
    passes_of,
    passes_option,
    png_path,
    print_json,
    reporting,
    writing,
)

if TYPE_CHECKING:
    from sslang.ir.program import Program
    from sslang.passes import Pass


@click.command()
@click.argument("spec", type=click.Path())
@click.argument("overrides", nargs=-1)
@click.option("--recipe", help="The recipe; `default` if none is named.")
@click.option(
    "--stage",
    type=click.Choice(["tree", "resolved", "ir", "torch"]),
    default="resolved",
    show_default=True,
    help="How far to compile.",
)
@click.option("--phase", metavar="NAME", help="Another phase than the first.")
@click.option("--processes", type=click.IntRange(1), metavar="N",
              help="Of the IR and the code, what each of N processes computes.")  # fmt: skip
@click.option("--communication", is_flag=True,
              help="What the processes tell each other in a step.")  # fmt: skip
@click.option("--images", type=click.IntRange(1), default=1000, show_default=True, metavar="N",
              help="How many images the data set has.")  # fmt: skip
@click.option("--graph", type=click.Path(), help="Write the graph as a picture: .svg or .dot.")
@click.option("--views", type=click.Path(),
              help="Write the first images and their views as a picture: .png.")  # fmt: skip
@click.option("--rows", type=click.IntRange(1), default=8, show_default=True, metavar="N",
              help="How many images --views shows.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="The seed of the draws of --views.")  # fmt: skip
@passes_option
@as_json
@reporting
def command(
    spec: str,
    overrides: tuple[str, ...],
    recipe: str | None,
    stage: str,
    phase: str | None,
    processes: int | None,
    communication: bool,
    images: int,
    graph: str | None,
    views: str | None,
    rows: int,
    seed: int,
    passes: str | None,
    json_: bool,
) -> None:
    """Show SPEC, with OVERRIDES `name=expression`, as far as --stage compiles it."""
    if graph is not None:
        _picture(_program(spec, recipe, overrides, phase), Path(graph))
        return
    if views is not None:
        path = png_path(views, "--views")
        _views(_program(spec, recipe, overrides, phase), path, rows, seed, passes_of(passes))
        return
    if communication:
        from sslang.cli.communication import lines_of, messages_of

        shown = _program(spec, recipe, overrides, phase)
        found = messages_of(shown, _dims(images), processes or 2)
        if json_:
            print_json([vars(message) for message in found])
        else:
            print("\n".join(lines_of(found, processes or 2)))
        return
    if stage == "tree":
        text = _tree(spec)
    else:
        program = _program(spec, recipe, overrides, phase)
        text = _text(program, stage, _dims(images), processes or 1, passes_of(passes))
    if json_:
        print_json({"stage": stage, "text": text})
    else:
        print(text, end="" if text.endswith("\n") else "\n")


def _program(
    spec: str, recipe: str | None, overrides: tuple[str, ...], phase: str | None
) -> Program:
    import sslang
    from sslang.train.run import phase_number

    program = sslang.load(spec, recipe, overrides)
    return program.phases[phase_number(program, phase)]


def _text(
    program: Program,
    stage: str,
    dims: Mapping[str, int],
    processes: int,
    passes: tuple[Pass, ...] | None,
) -> str:
    if stage == "resolved":
        return program.spec.text
    from sslang.ir.text import graph_text
    from sslang.passes import PIPELINE, optimise

    if stage == "ir" and processes == 1:
        return graph_text(optimise(program.step, PIPELINE if passes is None else passes))
    from sslang.emit.method import Method
    from sslang.emit.printed import printed
    from sslang.emit.split.limits import partitions
    from sslang.processes.group import Processes

    method = Method(program, 0, dims=dims, passes=passes, processes=Processes(0, processes))
    if stage == "ir":
        return graph_text(partitions(method)[-1].graph)
    used = sorted(program.dims & set(dims))
    sizes = "".join(f"# for {name} = {dims[name]}\n" for name in used)
    if processes > 1:
        from sslang.emit.split.code import emit_split

        code = emit_split(partitions(method)[-1], method.nets, method.dims)
        stages = [printed(c) for stage in code.stages for c in (stage.views, stage.step)]
        fetch = [] if code.fetch is None else [printed(code.fetch)]
        return sizes + "\n\n".join([*fetch, *stages, printed(code.rest)])
    return f"{sizes}{printed(method.view_code)}\n\n{printed(method.step_code)}"


def _dims(images: int) -> dict[str, int]:
    """What the data decide, of data that are not read."""
    return {"dataset": images, "classes": 10}


def _tree(spec: str) -> str:
    from sslang.diagnostics import DiagnosticError
    from sslang.model.resolve import read
    from sslang.syntax import tree
    from sslang.syntax.parser import parse

    file, found = parse(read(Path(spec)))
    if found:
        raise DiagnosticError(*found)
    lines: list[str] = []
    waiting: list[tuple[tree.Node, int]] = [(s, 0) for s in reversed(file.statements)]
    while waiting:
        node, depth = waiting.pop()
        line, column = node.span.source.position(node.span.start)
        own = [
            f"{name}={value!r}"
            for name, value in vars(node).items()
            if isinstance(value, str | int | float) and name != "span"
        ]
        lines.append(
            f"{'  ' * depth}{type(node).__name__} {' '.join(own)}".rstrip() + f"  # {line}:{column}"
        )
        waiting += [(child, depth + 1) for child in reversed(list(node.children()))]
    return "\n".join(lines)


def _views(
    program: Program, path: Path, rows: int, seed: int, passes: tuple[Pass, ...] | None
) -> None:
    """Draw the first batch of the spec's data; nothing is trained."""
    from sslang.train.options import RunOptions
    from sslang.train.run import prepare
    from sslang.train.views import write_views

    data, learner = prepare(program, RunOptions(seed=seed, passes=passes))
    with writing(path):
        write_views(path, learner, data.train, workers=0, rows=rows)


def _picture(program: Program, path: Path) -> None:
    from sslang.ir.picture import graph_dot, graph_svg
    from sslang.track.files import write_atomic

    pairs = [pair for average in program.averages for pair in average.pairs]
    draw = {".svg": graph_svg, ".dot": graph_dot}.get(path.suffix)
    if draw is None:
        raise click.UsageError("--graph writes .svg or .dot")
    with writing(path):
        write_atomic(path, draw(program.step, title=program.spec.method, averages=pairs))
