"""Which run a command goes on with that the system has started once more.

Slurm starts a requeued job with the command it had, and sets SLURM_RESTART_COUNT. Other
queues, and a loop in a shell, look at the exit code: 75 asks to be run again. In both cases
the same command finds its own run by itself; a run that ended in any other way is gone on
with by `--resume` alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from sslang.track.run_folder import RunFolder, RunRecord, list_runs
from sslang.train.stopping import AGAIN

PATIENCE = 12.0  # seconds: torch's loader processes look for their parent every five


def job() -> str:
    """The job of a queue that this process is of; empty outside of one."""
    number = os.environ.get("SLURM_JOB_ID", "")
    array, task = (os.environ.get(f"SLURM_ARRAY_{n}", "") for n in ("JOB_ID", "TASK_ID"))
    return f"slurm {array}_{task}" if array and task else f"slurm {number}" if number else ""


def unfinished(root: Path, name: str, spec_hash: str, seed: int) -> RunFolder | None:
    """The run below `root` that the same command had begun and that asks to be gone on with.

    The newest of this name, spec and seed: in a requeued job the one of that job, whatever ended
    it; else the last one where it ended with exit code 75. None where there is none, it is
    finished or still alive, or it has no checkpoint yet.
    """
    requeued = os.environ.get("SLURM_RESTART_COUNT", "0") not in ("", "0")
    for folder in reversed(list_runs(root)):
        record = folder.record()
        if (record.name, record.spec_hash, record.seed) != (name, spec_hash, seed):
            continue
        if requeued and record.job != job():
            continue
        return folder if _asks(folder, record, requeued) else None
    return None


def _asks(folder: RunFolder, record: RunRecord, requeued: bool) -> bool:
    if record.status == "FINISHED" or (not requeued and record.exit_code != AGAIN):
        return False
    if folder.is_live(patience=PATIENCE if requeued else 0.0):
        return False
    return any(folder.checkpoints.glob("step-*.pt"))
