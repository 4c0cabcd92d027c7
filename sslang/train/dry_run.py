"""`--dry-run`: everything a run does before and in its first step, and nothing written."""

from __future__ import annotations

from dataclasses import dataclass

from sslang.data.batches import Batches
from sslang.ir.program import Program
from sslang.ops.schedules import Clock, Schedule, value_at
from sslang.train.memory import explaining_memory, naming_memory
from sslang.train.options import RunOptions
from sslang.train.out_of_range import naming_index
from sslang.train.run import prepare
from sslang.train.view_values import expect_declared_values


@dataclass(frozen=True)
class Rehearsal:
    """What a run would be."""

    method: str
    images: int
    steps: int
    steps_per_epoch: int
    parameters: dict[str, int]
    frozen: int
    loss: float
    schedules: dict[str, list[float]]

    def plain(self) -> dict[str, object]:
        return dict(vars(self))

    def text(self) -> str:
        lines = [
            f"{self.method}: {self.images} images, {self.steps_per_epoch} steps an epoch, "
            f"{self.steps} steps",
            "trained parameters: "
            + ", ".join(f"{name} {count:,}" for name, count in self.parameters.items()),
            f"frozen tensors: {self.frozen}",
            f"loss of the first step: {self.loss:.4f}",
        ]
        for name, values in self.schedules.items():
            shown = "  ".join(f"{v:.3g}" for v in values)
            lines.append(f"{name} at 0, 5, 10, 25, 50, 75, 100 % of the run: {shown}")
        return "\n".join(lines)


def dry_run(program: Program, options: RunOptions) -> Rehearsal:
    """Open the data, build the nets, take one step. Raises DiagnosticError."""
    data, learner = prepare(program, options)
    with Batches(
        data.train, learner.recipe.batch, last_batch=learner.recipe.last_batch,
        seed=options.seed, phase=program.phase, device=learner.device, workers=0,
        share=learner.share,
    ) as batches:  # fmt: skip
        batch = next(batches)
        with naming_memory("making the views", learner.device, learner):
            expect_declared_values(learner.method, batch)
        with naming_index(learner), explaining_memory(learner, batch, options.processes):
            report = learner.train_step(
                batch.pixels, batch.sizes, index=batch.index, label=batch.label, batch=batch.rows
            )
        if program.features is not None:
            with learner.whole():  # what only evaluation would find
                learner.features(batch.pixels[:2], batch.sizes[:2])
    counts: dict[str, int] = {}
    for name, parameter in learner.method.trained():
        net = name.split(".")[0]
        counts[net] = counts.get(net, 0) + parameter.numel()
    return Rehearsal(
        method=program.spec.method,
        images=len(data.train),
        steps=learner.total_steps,
        steps_per_epoch=learner.steps_per_epoch,
        parameters=counts,
        frozen=len(learner.method.frozen),
        loss=float(report.loss),
        schedules=_schedules(program, learner.total_steps, learner.steps_per_epoch),
    )


def _schedules(program: Program, total: int, epoch: int) -> dict[str, list[float]]:
    recipe = program.spec.recipe
    assert recipe is not None
    found: dict[str, object] = {
        n: getattr(recipe.optimizer, n) for n in type(recipe.optimizer).model_fields
    }
    found |= {f"momentum of {a.branch}": a.momentum for a in program.averages}
    steps = [min(total - 1, round(share * total)) for share in (0, 0.05, 0.1, 0.25, 0.5, 0.75, 1)]
    return {
        name: [value_at(value, Clock(step, total, epoch)) for step in steps]
        for name, value in found.items()
        if isinstance(value, Schedule)
    }
