"""What all faults share: where trials run, the row of the table, resuming and comparing."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from sslang.bench.faults.trial import Ended, Trial, UnexpectedError, outcome, went_on_from

IMAGES = 400


@dataclass(frozen=True)
class Row:
    """What a fault did. `lost` counts committed steps: those that a whole checkpoint held.

    `identical` is None where a resumed run has nothing to be compared with, or there is none.
    """

    fault: str
    happened: str
    exit_code: str
    lost: int
    identical: bool | None


class SkippedError(Exception):
    """The fault cannot be done on this machine; the text says why."""


@dataclass
class Bench:
    """Where trials run, and what undisturbed runs give."""

    root: Path
    draws: random.Random

    def trial(self, name: str, *arguments: str) -> Trial:
        return Trial(self.root / name, arguments)

    def undisturbed(self, *arguments: str) -> str:
        """The outcome of the recipe with these arguments, run once."""
        name = "undisturbed" + "".join(c for c in "".join(arguments) if c.isalnum())[-40:]
        trial = self.trial(name, *arguments)
        if not trial.folders():
            ended = trial.begin(save_every=60.0).end()
            if ended.code != 0:
                raise UnexpectedError(f"the undisturbed run failed: {ended.said[-300:]}")
        return outcome(trial.folders()[-1])

    def images(self) -> str:
        """Arguments for the embedded images as files."""
        folder = self.root / "images"
        if not folder.exists():
            write_images(folder, IMAGES)
        return f'data=image_folder("{folder}")'


def write_images(folder: Path, count: int) -> None:
    """The first `count` embedded images as PNG files in class folders."""
    from PIL import Image

    from sslang.data.sources import open_source

    source = open_source("embedded", "train")
    for i in range(count):
        place = folder / f"class{source.label(i)}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(source.read(i)).save(place / f"{i:04}.png")


def resumed(
    bench: Bench,
    trial: Trial,
    folder: Path,
    fault: str,
    ended: Ended,
    held: int,
    text: str,
    *more: str,
) -> Row:
    """Go on with a disturbed run, and say what became of it; `held` steps were committed.

    `more` are arguments of the resuming command.
    """
    again = trial.resume(folder, *more)
    if again.code != 0:
        raise UnexpectedError(f"resuming failed with {again.code}: {again.said[-300:]}")
    began = went_on_from(folder)
    same = outcome(folder) == bench.undisturbed(*trial.arguments)
    happened = f"{text}; went on from step {began}"
    return Row(fault, happened, str(ended.code), max(0, held - began), same)
