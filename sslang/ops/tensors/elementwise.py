"""Ops that act on each element: arithmetic, comparison, functions of one number."""

from dataclasses import replace

from sslang.ops.declare import Misfit, tensor_op
from sslang.types import Size, TensorType, broadcast
from sslang.types.values import DType


def _joined(a: TensorType, b: TensorType) -> tuple[Size, ...]:
    shape = broadcast(a.shape, b.shape)
    if shape is None:
        raise Misfit(f"shapes {a} and {b} do not broadcast")
    return shape


def _arithmetic(a: TensorType, b: TensorType) -> TensorType:
    dtype: DType = "int" if a.dtype == b.dtype == "int" else "float"
    return TensorType(_joined(a, b), dtype)


def _comparison(a: TensorType, b: TensorType) -> TensorType:
    return TensorType(_joined(a, b), "bool")


def _float(x: TensorType) -> TensorType:
    return x if x.dtype == "float" else replace(x, dtype="float")


@tensor_op("operator.add")
def add(a: TensorType, b: TensorType) -> TensorType:
    """`a + b`, broadcast by NumPy's rule."""
    return _arithmetic(a, b)


@tensor_op("operator.sub")
def subtract(a: TensorType, b: TensorType) -> TensorType:
    """`a - b`, broadcast by NumPy's rule."""
    return _arithmetic(a, b)


@tensor_op("operator.mul")
def multiply(a: TensorType, b: TensorType) -> TensorType:
    """`a * b`, broadcast by NumPy's rule."""
    return _arithmetic(a, b)


@tensor_op("operator.truediv")
def divide(a: TensorType, b: TensorType) -> TensorType:
    """`a / b`, broadcast by NumPy's rule; always a float."""
    return _float(_arithmetic(a, b))


@tensor_op("operator.mod")
def modulo(a: TensorType, b: TensorType) -> TensorType:
    """`a % b`, with the sign of b."""
    return _arithmetic(a, b)


@tensor_op("operator.pow")
def power(a: TensorType, b: TensorType) -> TensorType:
    """`a ** b`, broadcast by NumPy's rule."""
    return _arithmetic(a, b)


@tensor_op("operator.neg")
def negative(x: TensorType) -> TensorType:
    """`-x`."""
    return x


@tensor_op("operator.eq")
def equal(a: TensorType, b: TensorType) -> TensorType:
    """`a == b`, element by element."""
    return _comparison(a, b)


@tensor_op("operator.ne")
def not_equal(a: TensorType, b: TensorType) -> TensorType:
    """`a != b`, element by element."""
    return _comparison(a, b)


@tensor_op("operator.lt")
def less(a: TensorType, b: TensorType) -> TensorType:
    """`a < b`, element by element."""
    return _comparison(a, b)


@tensor_op("operator.le")
def less_equal(a: TensorType, b: TensorType) -> TensorType:
    """`a <= b`, element by element."""
    return _comparison(a, b)


@tensor_op("operator.gt")
def greater(a: TensorType, b: TensorType) -> TensorType:
    """`a > b`, element by element."""
    return _comparison(a, b)


@tensor_op("operator.ge")
def greater_equal(a: TensorType, b: TensorType) -> TensorType:
    """`a >= b`, element by element."""
    return _comparison(a, b)


@tensor_op("torch.logical_and")
def logical_and(a: TensorType, b: TensorType) -> TensorType:
    """`a and b`, element by element."""
    return _comparison(a, b)


@tensor_op("torch.logical_or")
def logical_or(a: TensorType, b: TensorType) -> TensorType:
    """`a or b`, element by element."""
    return _comparison(a, b)


@tensor_op("torch.logical_not")
def logical_not(x: TensorType) -> TensorType:
    """`not x`, element by element."""
    return replace(x, dtype="bool")


@tensor_op("sslang.emit.tensors.exp")
def exp(x: TensorType) -> TensorType:
    """The exponential of each element; float32 under autocast."""
    return _float(x)


@tensor_op("sslang.emit.tensors.log")
def log(x: TensorType) -> TensorType:
    """The natural logarithm of each element; float32 under autocast."""
    return _float(x)


@tensor_op("sslang.emit.tensors.sqrt")
def sqrt(x: TensorType) -> TensorType:
    """The square root of each element."""
    return _float(x)


@tensor_op("torch.cos")
def cos(x: TensorType) -> TensorType:
    """The cosine of each element, in radians. (The schedule is `cosine`.)"""
    return _float(x)


@tensor_op("torch.sin")
def sin(x: TensorType) -> TensorType:
    """The sine of each element, in radians."""
    return _float(x)


@tensor_op("torch.abs")
def abs_(x: TensorType) -> TensorType:
    """The absolute value of each element."""
    return x


@tensor_op("sslang.emit.tensors.maximum")
def maximum(a: TensorType, b: TensorType) -> TensorType:
    """The larger of two values, element by element; either may be a number."""
    return _arithmetic(a, b)


@tensor_op("sslang.emit.tensors.minimum")
def minimum(a: TensorType, b: TensorType) -> TensorType:
    """The smaller of two values, element by element; either may be a number."""
    return _arithmetic(a, b)


@tensor_op("sslang.emit.tensors.where")
def where(condition: TensorType, a: TensorType, b: TensorType) -> TensorType:
    """`a` where the condition holds, else `b`; no gradient enters the one that is not taken."""
    chosen = _arithmetic(a, b)
    return replace(chosen, shape=_joined(condition, chosen))


@tensor_op("sslang.emit.tensors.stop_grad")
def stop_grad(x: TensorType) -> TensorType:
    """The same value; no gradient passes."""
    return x


@tensor_op("sslang.emit.tensors.scale_grad")
def scale_grad(x: TensorType, factor: float) -> TensorType:
    """The same value; the gradient is multiplied by `factor`."""
    return x
