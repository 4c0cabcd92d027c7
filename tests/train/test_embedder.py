"""What a run has learned as a function of images: what its evaluation saw, wherever it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

import sslang
from sslang.cli.main import main
from sslang.diagnostics import DiagnosticError
from sslang.track import run_folder
from sslang.train.embedder import TENSORS, read_embedder, write_embedder
from sslang.train.learner import Learner
from tests.conftest import ROOT, TINY

Pictures = list[NDArray[np.uint8]]


def learner(name: str) -> Learner:
    made = Learner(sslang.load(ROOT / f"specs/{name}.ssl", None, TINY[name]), images=200, seed=0)
    pixels = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8)
    made.train_step(pixels, index=torch.arange(16))
    return made


def pictures() -> Pictures:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (side, 40, 3)).astype(np.uint8) for side in (32, 48, 64)]


def written(folder: Path, made: Learner) -> Path:
    images = np.stack(pictures()[:1])
    assert write_embedder(folder, made.method, made.method.nets.state_dict(), images)
    return folder


@pytest.mark.parametrize("name", ["cmc", "byol"])
def test_the_features_are_those_of_the_evaluation(name: str, tmp_path: Path) -> None:
    made = learner(name)
    embedder = read_embedder(written(tmp_path / "made", made))
    images = pictures()
    found = embedder.embed(images)
    for image, features in zip(images, found, strict=True):
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
        expected = made.features(pixels, np.array([image.shape[:2]]))
        assert torch.allclose(torch.from_numpy(features)[None], expected, atol=1e-5)
    example = np.load(tmp_path / "made" / "example.npz")
    assert np.allclose(embedder.embed(example["images"]), example["features"], atol=1e-6)
    with pytest.raises(ValueError, match="uint8"):
        embedder.embed([np.zeros((4, 4, 3))])  # type: ignore[list-item]


def test_what_is_no_embedder_is_a_diagnostic(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticError, match="E607"):
        read_embedder(tmp_path)
    folder = written(tmp_path / "made", learner("simclr"))
    (folder / TENSORS).write_bytes(b"<html>")
    with pytest.raises(DiagnosticError, match="E607"):
        read_embedder(folder)


def embed(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["embed", *arguments])


def test_features_of_a_folder_of_images(tmp_path: Path) -> None:
    run = run_folder.create(tmp_path / "runs", "simclr")
    written(run.embedders / "pretrain", learner("simclr"))
    for number, image in enumerate(pictures() * 2):
        place = tmp_path / "images" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")
    wanted = read_embedder(run.embedders / "pretrain").embed(
        [np.asarray(Image.open(path)) for path in sorted((tmp_path / "images").glob("*/*"))]
    )
    out = tmp_path / "features.npz"
    told = json.loads(embed(str(run.path), str(tmp_path / "images"), "-o", str(out),
                            "--workers", "0", "--json").stdout)  # fmt: skip
    assert (told["images"], told["width"]) == (6, wanted.shape[1])
    found = np.load(out)
    assert found["paths"].tolist() == ["a/0.png", "a/2.png", "a/4.png", "b/1.png", "b/3.png",
                                       "b/5.png"]  # fmt: skip
    assert np.allclose(found["features"], wanted, atol=1e-5)
    assert found["classes"][found["labels"]].tolist() == ["a", "a", "a", "b", "b", "b"]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere", "-o", "x.npz"), "E715"),
        (("{run}", "-o", "x.csv"), "--output ends in"),
        (("{run}", "-o", "nowhere/x.npz"), "there is no folder"),
        (("{run}", "cifar11()", "-o", "x.npz"), "E2"),
        (("{empty}", "-o", "x.npz"), "E607"),
    ],
)
def test_what_is_wrong_is_told(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    run = run_folder.create(tmp_path / "runs", "simclr")
    empty = run_folder.create(tmp_path / "runs", "simclr")
    written(run.embedders / "pretrain", learner("simclr"))
    given = [text.format(run=run.path, empty=empty.path) for text in arguments]
    result = embed(*given)
    assert result.exit_code in (1, 2)
    assert told in result.output
    assert not Path("x.npz").exists()


@pytest.mark.slow
def test_the_model_in_mlflow_needs_neither_run_nor_installation(tmp_path: Path) -> None:
    """It brings this package with it; the run's folder is gone."""
    spec = str(ROOT / "specs/simclr.ssl")
    command = [sys.executable, "-m", "sslang", "run", spec, *TINY["simclr"], "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True,
                          env=_environment())  # fmt: skip
    run = run_folder.open_run(Path(json.loads(done.stdout)["folder"]))
    tracking = run.record().tracking
    assert tracking is not None
    assert tracking.model_id
    result = CliRunner().invoke(main, ["register", str(run.path), "encoder", "--json"])
    uri = json.loads(result.stdout.splitlines()[-1])["uri"]
    example = np.load(next(run.embedders.glob("*/example.npz")))
    np.save(tmp_path / "images.npy", example["images"])
    run.path.rename(tmp_path / "away")
    code = (
        "import sys, mlflow, numpy as np\n"
        f"mlflow.set_tracking_uri({tracking.uri!r})\n"
        f"model = mlflow.pyfunc.load_model({uri!r})\n"
        "import sslang; assert 'mlruns' in sslang.__file__, sslang.__file__\n"
        "assert model.metadata.signature is not None\n"
        "np.save('found.npy', model.predict(np.load('images.npy')))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert np.allclose(np.load(tmp_path / "found.npy"), example["features"], atol=1e-5)


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
