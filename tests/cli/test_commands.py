"""The commands as a user types them, in this process where that shows the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from sslang.cli.main import main
from sslang.track.sheets import GAP, LINE
from tests.conftest import ROOT, TINY

SIMCLR = str(ROOT / "specs/simclr.ssl")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def broken(folder: Path) -> str:
    path = folder / "broken.ssl"
    text = (ROOT / "specs/mocov2.ssl").read_text()
    path.write_text(text.replace("stop_grad(target(key))", "target(kye)"))
    return str(path)


def test_help_lists_every_command() -> None:
    result = call("--help")
    assert result.exit_code == 0
    for name in ("run", "check", "fmt", "show", "doc", "runs", "track", "ui", "completion"):
        assert name in result.output


def test_an_unknown_command_is_a_usage_error_with_the_nearest_name() -> None:
    result = call("rnu")
    assert result.exit_code == 2
    assert "`run`" in result.output


def test_check_passes_the_specs_and_fails_a_broken_one(tmp_path: Path) -> None:
    assert call("check", SIMCLR).exit_code == 0
    result = call("check", broken(tmp_path))
    assert result.exit_code == 1
    assert "E201" in result.output
    assert "`key`" in result.output
    data = json.loads(call("check", broken(tmp_path), "--json").stdout)
    first = data["diagnostics"][0]
    assert (first["code"], first["line"] > 1) == ("E201", True)


def test_check_of_a_missing_file_is_a_diagnostic() -> None:
    result = call("check", "no-such.ssl")
    assert result.exit_code == 1
    assert "E206" in result.output


def test_fmt_changes_once(tmp_path: Path) -> None:
    path = tmp_path / "a.ssl"
    path.write_text('method   "A"\nloss=1\n')
    assert call("fmt", "--check", str(path)).exit_code == 1
    assert call("fmt", str(path)).exit_code == 0
    assert path.read_text() == 'method "A"\nloss = 1\n'
    assert call("fmt", "--check", str(path)).exit_code == 0


@pytest.mark.parametrize(
    ("stage", "shows"),
    [("tree", "Method name='SimCLR'"), ("resolved", "fn nt_xent"), ("ir", "other rows"),
     ("torch", "def forward(self, a, b)")],
)  # fmt: skip
def test_show_has_every_stage(stage: str, shows: str) -> None:
    result = call("show", SIMCLR, "--stage", stage)
    assert result.exit_code == 0
    assert shows in result.stdout


def test_show_takes_overrides() -> None:
    result = call("show", SIMCLR, "temperature=0.37", "--stage", "ir")
    assert "0.37" in result.stdout
    wrong = call("show", SIMCLR, "temprature=0.37")
    assert wrong.exit_code == 1
    assert "`temperature`" in wrong.output


def test_show_says_how_a_large_bank_is_shared() -> None:
    spec = str(ROOT / "specs/instdisc.ssl")
    large = ("--processes", "2", "--images", "200000")
    fetch = "gather = fetch(memory, ask_columns)"
    assert fetch in call("show", spec, "--stage", "ir", *large).stdout
    assert fetch not in call("show", spec, "--stage", "ir", "--processes", "2").stdout
    assert fetch not in call("show", spec, "--stage", "ir", "--images", "200000").stdout
    code = call("show", spec, "--stage", "torch", *large).stdout
    assert "part.fetch(memory, ask_columns)" in code
    told = call("show", spec, "--communication", *large).stdout
    assert "rows of memory[columns] [at most 16416 x 128]" in told
    assert "sends at most 7,180,660 bytes\n" in told
    assert "at most" not in call("show", spec, "--communication").stdout


def test_show_draws_the_graph(tmp_path: Path) -> None:
    path = tmp_path / "graph.svg"
    assert call("show", SIMCLR, "--graph", str(path)).exit_code == 0
    assert path.read_text().startswith("<svg")
    assert call("show", SIMCLR, "--graph", str(tmp_path / "graph.gif")).exit_code == 2


def test_show_draws_the_views(tmp_path: Path) -> None:
    path = tmp_path / "views.png"
    assert call("show", SIMCLR, *TINY["simclr"], "--views", str(path), "--rows", "3").exit_code == 0
    with Image.open(path) as sheet:
        assert sheet.height == 2 * LINE + 2 * GAP + 3 * (32 + GAP)
        first = np.asarray(sheet)
    again = tmp_path / "again.png"
    call("show", SIMCLR, *TINY["simclr"], "--views", str(again), "--rows", "3", "--seed", "1")
    with Image.open(again) as sheet:
        assert sheet.size == first.shape[1::-1]
        assert not np.array_equal(np.asarray(sheet), first)
    for wrong in ("views.jpg", "nowhere/views.png"):
        result = call("show", SIMCLR, "--views", str(tmp_path / wrong))
        assert result.exit_code == 2
        assert "--views" in result.output


def test_doc_explains_every_name_it_lists() -> None:
    pages = json.loads(call("doc", "--json").stdout)
    assert {"info_nce", "color_jitter", "knn", "cosine", "laptop", "ema", "@"} <= pages.keys()
    for name, page in pages.items():
        assert page["body"].strip(), f"`{name}` has no page"
    assert "arXiv" not in call("doc", "nothing_like_it").output
    assert call("doc", "colour_jitter").exit_code == 1


def test_runs_lists_what_a_run_reached(tmp_path: Path) -> None:
    out = str(tmp_path / "runs")
    ran = call("run", SIMCLR, *TINY["simclr"], "--out", out, "--tracking", "off", "--device", "cpu",
               "--workers", "0", "--json")  # fmt: skip
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout.strip().splitlines()[-1])
    assert told["finished"] is True
    (row,) = json.loads(call("runs", "--out", out, "--json").stdout)
    assert row["status"] == "FINISHED"
    assert row["eval/knn_top1"] == pytest.approx(told["results"]["eval/knn_top1"])
    assert "simclr/" in call("runs", "--out", out).output


def test_a_wrong_device_is_a_diagnostic(tmp_path: Path) -> None:
    result = call("run", SIMCLR, "--out", str(tmp_path), "--device", "cuda:99")
    assert result.exit_code == 1
    assert "E704" in result.output


def test_missing_data_points_at_its_line(tmp_path: Path) -> None:
    result = call("run", SIMCLR, 'data=image_folder("nowhere")', "--out", str(tmp_path),
                  "--device", "cpu")  # fmt: skip
    assert result.exit_code == 1
    assert "E601" in result.output
    assert "nowhere" in result.output
    assert list(tmp_path.iterdir()) == []


def test_ui_says_what_it_would_start(tmp_path: Path) -> None:
    told = json.loads(call("ui", "--out", str(tmp_path / "runs"), "--json").stdout)
    assert told["url"].startswith("http://127.0.0.1")
    assert "mlflow" in told["command"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed(shell: str) -> None:
    assert "_SSLANG_COMPLETE" in call("completion", shell).output


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["check", "specs/simclr.ssl"], ["doc"], ["doc", "ema"], ["doc", "rotation"]],
)
def test_front_commands_never_import_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom sslang.cli.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n"
        "    assert end.code in (0, None), end.code\n"
        "named = {'torch', 'torchvision', 'kornia', 'timm', 'mlflow', 'matplotlib'}\n"
        "heavy = named & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "light = {'pydantic', 'lark', 'rich', 'numpy'} & set(sys.modules)\n"
        f"assert {arguments!r} != ['--help'] or not light, light\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
