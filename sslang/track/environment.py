"""What a run ran on: versions of libraries, and the state of the repository around it."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_LIBRARIES = ("sslang", "torch", "torchvision", "kornia", "timm", "numpy", "pillow", "mlflow")


@dataclass(frozen=True)
class GitState:
    """The commit that is checked out, and whether tracked or new files differ from it."""

    commit: str
    dirty: bool


def versions() -> dict[str, str]:
    """Python's version and those of the installed libraries that bear on a result."""
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state(folder: Path) -> GitState | None:
    """The state of the repository that holds `folder`; None outside one, or without git."""
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain")
    if commit is None or changes is None:
        return None
    return GitState(commit.strip(), bool(changes.strip()))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
