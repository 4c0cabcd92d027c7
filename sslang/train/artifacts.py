"""What a run leaves beside its metrics: texts, pictures, the exported encoder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sslang.data.batches import Batch
from sslang.emit.graph import printed
from sslang.emit.nets.net import Net
from sslang.ir.graph import APPLY
from sslang.ir.picture import graph_svg
from sslang.ir.text import graph_text
from sslang.track.export import export_encoder
from sslang.track.files import write_atomic
from sslang.track.pictures import contact_sheet, loss_curve
from sslang.track.recorder import Recorder
from sslang.track.run_folder import RunFolder
from sslang.train.learner import Learner


def write_texts(folder: RunFolder, recorder: Recorder, learner: Learner) -> None:
    """Source, resolved spec, IR, generated code and the picture of the graph."""
    program, method = learner.program, learner.method
    pairs = [pair for average in program.averages for pair in average.pairs]
    texts = {
        "spec.ssl": folder.spec_path.read_text(encoding="utf-8"),
        "resolved.ssl": program.spec.text,
        "ir.txt": graph_text(method.graph),
        "generated.py": generated(learner),
        "graph.svg": graph_svg(program.step, title=program.spec.method, averages=pairs),
    }
    for name, text in texts.items():
        path = folder.artifacts / name
        write_atomic(path, text)
        recorder.artifact(path)


def generated(learner: Learner) -> str:
    """The code of views and step, as a person reads it."""
    method = learner.method
    return (
        f"# {method.program.spec.method}: the views, then the step.\n\n"
        f"{printed(method.view_code)}\n\n{printed(method.step_code)}"
    )


def write_views(folder: RunFolder, recorder: Recorder, learner: Learner, batch: Batch) -> None:
    """A sheet of the first images under every view, as the first step sees them."""
    views = learner.views(batch.pixels, batch.sizes)
    path = folder.artifacts / "views.png"
    contact_sheet([_shown(v) for v in views], path, names=list(learner.method.view_code.views))
    recorder.artifact(path)


def _shown(view: Tensor) -> Tensor:
    """Values of a view moved into 0..1, where a normalisation has taken them out of it."""
    view = view[:16].float().cpu()
    if view.min() >= 0 and view.max() <= 1:
        return view
    low, high = view.amin((0, 2, 3), keepdim=True), view.amax((0, 2, 3), keepdim=True)
    return (view - low) / (high - low).clamp_min(1e-6)


def write_curve(folder: RunFolder, recorder: Recorder, title: str) -> None:
    path = folder.artifacts / "loss.png"
    metrics = ("train/loss", "health/effective_rank", "eval/knn_top1")
    loss_curve(folder.metrics(), path, title=title, metrics=metrics)
    recorder.artifact(path)


def write_encoder(folder: RunFolder, recorder: Recorder, learner: Learner) -> Path | None:
    """The net whose output is `features`, for other programs; None where there is not just one."""
    program = learner.program
    if program.features is None:
        return None
    last = program.features.node(program.features.outputs["features"])
    if last.op != APPLY:
        return None
    name = last.setting("net")
    plan, net = program.net(name), learner.method.net(name)
    assert isinstance(net, Net)
    if len(plan.stages) != 1:
        return None
    path, arguments = plan.stages[0]
    config = {
        "architecture": path.rpartition(".")[2],
        "arguments": dict(arguments),
        "method": program.spec.method,
        "spec_hash": program.spec.hash,
        "input": _input(learner),
    }
    state = {k: v for k, v in net[0].state_dict().items() if isinstance(v, torch.Tensor)}
    target = folder.artifacts / "encoder"
    export_encoder(target, state, config)
    recorder.artifact(target)
    return target


def _input(learner: Learner) -> list[str]:
    """How an image becomes the encoder's input: the operations of its evaluation form."""
    assert learner.program.features is not None
    lines = []
    for node in learner.program.features.nodes:
        if node.op in ("image", APPLY):
            continue
        settings = ", ".join(f"{k} = {v}" for k, v in node.settings)
        lines.append(f"{node.op}({settings})")
    return lines
