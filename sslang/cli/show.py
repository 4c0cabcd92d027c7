"""`sslang show`."""

from __future__ import annotations

from pathlib import Path

import click

from sslang.cli.shared import as_json, print_json, reporting


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
@click.option("--graph", type=click.Path(), help="Write the graph as a picture: .svg or .dot.")
@as_json
@reporting
def command(
    spec: str,
    overrides: tuple[str, ...],
    recipe: str | None,
    stage: str,
    graph: str | None,
    json_: bool,
) -> None:
    """Show SPEC, with OVERRIDES `name=expression`, as far as --stage compiles it."""
    if graph is not None:
        _picture(spec, recipe, overrides, Path(graph))
        return
    text = _text(spec, recipe, overrides, stage)
    if json_:
        print_json({"stage": stage, "text": text})
    else:
        print(text, end="" if text.endswith("\n") else "\n")


def _text(spec: str, recipe: str | None, overrides: tuple[str, ...], stage: str) -> str:
    import sslang

    if stage == "tree":
        return _tree(spec)
    program = sslang.load(spec, recipe, overrides)
    if stage == "resolved":
        return program.spec.text
    from sslang.ir.text import graph_text
    from sslang.passes import optimise

    if stage == "ir":
        return graph_text(optimise(program.step))
    from sslang.emit.graph import printed
    from sslang.emit.method import Method

    method = Method(program, 0)
    return f"{printed(method.view_code)}\n\n{printed(method.step_code)}"


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


def _picture(spec: str, recipe: str | None, overrides: tuple[str, ...], path: Path) -> None:
    import sslang
    from sslang.ir.picture import graph_dot, graph_svg
    from sslang.track.files import write_atomic

    program = sslang.load(spec, recipe, overrides)
    pairs = [pair for average in program.averages for pair in average.pairs]
    draw = {".svg": graph_svg, ".dot": graph_dot}.get(path.suffix)
    if draw is None:
        raise click.UsageError("--graph writes .svg or .dot")
    write_atomic(path, draw(program.step, title=program.spec.method, averages=pairs))
