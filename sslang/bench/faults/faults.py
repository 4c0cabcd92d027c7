"""Every fault by its name, in the order of the table."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial

from sslang.bench.faults import disks, killed, others, tracking
from sslang.bench.faults.bench import Bench, Row

FAULTS: dict[str, Callable[[Bench], Row]] = {
    **{f"kill-{n}": partial(killed.kill_run, number=n) for n in range(3)},
    **{f"kill-save-{n}": partial(killed.kill_in_save, number=n) for n in range(2)},
    "kill-worker": killed.kill_worker,
    "kill-workers-twice": killed.kill_workers_twice,
    "kill-rank": killed.kill_rank,
    "kill-part": killed.kill_between_parts,
    "kill-launcher": killed.kill_launcher,
    "sigterm": killed.asked(signal.SIGTERM),
    "sigusr1": killed.asked(signal.SIGUSR1),
    "ctrl-c": killed.asked(signal.SIGINT),
    "full-disk": disks.full_disk,
    "file-limit": disks.file_limit,
    "truncated": disks.damage("truncated checkpoint", disks.cut),
    "flipped": disks.damage("flipped bit in a checkpoint", disks.flip),
    "vanishing": disks.vanishing,
    "too-many-vanish": disks.too_many_vanish,
    "nan": others.not_a_number,
    "memory": others.out_of_memory,
    "two-runs": others.two_in_one_folder,
    "tracking-server": tracking.server_killed,
    "database": tracking.database_at_once,
}
