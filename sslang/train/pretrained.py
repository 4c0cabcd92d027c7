"""Parameters that a spec loads: from a run, an exported encoder or a file of weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from sslang.diagnostics import Diagnostic, DiagnosticError, Span, nearest
from sslang.ir.program import NetPlan, Program
from sslang.processes.shards import made_whole
from sslang.train import checkpoint


def pretrained_weights(program: Program) -> dict[str, Tensor]:
    """Tensors of every net that the spec declares as `pretrained`, by their names in the program.

    Raises DiagnosticError E607 where a file is missing or has no such net.
    """
    found: dict[str, Tensor] = {}
    for plan in program.nets:
        if plan.origin is None or plan.kind == "average":
            continue
        path, part = plan.origin
        for key, value in _tensors(Path(path), part, plan).items():
            found[f"{plan.name}.{key}"] = value
    return found


def refuse_misfits(
    program: Program, nets: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> None:
    """E607 unless `given` has every tensor of each pretrained net in its shape."""
    for plan in program.nets:
        if plan.origin is None or plan.kind == "average":
            continue
        for name, own in nets.items():
            if not name.startswith(f"{plan.name}."):
                continue
            if name not in given:
                _refuse(
                    f"{plan.origin[0]} has no `{name.removeprefix(plan.name + '.')}`", plan.span
                )
            if given[name].shape != own.shape:
                shapes = f"{list(given[name].shape)}, not {list(own.shape)}"
                _refuse(f"`{name}` of {plan.origin[0]} has the shape {shapes}", plan.span)


def _tensors(path: Path, part: str, plan: NetPlan) -> dict[str, Tensor]:
    if (path / "checkpoints").is_dir():
        return _of_run(path, part or plan.name, plan.span)
    file = path / "model.safetensors" if path.is_dir() else path
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = dict(load_file(file))
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        _refuse(f"{file} cannot be loaded: {str(error).partition(chr(10))[0]}", plan.span)
    if part:
        state = {
            k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")
        }
    # A file holds a net of one description; in a program it is the first stage.
    return state if len(plan.stages) > 1 else {f"0.{k}": v for k, v in state.items()}


def _of_run(path: Path, part: str, span: Span) -> dict[str, Tensor]:
    loaded = checkpoint.load_latest(path / "checkpoints")
    if loaded is None:
        _refuse(f"{path} has no checkpoint", span)
    state = loaded.payload["learner"]["method"]
    prefix = f"nets.{part}."
    found = {
        k.removeprefix(prefix): made_whole(v) for k, v in state.items() if k.startswith(prefix)
    }
    if not found:
        names = sorted({k.split(".")[1] for k in state if k.startswith("nets.")})
        hint = nearest(part, names) or f"its nets: {', '.join(names)}"
        _refuse(f"the run {path} has no net `{part}`", span, hint)
    return found


def _refuse(message: str, span: Span, hint: str = "") -> NoReturn:
    raise DiagnosticError(Diagnostic("E607", message, span, hint=hint))
