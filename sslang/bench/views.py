"""What views cost, op by op, in kornia's form and in ours, interleaved; and how far they differ.

`sslang bench SPEC --views` does it for a spec; `python -m sslang.bench.views` for every chain of
the standard library at 32 and 224 pixels, and writes the table of differences.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from sslang.diagnostics import Source
from sslang.emit.method import Method, Sizes
from sslang.emit.view_draws import is_augmentation
from sslang.ir.program import Program
from sslang.ops import PRIMITIVES
from sslang.passes import PIPELINE
from sslang.std import declarations
from sslang.train.options import RunOptions
from sslang.train.run import prepare

WARM_UP = 2
DRAWING = "(draws, on the host)"


@dataclass(frozen=True)
class Cost:
    """Median milliseconds of an op of a view, by kornia and in the form that ours has.

    `ours` is None for an op that kornia alone computes, `kornia` for one that only we do.
    """

    view: str
    op: str
    kornia: float | None
    ours: float | None


class _Timed(fx.Interpreter):
    """Runs the code of views and notes how long each op takes."""

    def __init__(self, module: fx.GraphModule, seconds: dict[str, list[float]]) -> None:
        super().__init__(module)
        self.seconds = seconds

    def run_node(self, n: fx.Node) -> Any:
        began = time.perf_counter()
        result = super().run_node(n)
        if isinstance(result, Tensor) and result.device.type == "cuda":
            torch.cuda.synchronize(result.device)
        if n.op == "call_function":
            self.seconds.setdefault(n.name, []).append(time.perf_counter() - began)
        return result


def costs(by_kornia: Method, ours: Method, images: Tensor, sizes: Sizes, rounds: int) -> list[Cost]:
    """What each op of the views costs, in the order of the chain; the forms take turns."""
    forms = (by_kornia, ours)
    seconds: tuple[dict[str, list[float]], ...] = ({}, {})
    for number in range(WARM_UP + rounds):
        for form, found in zip(forms, seconds, strict=True):
            began = time.perf_counter()
            rows = np.arange(len(images))
            drawn = form.drawing(number, len(images)).all(form.view_code.draws, rows)
            found.setdefault(DRAWING, []).append(time.perf_counter() - began)
            _Timed(form.view_code.module, found).run(images, sizes, *drawn)
    medians = [{k: 1e3 * statistics.median(v[WARM_UP:]) for k, v in found.items()}
               for found in seconds]  # fmt: skip
    costs = [Cost("", DRAWING, medians[0][DRAWING], medians[1][DRAWING])]
    for node in by_kornia.graph.nodes:
        if node.name not in medians[0] or node.op not in PRIMITIVES:
            continue
        view = str(node.setting("site", "")).partition("/")[2].partition("/")[0]
        kornia, own = medians[0][node.name], medians[1][node.name]
        if is_augmentation(node.op):
            costs.append(Cost(view, node.op, kornia, None))
        elif PRIMITIVES[node.op].fused:
            costs.append(Cost(view, node.op, kornia, own))
        else:
            costs.append(Cost(view, node.op, None, own))
    return costs


def costs_of(program: Program, options: RunOptions, rounds: int) -> list[Cost]:
    """What the views of a spec cost on its first batch. Raises DiagnosticError."""
    from sslang.data.batches import Batches

    data, learner = prepare(program, options)
    with Batches(
        data.train, learner.recipe.batch, last_batch=learner.recipe.last_batch, seed=options.seed,
        phase=program.phase, device=learner.device, workers=0,
    ) as batches:  # fmt: skip
        batch = next(batches)
    by_kornia, ours = (
        Method(program, options.seed, dims=data.dims, passes=passes, device=learner.device)
        for passes in ((), PIPELINE)
    )
    return costs(by_kornia, ours, batch.pixels, batch.sizes, rounds)


def lines_of(found: list[Cost]) -> list[str]:
    """A table: op, milliseconds by kornia and in our form, and the ratio."""
    lines = [f"{'view':16}{'op':28}{'kornia, ms':>12}{'ours, ms':>12}{'kornia / ours':>15}"]
    for cost in found:
        both = cost.kornia is not None and cost.ours is not None
        ratio = f"{cost.kornia / cost.ours:.2f}" if both and cost.ours else "-"  # type: ignore[operator]
        shown = [f"{ms:.2f}" if ms is not None else "-" for ms in (cost.kornia, cost.ours)]
        lines.append(f"{cost.view:16}{cost.op:28}{shown[0]:>12}{shown[1]:>12}{ratio:>15}")
    totals = [sum(m if m is not None else other or 0.0 for m, other in pairs) for pairs in (
        [(c.kornia, c.ours) for c in found], [(c.ours, c.kornia) for c in found],
    )]  # fmt: skip
    lines.append(f"{'':16}{'all':28}{totals[0]:>12.2f}{totals[1]:>12.2f}"
                 f"{totals[0] / totals[1]:>15.2f}")  # fmt: skip
    return lines


# --- the chains of the standard library -----------------------------------------------------

_SPEC = """method "chain"
view a = {chain}
encoder f = resnet18(width = 0.0625, stem = small)
loss = mean(f(a))
recipe default : laptop {{ data = image_folder("of any size") }}
"""
_SIZES = {
    "cpc_views": {32: "size = 64, resized = 75, patch = 16, stride = 8, cut = 15", 224: ""},
    "cpc_stl_views": {32: "", 224: ""},
}


def chains() -> tuple[str, ...]:
    """The names of the standard library's chains."""
    return tuple(
        name for kind, name, _ in declarations() if kind == "fn" and name.endswith("_views")
    )


