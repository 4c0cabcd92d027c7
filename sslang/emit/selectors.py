"""Selectors of parameters: nets, parts, biases, normalisations, and their combinations."""

from __future__ import annotations

from torch import nn

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.ir.build.values import Selector
from sslang.ir.program import Program


def matching(selector: Selector, nets: nn.Module, program: Program) -> set[str]:
    """Names of the parameters that the selector means; E505 where it means none."""
    found = _matching(selector, nets, program)
    if not found:
        message = f"the selector `{selector}` matches no parameter"
        raise DiagnosticError(Diagnostic("E505", message, selector.span))
    return found


def _matching(selector: Selector, nets: nn.Module, program: Program) -> set[str]:
    names = {name for name, _ in nets.named_parameters()}
    match selector.operator:
        case "not":
            return names - _matching(selector.operands[0], nets, program)
        case "and":
            left, right = (_matching(s, nets, program) for s in selector.operands)
            return left & right
        case "or":
            left, right = (_matching(s, nets, program) for s in selector.operands)
            return left | right
        case "net":
            return {n for n in names if n.startswith(f"{selector.operands[0]}.")}
        case "until":
            return _matching(selector.operands[0], nets, program)
        case "part":
            return _part(names, program, *selector.operands)
    if selector.operands[0] == "bias":
        return {n for n in names if n.endswith(".bias")}
    return _norms(nets)


def _part(names: set[str], program: Program, net: str, part: str) -> set[str]:
    prefixes = tuple(
        f"{net}.{at}.{prefix}"
        for at, parts in enumerate(program.net(net).parts)
        for prefix in parts.get(part, ())
    )
    return {n for n in names if prefixes and n.startswith(prefixes)}


def _norms(nets: nn.Module) -> set[str]:
    """Scales and shifts of every normalisation."""
    kinds = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
    return {
        f"{path}.{name}"
        for path, module in nets.named_modules()
        if isinstance(module, kinds)
        for name, _ in module.named_parameters(recurse=False)
    }
