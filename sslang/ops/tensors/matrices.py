"""Ops on matrices as such, each in float32 under autocast. All act on the last two axes."""

from dataclasses import replace

from sslang.ops.declare import Misfit, tensor_op
from sslang.types import TensorType


def _over_rows(types: list[TensorType], settings: dict[str, object]) -> bool:
    return types[0].rank == 2


def _square(x: TensorType, op: str) -> None:
    if x.rank < 2 or x.shape[-1] != x.shape[-2]:
        raise Misfit(f"`{op}` acts on square matrices; this is {x}")


@tensor_op("sslang.emit.tensors.cholesky", couples=_over_rows)
def cholesky(x: TensorType) -> TensorType:
    """The lower triangle L with L @ L.T = x, for a symmetric, positive definite x."""
    _square(x, "cholesky")
    return replace(x, dtype="float")


@tensor_op("sslang.emit.tensors.solve_triangular", couples=_over_rows)
def solve_triangular(a: TensorType, b: TensorType, upper: bool = False) -> TensorType:
    """The x with a @ x = b, for a triangular a: lower, or `upper`."""
    _square(a, "solve_triangular")
    if b.rank != a.rank or b.shape[:-1] != a.shape[:-1]:
        raise Misfit(f"{a} @ x = {b} has no solution of any shape")
    return replace(b, dtype="float")


@tensor_op("sslang.emit.tensors.singular_values", couples=_over_rows)
def singular_values(x: TensorType) -> TensorType:
    """The singular values in descending order: [..., N, M] -> [..., min(N, M)].

    N and M are numbers: of rows of the batch take the roots of those of `x.T @ x`.
    """
    if x.rank < 2:
        raise Misfit(f"`singular_values` acts on matrices; this is {x}")
    rows, columns = x.shape[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int):
        hint = "those of `x.T @ x` are their squares"
        raise Misfit(f"how many singular values has {x}? its sizes must be numbers", hint)
    return replace(x, shape=(*x.shape[:-2], min(rows, columns)), dtype="float")
