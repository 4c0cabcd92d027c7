"""What a run leaves beside its metrics: texts, pictures, the exported encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from sslang.data.source import Source
from sslang.emit.printed import printed
from sslang.ir.graph import APPLY
from sslang.ir.picture import graph_svg
from sslang.ir.program import NetPlan
from sslang.ir.text import graph_text
from sslang.track.export import export_encoder
from sslang.track.files import write_atomic
from sslang.track.pictures import loss_curve
from sslang.track.recorder import Recorder
from sslang.track.run_folder import RunFolder
from sslang.train import views
from sslang.train.learner import Learner


def write_specs(folder: RunFolder, recorder: Recorder) -> None:
    """The spec as written and as resolved, and as texts that MLflow's pages show."""
    for source in (folder.spec_path, folder.resolved_path):
        for name in (source.name, f"{source.name}.txt"):
            path = folder.artifacts / name
            write_atomic(path, source.read_text(encoding="utf-8"))
            recorder.artifact(path)


def write_texts(folder: RunFolder, recorder: Recorder, learner: Learner, phase: str) -> None:
    """IR, generated code and the picture of the graph, of a later `phase` under its name."""
    program, method = learner.program, learner.method
    pairs = [pair for average in program.averages for pair in average.pairs]
    texts = {
        "ir.txt": graph_text(method.graph),
        "generated.py": generated(learner),
        "graph.svg": graph_svg(program.step, title=program.spec.method, averages=pairs),
    }
    for name, text in texts.items():
        path = folder.artifacts / _of_phase(name, phase)
        write_atomic(path, text)
        recorder.artifact(path)


def _of_phase(name: str, phase: str) -> str:
    stem, dot, suffix = name.partition(".")
    return f"{stem}_{phase}{dot}{suffix}" if phase else name


def generated(learner: Learner) -> str:
    """The code of views and step, as a person reads it."""
    method = learner.method
    return (
        f"# {method.program.spec.method}: the views, then the step.\n\n"
        f"{printed(method.view_code)}\n\n{printed(method.step_code)}"
    )


def write_views(
    folder: RunFolder,
    recorder: Recorder,
    learner: Learner,
    source: Source,
    phase: str,
    *,
    workers: int,
) -> None:
    """A sheet of the first images under every view, as the first step sees them."""
    path = folder.artifacts / _of_phase("views.png", phase)
    views.write_views(path, learner, source, workers=workers)
    recorder.artifact(path)


def write_curve(folder: RunFolder, recorder: Recorder, title: str) -> None:
    path = folder.artifacts / "loss.png"
    metrics = ("train/loss", "health/effective_rank", "eval/knn_top1")
    loss_curve(folder.metrics(), path, title=title, metrics=metrics)
    recorder.artifact(path)


def write_encoder(
    folder: RunFolder,
    recorder: Recorder,
    learner: Learner,
    nets: Mapping[str, Tensor],
    phase: str,
) -> Path | None:
    """The encoders that `features` reads, for other programs; the first, None where there is none.

    `nets` are the tensors of all nets.

    One is in `encoder`; of several each is in a folder of its name.
    """
    found = _encoders(learner)
    written = []
    for plan in found:
        name = "encoder" if len(found) == 1 else f"encoder_{plan.name}"
        title = _of_phase(name, phase)
        written.append(_write_encoder(folder, recorder, learner, nets, plan, title))
    return written[0] if written else None


def _encoders(learner: Learner) -> list[NetPlan]:
    features = learner.program.features
    if features is None:
        return []
    names = [node.setting("net") for node in features.nodes if node.op == APPLY]
    sources = {copy: source for a in learner.program.averages for copy, source in a.pairs}
    plans = [learner.program.net(name) for name in dict.fromkeys(names)]
    kinds = {plan.name: learner.program.net(sources.get(plan.name, plan.name)) for plan in plans}
    return [p for p in plans if kinds[p.name].kind == "encoder" and len(p.stages) == 1]


def _write_encoder(
    folder: RunFolder,
    recorder: Recorder,
    learner: Learner,
    nets: Mapping[str, Tensor],
    plan: NetPlan,
    title: str,
) -> Path:
    program, prefix = learner.program, f"{plan.name}.0."
    path, arguments = plan.stages[0]
    config = {
        "architecture": path,
        "arguments": dict(arguments),
        "method": program.spec.method,
        "spec_hash": program.spec.hash,
        "input": _input(learner),
    }
    state = {k.removeprefix(prefix): v for k, v in nets.items() if k.startswith(prefix)}
    target = folder.artifacts / title
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
