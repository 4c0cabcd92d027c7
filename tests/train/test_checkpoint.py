from __future__ import annotations

import hashlib
import os
import pickle
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from sslang.diagnostics import DiagnosticError
from sslang.processes.shards import Piece, rows_of
from sslang.train import checkpoint

_ROOT = str(Path(checkpoint.__file__).parents[2])


def _payload(step: int) -> dict[str, object]:
    return {
        "weights": {"w": torch.full((50, 50), float(step)), "n": torch.tensor(step)},
        "spec": "method",
        "pair": (1, 2.5, None, True, b"x", [torch.ones(2, dtype=torch.bfloat16)]),
    }


def _codes(error: pytest.ExceptionInfo[DiagnosticError]) -> list[str]:
    return [diagnostic.code for diagnostic in error.value.diagnostics]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _same(loaded: checkpoint.Loaded, step: int) -> bool:
    return loaded.step == step and torch.equal(
        loaded.payload["weights"]["w"], torch.full((50, 50), float(step))
    )


def test_returns_what_was_saved(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path / "new", 7, _payload(7))
    loaded = checkpoint.load(path)
    assert _same(loaded, 7)
    assert loaded.warnings == ()
    expected = _payload(7)["pair"]
    assert isinstance(expected, tuple)
    assert loaded.payload["pair"][:5] == expected[:5]
    assert loaded.payload["pair"][5][0].dtype == torch.bfloat16


