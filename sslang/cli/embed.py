"""`sslang embed`."""

from __future__ import annotations

from pathlib import Path

import click

from sslang.cli.shared import as_json, print_json, reporting, share_cores, writing

_KINDS = (".npz", ".npy", ".parquet")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data", required=False)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path),
              help="Where the features go: .npz, .npy or .parquet.")  # fmt: skip
@click.option("--split", type=click.Choice(["train", "test"]), default="train", show_default=True)
@click.option("--device", help="cpu, cuda, cuda:1, ...; the best there is if not named.")
@click.option("--workers", type=click.IntRange(0, 64), default=2, show_default=True,
              help="Helpers that decode images.")  # fmt: skip
@as_json
@reporting
def command(
    run: Path, data: str | None, output: Path, split: str, device: str | None, workers: int,
    json_: bool,
) -> None:  # fmt: skip
    """Write the features of images, as the run RUN has learned to give them.

    DATA is what a recipe's `data` takes, such as `cifar10()`, or a folder of images; the data of
    the run if not named. A .npz has `features` [N, width], `labels` [N] (-1 where there is none),
    `paths` and `classes`; a .npy the features alone; a .parquet a row for each image.
    """
    if output.suffix not in _KINDS:
        raise click.UsageError(f"--output ends in {', '.join(_KINDS)}")
    if not output.absolute().parent.is_dir():
        raise click.UsageError(f"--output: there is no folder `{output.parent}`")
    share_cores()
    from sslang.train.embedder import embedder_of, features_of
    from sslang.train.options import RunOptions

    place = embedder_of(run)
    overrides = () if data is None else (f"data = {_expression(data)}",)
    found = features_of(
        place, overrides, "test" if split == "test" else "train",
        RunOptions(device=device).resolved_device(), workers,
    )  # fmt: skip
    with writing(output):
        found.write(output)
    count, width = found.features.shape
    if json_:
        print_json({"output": str(output), "images": count, "width": width,
                    "skipped": found.skipped})  # fmt: skip
        return
    left_out = f"; {found.skipped} cannot be read and are left out" if found.skipped else ""
    click.echo(f"{output}: {count} images of {found.name}, {width} numbers each{left_out}")


def _expression(data: str) -> str:
    """Return DATA as a recipe has it: a folder's name stands for all of its images."""
    if not Path(data).is_dir():
        return data
    written = str(Path(data)).replace("\\", "\\\\").replace('"', '\\"')
    return f'image_folder("{written}", test = 0)'
