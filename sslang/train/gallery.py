"""What a net has learned, as pictures over the steps: neighbours, and a map of the embeddings.

They are made of the features that an evaluation has extracted, and lie in the run's folder as
`artifacts/images/<name>/<step>.png`; MLflow shows each name as a slider.
"""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from sslang.data.source import Source
from sslang.track.files import write_atomic
from sslang.track.run_folder import RunFolder
from sslang.track.sheets import Column, enlarged, tile, write_sheet
from sslang.train.evaluation import Evaluator, Features

QUERIES = 10  # test images whose neighbours are shown
NEIGHBOURS = 7
POINTS = 2000  # of the map, at most
_SHOWN = 128  # pixels of the longer side of an image on a sheet
_NAMED = 20  # classes that a legend names, at most


def write_gallery(
    folder: RunFolder, evaluator: Evaluator, features: Features, step: int, prefix: str = ""
) -> list[Path]:
    """Draw the neighbours of fixed test images, and the map; return the files. Raises OSError.

    `prefix` stands before the names of a later phase.
    """
    paths = [folder.images / f"{prefix}{name}" / f"{step:08}.png" for name in ("neighbours", "map")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_neighbours(paths[0], evaluator, features)
    write_map(paths[1], features, evaluator.test.classes, f"step {step}")
    return paths


def write_neighbours(path: Path, evaluator: Evaluator, features: Features) -> None:
    """Draw test images, and below each the training images that are nearest by cosine.

    Above an image stands its class; below a query, how many of its neighbours are of it.
    """
    queries = spread(features.test_labels, QUERIES)
    known = functional.normalize(features.train.float(), dim=1)
    asked = functional.normalize(features.test[queries].float(), dim=1)
    nearest = (asked @ known.T).topk(min(NEIGHBOURS, len(known)), dim=1).indices.cpu()
    shown = [_labelled(evaluator.test), _labelled(evaluator.train)]
    columns = []
    for query, rows in zip(queries.tolist(), nearest, strict=True):
        label = int(features.test_labels[query])
        same = int((features.train_labels[rows.to(features.train_labels.device)] == label).sum())
        images = [_image(evaluator.test, shown[0][query])]
        images += [_image(evaluator.train, shown[1][row]) for row in rows.tolist()]
        words = (_class(evaluator.test.classes, label), f"{same} of {len(rows)}")
        columns.append(Column(words, [enlarged(tile(image)) for image in images]))
    write_sheet(columns, path)


def spread(labels: Tensor, count: int) -> Tensor:
    """Return rows, one of each class in turn, the first of each first: always the same ones."""
    by_class = [
        torch.nonzero(labels == label).flatten().cpu() for label in sorted(set(labels.tolist()))
    ]
    rounds = max(len(rows) for rows in by_class)
    taken = [rows[turn] for turn in range(min(rounds, count)) for rows in by_class
             if turn < len(rows)]  # fmt: skip
    return torch.stack(taken[:count])


def write_map(path: Path, features: Features, classes: tuple[str, ...] | None, title: str) -> None:
    """Draw test features on the plane of their two main directions, coloured by class.

    The features have unit length, as for the neighbours. Each axis says its share of the variance.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = torch.linspace(0, len(features.test) - 1, min(POINTS, len(features.test))).long()
    at, shares = plane(features.test[rows.to(features.test.device)])
    labels = features.test_labels.cpu()[rows]
    figure = Figure(figsize=(8, 6))
    figure.subplots_adjust(left=0.09, right=0.76, bottom=0.09, top=0.94)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    present = sorted(set(labels.tolist()))
    for number, label in enumerate(present):
        here = at[labels == label]
        colour = f"C{number}" if len(present) <= 10 else None
        axes.scatter(here[:, 0], here[:, 1], s=8, color=colour, label=_class(classes, label))
    axes.set(title=title, xlabel=f"{shares[0]:.0%} of the variance",
             ylabel=f"{shares[1]:.0%}")  # fmt: skip
    if len(present) <= _NAMED:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    write_atomic(path, buffer.getvalue())


def plane(features: Tensor) -> tuple[Tensor, list[float]]:
    """Return the rows on their two main directions, [N, 2], and the share of variance of each.

    Signs are fixed: the entry of a direction that is largest in size is positive.
    """
    unit = functional.normalize(features.double().cpu(), dim=1)
    centred = unit - unit.mean(0)
    values, directions = torch.linalg.eigh(centred.T @ centred)
    two = directions[:, -2:].flip(1)
    two = two * two.gather(0, two.abs().argmax(0, keepdim=True)).sign()
    total = float(values.sum())
    kept = [float(value) / total if total > 0 else 0.0 for value in values[-2:].flip(0)]
    at = centred @ two
    if at.shape[1] < 2:
        at, kept = torch.cat([at, torch.zeros_like(at)], dim=1), [*kept, 0.0]
    return at, kept


def _labelled(source: Source) -> list[int]:
    """The images that have a label, in order: those whose features there are."""
    return [number for number in range(len(source)) if source.label(number) >= 0]


def _image(source: Source, number: int) -> Tensor:
    """An image as RGB, [3, H, W], a large one reduced."""
    pixels, _ = source.read_readable(number)
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    step = -(-max(image.shape[1:]) // _SHOWN)
    return image[:, ::step, ::step]


def _class(classes: tuple[str, ...] | None, label: int) -> str:
    name = str(label) if classes is None else classes[label]
    return name if len(name) <= 18 else f"{name[:15]}..."
