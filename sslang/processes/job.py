"""`sslang run` as a task of a submitit job: one process, which saves before the job is requeued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from sslang.processes.environment import PARENT
from sslang.processes.slurm import port_of

AGAIN = 75  # the exit status of a run that has saved and asks to be started once more
_UNTIL_REQUEUED = 600.0  # seconds


class Job:
    """What submitit pickles: the arguments of `sslang run`.

    A job that is started once more has the same arguments: the run finds what it has saved.
    """

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self.arguments = arguments
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run to the end, in a process of its own. Raises RuntimeError where that fails."""
        import submitit

        given = place_variables(submitit.JobEnvironment())
        self._child = subprocess.Popen(
            [sys.executable, "-m", "sslang", "run", *self.arguments],
            env={**os.environ, **given, PARENT: str(os.getpid())},
            preexec_fn=_ignore_notice,
        )
        while self._child.poll() is None:
            time.sleep(0.2)
        code = self._child.returncode
        if code == AGAIN:  # the first task of the job requeues it, and must not be ended before
            time.sleep(_UNTIL_REQUEUED)
        if code:
            raise RuntimeError(f"sslang run ended with exit status {code}")
        return code

    def checkpoint(self) -> Any:
        """submitit calls this in a signal handler of the first task, before the time is over.

        The run saves after its step, at all processes, for they agree on stopping.
        """
        from submitit.helpers import DelayedSubmission

        if self._child is not None and self._child.returncode is None:
            self._child.send_signal(signal.SIGUSR1)
            # Not Popen.wait, whose lock the interrupted poll may hold.
            os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(Job(self.arguments))


def place_variables(env: Any) -> Mapping[str, str]:
    """The variables of torch's launcher for a task, from submitit's JobEnvironment."""
    several = env.num_nodes > 1
    job = int("".join(c for c in env.job_id if c.isdecimal()) or 0)
    return {
        "RANK": str(env.global_rank),
        "WORLD_SIZE": str(env.num_tasks),
        "LOCAL_RANK": str(env.local_rank),
        "LOCAL_WORLD_SIZE": str(env.num_tasks // env.num_nodes),
        "MASTER_ADDR": env.hostnames[0] if several else "127.0.0.1",
        "MASTER_PORT": str(port_of(job)),
    }


def _ignore_notice() -> None:
    """The signal that announces the end goes to every process of a task; submitit alone acts."""
    name = os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2")
    signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)
