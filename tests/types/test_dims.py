"""Symbolic sizes: linear forms that agree with the numbers they stand for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sslang.types.dims import Dim, Size, add, divide, largest, linear, multiply, scale, symbol
from sslang.types.values import broadcast

VALUES = {"batch": 7, "other": 5}
sizes = st.builds(
    linear,
    st.integers(-20, 20),
    st.dictionaries(st.sampled_from(sorted(VALUES)), st.integers(-5, 5)),
)
PROPERTY = settings(derandomize=True, deadline=None)


def at(size: Size) -> int:
    return size.at(VALUES) if isinstance(size, Dim) else size


@PROPERTY
@given(sizes, sizes, st.integers(-9, 9))
def test_arithmetic_agrees_with_numbers(a: Size, b: Size, n: int) -> None:
    assert at(add(a, b)) == at(a) + at(b) == at(add(b, a))
    assert at(scale(a, n)) == at(a) * n
    product = multiply(a, b)
    assert product is None or at(product) == at(a) * at(b)
    quotient = divide(a, n)
    assert quotient is None or at(quotient) * n == at(a)
    assert add(a, scale(a, -1)) == 0
    assert largest(a) >= 0


def test_spelling() -> None:
    batch = symbol("batch")
    assert str(add(scale(batch, 2), 1)) == "2*batch + 1"
    assert str(add(batch, -3)) == "batch - 3"


def test_broadcast() -> None:
    batch = symbol("batch")
    assert broadcast((batch, 3), (3,)) == (batch, 3)
    assert broadcast((batch, 1), (1, 4)) == (batch, 4)
    assert broadcast((batch, 3), (batch, 4)) is None
    assert broadcast((batch,), (7,)) is None
