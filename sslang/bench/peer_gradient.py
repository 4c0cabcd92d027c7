"""The gradient of one SimCLR step on two processes: ours, and that of a peer's package.

    python -m sslang.bench.peer_gradient

Both have the same net (without batch norm), the same views and the same loss. The truth of each is
its own gradient on the whole batch in one process. lightly is run as its documentation says: its
loss with `gather_distributed=True`, the net in torch's DistributedDataParallel; and, beside it,
without that switch.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sslang.api import load_source
from sslang.bench.equality import in_processes
from sslang.diagnostics import Source
from sslang.emit.split.step import Images
from sslang.processes.group import ALONE, Processes
from sslang.processes.rows import shares
from sslang.train.learner import Learner

BATCH = 32
SPEC = """\
method "SimCLR without batch norm"
view a, b = random_resized_crop(16) | horizontal_flip | color_jitter(0.4, 0.4, 0.4, 0.1) @ 0.8
encoder f = vit(patch = 4, width = 48, depth = 2, heads = 3, position = learned)
head g = mlp(64, 32, norm = none)
branch online = f | g
loss = nt_xent(online([a, b]), 0.1)
features = f(a)
recipe default {
    data = embedded()
    batch = 32
    length = 1 epochs
    optimizer = sgd(lr = 0.1)
}
"""


class Net(nn.Module):
    """The spec's nets, one after the other, as a user of plain torch has them."""

    def __init__(self, f: nn.Module, g: nn.Module) -> None:
        super().__init__()
        self.f, self.g = f, g

    def forward(self, x: Tensor) -> Any:
        return self.g(self.f(x))


def main(_: list[str]) -> int:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        in_processes(2, measure, Path(folder))
        rows = json.loads((Path(folder) / "rows.json").read_text("utf-8"))
    print("| gradient on two processes | difference from one process | length |")
    print("|---|---|---|")
    for name, difference, length in rows:
        print(f"| {name} | {difference:.1e} | {length:.3f} |")
    return 0


def measure(processes: Processes, folder: Path) -> None:
    """The rows of the table: |g - truth| / |truth| and |g| / |truth|."""
    alone, ours = learner(), learner(processes)
    random = np.random.default_rng(0)
    pixels = torch.from_numpy(random.integers(0, 256, (BATCH, 3, 24, 24), dtype=np.uint8))
    sizes = np.full((BATCH, 2), 24, dtype=np.int64)
    views = alone.views(pixels, sizes)
    torch.autograd.backward(alone.method(views, alone.clock).loss)
    mine = slice(*ours.share(BATCH))
    assert ours.split is not None
    counts = shares(BATCH, processes.count)
    ours.split.run(Images(pixels[mine], sizes[mine], {}, counts), ours.clock)
    rows = [("sslang", *compared(gradient(ours.method.nets), gradient(alone.method.nets)))]
    for name, gather in (("lightly, gather_distributed = True", True),
                         ("lightly, gather_distributed = False", False)):  # fmt: skip
        truth = lightly_gradient(views, slice(None), False, parallel=False)
        split = lightly_gradient(views, mine, gather, parallel=True)
        rows.append((name, *compared(split, truth)))
    if processes.is_first:
        (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")


def learner(processes: Processes = ALONE) -> Learner:
    program = load_source(Source("simclr.ssl", SPEC), None, ())
    return Learner(
        program, images=BATCH, dtype=torch.float64, channels_last=False, processes=processes
    )


def lightly_gradient(
    views: tuple[Tensor, ...], rows: slice, gather: bool, *, parallel: bool
) -> Tensor:
    """The gradient of lightly's loss on some rows of two views."""
    from lightly.loss import NTXentLoss

    nets = learner().method.nets
    net: nn.Module = Net(nets.get_submodule("f"), nets.get_submodule("g"))
    model = nn.parallel.DistributedDataParallel(net) if parallel else net
    loss = NTXentLoss(temperature=0.1, gather_distributed=gather)
    a, b = views
    torch.autograd.backward(loss(model(a[rows]), model(b[rows])))
    return gradient(nets)


def gradient(nets: nn.Module) -> Tensor:
    """All gradients in one vector."""
    found = [p.grad.reshape(-1) for p in nets.parameters() if p.grad is not None]
    return torch.cat(found)


def compared(found: Tensor, truth: Tensor) -> tuple[float, float]:
    """The difference and the length, relative to the truth."""
    norm = torch.linalg.vector_norm
    return float(norm(found - truth) / norm(truth)), float(norm(found) / norm(truth))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
