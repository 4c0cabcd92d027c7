"""`sslang bench`."""

from __future__ import annotations

import click

from sslang.cli.shared import as_json, passes_of, passes_option, print_json, reporting, share_cores
from sslang.train.options import RunOptions


@click.command()
@click.argument("spec", type=click.Path())
@click.argument("overrides", nargs=-1)
@click.option("--recipe", help="The recipe; `default` if none is named.")
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True,
              help="Interleaved steps of each.")  # fmt: skip
@click.option("--device", help="cpu, cuda, ...; the best there is if not named.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32")
@click.option("--compile", "compile_", is_flag=True, help="Run the step through torch.compile.")
@click.option("--channels-last/--no-channels-last", default=True, show_default=True,
              help="Images in memory as NHWC, which convolutions are faster on.")  # fmt: skip
@click.option("--views", is_flag=True,
              help="What each op of the views costs, by kornia and in our form.")  # fmt: skip
@passes_option
@as_json
@reporting
def command(
    spec: str,
    overrides: tuple[str, ...],
    recipe: str | None,
    rounds: int,
    device: str | None,
    precision: str,
    compile_: bool,
    channels_last: bool,
    views: bool,
    passes: str | None,
    json_: bool,
) -> None:
    """Measure SPEC's step beside a hand-written loop and beside the bare step, interleaved."""
    share_cores()
    import sslang
    from sslang.bench.measure import measure

    options = RunOptions(
        device=device, compile=compile_, channels_last=channels_last,
        precision="bfloat16" if precision == "bfloat16" else "float32",
        passes=passes_of(passes),
    )  # fmt: skip
    if views:
        from sslang.bench.views import costs_of, lines_of

        found = costs_of(sslang.load(spec, recipe, overrides), options, rounds)
        if json_:
            print_json([vars(cost) for cost in found])
        else:
            print("\n".join(lines_of(found)))
        return
    report = measure(sslang.load(spec, recipe, overrides), options, rounds)
    if json_:
        print_json({**vars(report), "rows": [vars(r) for r in report.rows]})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("", "s/step", "images/s", "sslang takes", "10..90 %"):
        table.add_column(heading, justify="left" if not heading else "right")
    for row in report.rows:
        table.add_row(row.name, f"{row.seconds:.4f}", f"{row.images_per_second:.0f}",
                      f"{row.ratio:.3f} of it", f"{row.low:.2f}..{row.high:.2f}")  # fmt: skip
    Console().print(table)
    print(f"views {100 * report.views_share:.1f} % of the step, waiting for data "
          f"{100 * report.wait_share:.2f} %, peak memory {report.peak_memory_mb:.0f} MB, "
          f"{report.rounds} rounds, {report.threads} threads, {report.device}")  # fmt: skip
