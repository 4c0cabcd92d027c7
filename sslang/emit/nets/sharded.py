"""Nets whose parameters the processes hold together: torch's FSDP2, and its tensors as plain ones.

Gradients are summed, as a step of several processes wants them, not averaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from sslang.processes.group import Processes


def shard(net: nn.Module, processes: Processes, *, unit_bytes: int) -> None:
    """Leave to each process its rows of the parameters of `net`, which stand on its device.

    Layers and blocks of at least `unit_bytes` are gathered one at a time, where they are applied,
    and let go of after it; the rest of the net is one more unit. Buffers stay whole.
    """
    device = next(net.parameters()).device
    mesh = init_device_mesh(device.type, (processes.count,))
    for unit in (*_units(net, unit_bytes), net):
        unit.register_forward_hook(_no_view)  # before those of FSDP2
        sharded: FSDPModule = fully_shard(unit, mesh=mesh, reshard_after_forward=True)
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)


def _no_view(module: nn.Module, inputs: object, output: Any) -> Any:
    """FSDP2 watches the results for their gradient, which an op in place on a view would hide."""
    if isinstance(output, tuple):
        return tuple(_no_view(module, inputs, value) for value in output)
    return output.clone() if isinstance(output, Tensor) and output._is_view() else output


def _units(net: nn.Module, unit_bytes: int) -> Iterator[nn.Module]:
    """Members of sequences and lists within the parts of a net, the innermost first.

    The parts themselves are none: a net may ask them for more than `forward` gives.
    """
    for part in net.children():
        for module in reversed(list(part.modules())):
            if isinstance(module, nn.Sequential | nn.ModuleList):
                for member in module:
                    if member is not part and _own_bytes(member) >= unit_bytes:
                        yield member


def _own_bytes(module: nn.Module) -> int:
    """Bytes of the parameters that are in no unit yet."""
    own = [p for p in module.parameters() if not isinstance(p, DTensor)]
    return sum(p.numel() * p.element_size() for p in own)


def placed_like(rows: Tensor, tensor: Tensor) -> Tensor:
    """A process's `rows` of a tensor as a tensor that is shared out as `tensor` is."""
    if not isinstance(tensor, DTensor):
        return rows
    return DTensor.from_local(
        rows.to(tensor.device), tensor.device_mesh, tensor.placements,
        run_check=False, shape=tensor.shape, stride=tensor.stride(),
    )  # fmt: skip


@contextmanager
def gathered_parameters(nets: nn.Module) -> Iterator[None]:
    """Within, the nets are whole at every process, and what applies them sends nothing.

    Called by all processes. Gradients may not be asked for.
    """
    units = [m for m in nets.modules() if isinstance(m, FSDPModule)]
    for unit in units:
        unit.set_reshard_after_forward(False, recurse=False)
        unit.unshard()
    try:
        with torch.no_grad():
            yield
    finally:
        for unit in units:
            unit.reshard()
            unit.set_reshard_after_forward(True, recurse=False)
        forget_forwards(nets)


def forget_forwards(nets: nn.Module) -> None:
    """Clear what FSDP2 notes of every forward, and itself clears in a backward alone.

    Averages, fixed nets and evaluation have none, so that the notes would grow with every step.
    """
    for unit in nets.modules():
        if isinstance(unit, FSDPModule):
            state: Any = unit._get_fsdp_state()  # there is no public way
            if hasattr(state._comm_ctx, "post_forward_order"):  # it has been applied
                state._comm_ctx.post_forward_order.clear()
            for group in _groups(state):
                group._post_forward_indices.clear()


def _groups(state: Any) -> list[Any]:
    """The parameter groups of a unit: before torch 2.14 it has one, or none."""
    if hasattr(state, "_fsdp_param_groups"):
        return list(state._fsdp_param_groups)
    return [state._fsdp_param_group] if state._fsdp_param_group is not None else []
