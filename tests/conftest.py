"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

# The nets of the tests are tiny: threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent
SPECS = sorted((ROOT / "specs").glob("*.ssl"))

# A spec small enough to train in a second: overrides that fit every spec of the project.
_SMALL = ("backbone=resnet18(width = 0.125, stem = small)", "size=16", "batch=64",
          "length=12 steps", "evaluate=knn()",
          "optimizer=adamw(lr = cosine(1e-3 -> 0))")  # fmt: skip
_VIT = (*_SMALL[1:], "backbone=vit(patch = 8, width = 16, depth = 1, heads = 2)")
TINY = {
    "instdisc": (*_SMALL, "dim=8", "negatives=16"),
    "invaspread": (*_SMALL, "dim=8"),
    "cmc": (*_SMALL, "dim=8", "negatives=16"),
    "mocov1": (*_SMALL, "dim=8", "memory=256"),
    "mocov2": (*_SMALL, "hidden=16", "dim=8", "memory=256"),
    "mocov3_vit": (*_VIT, "hidden=16", "dim=8"),
    "simclr": (*_SMALL, "hidden=16", "dim=8"),
    "swav": (
        *_SMALL,
        "hidden=16",
        "dim=8",
        "local_size=8",
        "clusters=8",
        "memory=128",
        "recent[v in global, memory] = empty(dim) with (from = 2 steps)",
    ),
    "byol": (*_SMALL, "hidden=16", "dim=8", "groups=[]"),
    "simsiam": (*_SMALL, "hidden=8", "dim=16", "groups=[]"),
    "cpc": (
        *_SMALL[1:],
        "backbone=resnet(depth = 18, width = 0.125, stem = small, norm = none, stages = 1)",
        "context=pixel_cnn(layers = 1)",
        "resized=16",
        "patch=4",
        "stride=4",
        "cut=4",
        "dim=8",
        "steps=2",
        "negatives=4",
    ),
    "simclrv2": (
        *_SMALL,
        "hidden=16",
        "dim=8",
        "small_backbone=resnet18(width = 0.125, stem = small)",
        "finetune { optimizer = adamw(lr = cosine(1e-3 -> 0)) }",
    ),
    "dino": (*_VIT, "hidden=16", "local_size=8", "outputs=32"),
}


# Tests of these files share what is dear: a server of processes, runs, a database, verdicts.
TOGETHER = (
    ("train/test_processes", "train/test_shared_states", "train/test_shard", "train/test_split",
     "train/test_together"),
    ("train/test_phases",), ("track/test_recorder",), ("faults/test_faults",),
    ("evaluate/test_probe",), ("fidelity/test_passes_agree",), ("fidelity/test_defects_of_peers",),
)  # fmt: skip
_GROUPS = {f"tests/{name}.py": names[0] for names in TOGETHER for name in names}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Send the tests of `TOGETHER` to one worker of several, and all others one by one."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _GROUPS.get(nodeid.partition("::")[0], nodeid)

    return Scheduling(config, log) if config.getvalue("dist") == "load" else None


@pytest.fixture(params=SPECS, ids=lambda p: p.stem)
def spec(request: pytest.FixtureRequest) -> Path:
    """Each spec of the project."""
    path = request.param
    assert isinstance(path, Path)
    return path


# What trains or searches takes these by default, which have one of a kind between them: a queue
# and shuffled rows; families of views and weights; phases and labels; two nets, banks and draws.
FEW = ("mocov2", "swav", "simclrv2", "cmc")
BY_FEW = [pytest.param(path, marks=() if path.stem in FEW else pytest.mark.slow) for path in SPECS]


@pytest.fixture(params=BY_FEW, ids=[path.stem for path in SPECS])
def trained_spec(request: pytest.FixtureRequest) -> Path:
    """Each spec of the project; those that have nothing of their own are slow."""
    path = request.param
    assert isinstance(path, Path)
    return path


@pytest.fixture
def tiny(spec: Path) -> tuple[str, ...]:
    """Overrides that make the spec small."""
    return TINY[spec.stem]