def forms_of(chain: str, size: int) -> tuple[Method, Method]:
    """A view by a chain of the standard library, in kornia's form and in ours."""
    from sslang.ir.build import build
    from sslang.model.overlay import resolve
    from sslang.model.resolve import load

    given = _SIZES.get(chain, {}).get(size, str(size))
    text = _SPEC.format(chain=f"{chain}({given})")
    program = build(resolve(load(Source("chain.ssl", text))))
    return Method(program, 0, passes=()), Method(program, 0, passes=PIPELINE)


def stored(rows: int, side: int) -> tuple[Tensor, Sizes]:
    """Images of noise over a slope of colours, of sizes that differ."""
    made = torch.Generator().manual_seed(0)
    slope = torch.linspace(0, 200, side)[None, None, :, None] * torch.rand(
        rows, 3, 1, 1, generator=made
    )
    images = (slope + 55 * torch.rand(rows, 3, side, side, generator=made)).to(torch.uint8)
    return images, np.random.default_rng(0).integers(int(0.7 * side), side + 1, (rows, 2))


def difference(by_kornia: Method, ours: Method, images: Tensor, sizes: Sizes, step: int) -> float:
    """The largest difference of a view's values in a step."""
    first, second = (form.views(images, sizes, step) for form in (by_kornia, ours))
    return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))


def _rows() -> Iterator[str]:
    yield "| chain | largest difference, 32 pixels | kornia / fused, 32 | at 224 |"
    yield "|---|---|---|---|"
    for name in chains():
        images, sizes = stored(64, 92)
        forms = forms_of(name, 32)
        worst = max(difference(*forms, images, sizes, step) for step in range(4))
        ratios = []
        for size, rows, rounds in ((32, 256, 9), (224, 32, 5)):
            pair = forms_of(name, size)
            found = costs(*pair, *stored(rows, 92 if size == 32 else 320), rounds)
            by_kornia = sum(c.kornia if c.kornia is not None else c.ours or 0.0 for c in found)
            ours = sum(c.ours if c.ours is not None else c.kornia or 0.0 for c in found)
            ratios.append(by_kornia / ours)
        yield f"| {name} | {worst:.1e} | {ratios[0]:.2f} | {ratios[1]:.2f} |"


if __name__ == "__main__":
    for row in _rows():
        print(row, flush=True)
