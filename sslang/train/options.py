"""Options of a run: how it is computed and where it goes, never what it computes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sslang.passes import Pass
    from sslang.processes.group import Processes

Precision = Literal["float32", "bfloat16"]
MicroBatch = int | Literal["auto"] | None


def _alone() -> Processes:
    from sslang.processes.group import ALONE  # imports torch

    return ALONE


@dataclass(frozen=True)
class RunOptions:
    """What the command line offers beside the spec. `device` None means the best there is.

    `processes` compute the run together. `micro_batch` is how many rows of its batch a process
    computes at a time: all for None, as many as memory takes for "auto". With `shard` the processes
    hold parameters, gradients and the optimizer's state together. `passes` are those of the device
    for None.
    """

    seed: int = 0
    device: str | None = None
    workers: int = 2
    out: Path = Path("runs")
    precision: Precision = "float32"
    compile: bool = False
    channels_last: bool = True
    tracking: str | None = None
    save_every: float = 60.0
    quiet: bool = False
    verbose: bool = False
    processes: Processes = field(default_factory=_alone)
    micro_batch: MicroBatch = None
    shard: bool = False
    passes: tuple[Pass, ...] | None = None

    def hash_of(self, spec_hash: str) -> str:
        """The hash of a run of a spec: another precision is another computation."""
        return spec_hash if self.precision == "float32" else f"{spec_hash}-{self.precision}"

    def resolved_device(self) -> str:
        """The device by name; without a wish, CUDA where it is."""
        import torch

        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")