def test_digest_file_is_that_of_sha256sum(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 7, _payload(7))
    done = subprocess.run(
        ["sha256sum", "-c", path.name + ".sha256"], cwd=tmp_path, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr


def test_keeps_two(tmp_path: Path) -> None:
    for step in (9, 10, 100):
        checkpoint.save(tmp_path, step, _payload(step))
    assert [name for name in _names(tmp_path) if name.endswith(".pt")] == [
        "step-00000010.pt",
        "step-00000100.pt",
    ]
    assert len(_names(tmp_path)) == 4


def test_the_same_step_twice(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 3, {"a": torch.zeros(2)})
    checkpoint.save(tmp_path, 3, {"a": torch.ones(2)})
    loaded = checkpoint.load_latest(tmp_path)
    assert loaded is not None
    assert torch.equal(loaded.payload["a"], torch.ones(2))


def test_no_checkpoint_yet(tmp_path: Path) -> None:
    assert checkpoint.load_latest(tmp_path) is None
    assert checkpoint.load_latest(tmp_path / "missing") is None


class _Pair(NamedTuple):
    a: int


@pytest.mark.parametrize("value", [{2}, np.float64(1), _Pair(1), torch.float32, np.zeros(1)])
def test_refuses_what_loading_would_refuse(tmp_path: Path, value: object) -> None:
    with pytest.raises(TypeError, match=rf"payload\['a'\]\[1\] is a {type(value).__name__}"):
        checkpoint.save(tmp_path, 1, {"a": [1, value]})
    assert _names(tmp_path) == []


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _lose_digest(path: Path) -> None:
    path.with_name(path.name + ".sha256").unlink()


def _flip_digest(path: Path) -> None:
    _flip(path.with_name(path.name + ".sha256"))


@pytest.mark.parametrize("damage", [_flip, _cut, _empty, _lose_digest, _flip_digest])
def test_damage_falls_back_to_the_one_before(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    checkpoint.save(tmp_path, 1, _payload(1))
    newest = checkpoint.save(tmp_path, 2, _payload(2))
    damage(newest)
    with pytest.raises(DiagnosticError) as error:
        checkpoint.load(newest)
    assert _codes(error) == ["E711"]
    loaded = checkpoint.load_latest(tmp_path)
    assert loaded is not None
    assert _same(loaded, 1)
    assert [w.code for w in loaded.warnings] == ["E712"]
    assert newest.name in loaded.warnings[0].message


def test_none_whole_is_an_error_not_a_new_start(tmp_path: Path) -> None:
    for step in (1, 2):
        _cut(checkpoint.save(tmp_path, step, _payload(step)))
    with pytest.raises(DiagnosticError) as error:
        checkpoint.load_latest(tmp_path)
    assert _codes(error) == ["E701", "E712", "E712"]


def _write_digest(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + ".sha256").write_text(f"{digest}  {path.name}\n")


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("evil-was-here",)


def test_an_evil_pickle_with_a_right_digest_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for content in (pickle.dumps({"step": 1, "payload": _Evil()}), b"no checkpoint"):
        path = tmp_path / "step-00000001.pt"
        path.write_bytes(content)
        _write_digest(path)
        with pytest.raises(DiagnosticError) as error:
            checkpoint.load(path)
        assert _codes(error) == ["E711"]
    torch.save({"step": 1, "payload": _Evil()}, path)
    _write_digest(path)
    with pytest.raises(DiagnosticError):
        checkpoint.load(path)
    assert not (tmp_path / "evil-was-here").exists()


@pytest.mark.parametrize("where", ["in the file", "at the digest"])
def test_full_disk_leaves_the_old_and_says_what_is_needed(tmp_path: Path, where: str) -> None:
    checkpoint.save(tmp_path, 1, _payload(1))
    before = _names(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    big = {"w": torch.zeros(500_000)} if where == "in the file" else {"w": torch.zeros(1)}
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000 if len(big["w"]) > 1 else 40, limits[1]))
    try:
        with pytest.raises(DiagnosticError) as error:
            checkpoint.save(tmp_path, 2, big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert _codes(error) == ["E713"]
    assert where == "at the digest" or "it needs 2.0 MB" in str(error.value)
    assert _names(tmp_path) == before
    loaded = checkpoint.load_latest(tmp_path)
    assert loaded is not None
    assert _same(loaded, 1)
    assert not loaded.warnings


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        payload = {"w": torch.ones(50_000)}  # 200 kB: one fits, two do not
        checkpoint.save(tmp_path, 1, payload)
        with pytest.raises(DiagnosticError) as error:
            checkpoint.save(tmp_path, 2, payload)
        assert _codes(error) == ["E713"]
        assert "No space left" in str(error.value)
        assert _names(tmp_path) == ["step-00000001.pt", "step-00000001.pt.sha256"]
        assert checkpoint.load_latest(tmp_path) is not None
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


_SAVE_FOR_EVER = """
    import sys, torch
    from pathlib import Path
    from sslang.train import checkpoint
    torch.set_num_threads(1)
    folder, step = Path(sys.argv[1]), int(sys.argv[2])
    print("ready", flush=True)
    while True:
        step += 1
        checkpoint.save(folder, step // 2, {"w": torch.full((300_000,), float(step // 2))})
"""


@pytest.mark.slow
def test_kill_in_the_middle_of_saving(tmp_path: Path) -> None:
    latest = 0
    for attempt in range(8):
        command = [sys.executable, "-c", textwrap.dedent(_SAVE_FOR_EVER), str(tmp_path)]
        process = subprocess.Popen(
            [*command, str(2 * latest)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": _ROOT},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        while not (tmp_path / f"step-{latest + 2:08}.pt").exists():
            time.sleep(0.001)
        time.sleep(0.0017 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        loaded = checkpoint.load_latest(tmp_path)
        assert loaded is not None
        assert loaded.warnings == ()
        assert loaded.step >= latest + 2
        assert torch.equal(loaded.payload["w"], torch.full((300_000,), float(loaded.step)))
        latest = loaded.step


def test_every_moment_of_a_save_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stops the save before each step that touches the folder, as a kill would."""

    class Killed(BaseException):
        pass

    for moment in range(20):
        folder = tmp_path / str(moment)
        checkpoint.save(folder, 1, _payload(1))
        checkpoint.save(folder, 2, _payload(2))
        left = [moment]

        def stop(function: object, left: list[int] = left) -> object:
            assert callable(function)

            def stopped(*args: object, **kwargs: object) -> object:
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
                return function(*args, **kwargs)

            return stopped

        with monkeypatch.context() as patch:
            for place, name in (
                (os, "fsync"),
                (Path, "replace"),
                (torch, "save"),
                (Path, "unlink"),
            ):
                patch.setattr(place, name, stop(getattr(place, name)))
            try:
                checkpoint.save(folder, 3, _payload(3))
            except Killed:
                pass
            else:
                assert moment > 6
                return
        loaded = checkpoint.load_latest(folder)
        assert loaded is not None
        assert loaded.warnings == ()
        assert _same(loaded, 2) or _same(loaded, 3)
    pytest.fail("the save has more than 20 moments?")


# --- in parts ------------------------------------------------------------------------------


TABLE = torch.arange(14.0).view(7, 2)


def _save_parts(
    folder: Path, step: int, count: int, name: str = "a", numbers: tuple[int, ...] = ()
) -> None:
    """What `count` processes save of a table of seven rows and of a number."""
    for number in numbers or range(count, 0, -1):
        at = rows_of(7, number - 1, count)
        piece = Piece(TABLE[at.start : at.stop] + step, at)
        payload = {"of all": torch.tensor(step), "list": [{"table": piece}]}
        checkpoint.save(folder, step, payload, part=checkpoint.Part(number, count, name))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_pieces_come_back_as_any_rows(tmp_path: Path, count: int) -> None:
    _save_parts(tmp_path, 4, count)
    loaded = checkpoint.load_latest(tmp_path)
    assert loaded is not None and loaded.payload["of all"] == 4
    pieces = loaded.payload["list"][0]["table"]
    assert torch.equal(pieces.whole(), TABLE + 4)
    for start in range(8):
        for stop in range(start, 8):
            assert torch.equal(pieces.rows(start, stop), TABLE[start:stop] + 4)


def test_a_checkpoint_without_one_of_its_parts_is_passed_over(tmp_path: Path) -> None:
    _save_parts(tmp_path, 1, 3)
    _save_parts(tmp_path, 2, 3, numbers=(2, 1))
    loaded = checkpoint.load_latest(tmp_path)
    assert loaded is not None and loaded.step == 1
    assert [w.code for w in loaded.warnings] == ["E712"]
    assert "part-3-of-3" in loaded.warnings[0].message


def test_a_damaged_part_is_found(tmp_path: Path) -> None:
    _save_parts(tmp_path, 1, 3)
    _save_parts(tmp_path, 2, 3)
    path = tmp_path / "step-00000002.part-2-of-3.pt"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    loaded = checkpoint.load_latest(tmp_path)
    assert loaded is not None and loaded.step == 1


def test_parts_of_two_saves_are_not_mixed(tmp_path: Path) -> None:
    """A step saved anew, and killed between the files: the others are of the save before."""
    _save_parts(tmp_path, 1, 2)
    _save_parts(tmp_path, 2, 2, "a")
    _save_parts(tmp_path, 2, 2, "b", numbers=(1,))
    loaded = checkpoint.load_latest(tmp_path)
    assert loaded is not None and loaded.step == 1
    assert "another save" in loaded.warnings[0].message


def _files(folder: Path) -> list[str]:
    return [name for name in _names(folder) if name.endswith(".pt")]


def test_old_parts_and_leftovers_go(tmp_path: Path) -> None:
    """One more than two stays: whether the newest is whole, the next save knows."""
    for step in (1, 2, 3, 4):
        _save_parts(tmp_path, step, 2)
    assert _files(tmp_path) == [
        f"step-0000000{step}.{part}" for step in (2, 3, 4) for part in ("part-2-of-2.pt", "pt")
    ]
    assert len(_names(tmp_path)) == 2 * len(_files(tmp_path))
    for left in (".step-00000005.pt.tmp", ".step-00000005.part-2-of-2.pt.tmp",
                 ".step-00000005.part-4-of-5.pt.tmp"):  # fmt: skip
        (tmp_path / left).touch()
    _save_parts(tmp_path, 5, 2, numbers=(1,))  # the second may be writing
    assert [name for name in _names(tmp_path) if name.startswith(".")] == [
        ".step-00000005.part-2-of-2.pt.tmp"
    ]
    _save_parts(tmp_path, 5, 2, numbers=(2,))
    assert not [name for name in _names(tmp_path) if name.startswith(".")]


def test_saves_that_are_cut_short_cost_no_whole_one(tmp_path: Path) -> None:
    """A save ends after its first file; the run goes on from before it, and the next one does."""
    for step in (10, 20):
        _save_parts(tmp_path, step, 2)
    _save_parts(tmp_path, 30, 2, numbers=(1,))
    for cut in (25, 27, 23):
        loaded = checkpoint.load_latest(tmp_path)
        assert loaded is not None and loaded.step == 20
        checkpoint.forget_after(tmp_path, loaded.step)
        _save_parts(tmp_path, cut, 2, numbers=(1,))
    checkpoint.forget_after(tmp_path, 20)
    assert {name.partition(".")[0] for name in _names(tmp_path)} == {
        "step-00000010", "step-00000020",
    }  # fmt: skip


def test_a_part_whose_first_file_was_never_written_goes(tmp_path: Path) -> None:
    _save_parts(tmp_path, 10, 2)
    _save_parts(tmp_path, 15, 2, numbers=(2,))
    for step in (20, 30, 40):
        _save_parts(tmp_path, step, 2)
    assert not [name for name in _names(tmp_path) if name.startswith("step-00000015")]


def test_a_part_alone_is_no_checkpoint(tmp_path: Path) -> None:
    _save_parts(tmp_path, 1, 2)
    with pytest.raises(DiagnosticError) as error:
        checkpoint.load(tmp_path / "step-00000001.part-2-of-2.pt")
    assert _codes(error) == ["E711"]
