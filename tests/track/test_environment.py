from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from sslang.track.environment import GitState, git_state, versions


def test_versions() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["torch"].startswith("2.")


def test_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git_state(tmp_path) is None
    identity = ("-c", "user.name=n", "-c", "user.email=e")

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    assert git_state(tmp_path) is None
    git("commit", "--allow-empty", "-m", "first")
    assert git_state(tmp_path) == GitState(git("rev-parse", "HEAD"), dirty=False)
    (tmp_path / "new").write_text("")
    assert git_state(tmp_path) == GitState(git("rev-parse", "HEAD"), dirty=True)
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) is None
