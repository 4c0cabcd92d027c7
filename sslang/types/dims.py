"""Sizes of axes: plain integers, or linear forms over symbols such as `batch`."""

from __future__ import annotations

from sslang.records import record


@record(frozen=True)
class Dim:
    """`constant + sum of factor * symbol`, with at least one symbol. Build it by `linear`."""

    constant: int
    terms: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        parts = [s if f == 1 else f"{f}*{s}" for s, f in self.terms]
        if self.constant:
            parts.append(str(self.constant))
        return " + ".join(parts).replace("+ -", "- ")

    def at(self, values: dict[str, int]) -> int:
        """The number for given values of the symbols; KeyError where one is missing."""
        return self.constant + sum(factor * values[symbol] for symbol, factor in self.terms)


Size = int | Dim


def symbol(name: str) -> Dim:
    return Dim(0, ((name, 1),))


def linear(constant: int, terms: dict[str, int]) -> Size:
    kept = tuple(sorted((s, f) for s, f in terms.items() if f))
    return Dim(constant, kept) if kept else constant


def _parts(size: Size) -> tuple[int, dict[str, int]]:
    return (size.constant, dict(size.terms)) if isinstance(size, Dim) else (size, {})


def add(a: Size, b: Size) -> Size:
    (constant, terms), (other, others) = _parts(a), _parts(b)
    for name, factor in others.items():
        terms[name] = terms.get(name, 0) + factor
    return linear(constant + other, terms)


def scale(a: Size, factor: int) -> Size:
    constant, terms = _parts(a)
    return linear(constant * factor, {s: f * factor for s, f in terms.items()})


def multiply(a: Size, b: Size) -> Size | None:
    """The product, or None where it is not linear."""
    if isinstance(a, int):
        return scale(b, a)
    return scale(a, b) if isinstance(b, int) else None


def divide(a: Size, by: int) -> Size | None:
    """The exact quotient, or None where a part is not divisible."""
    constant, terms = _parts(a)
    if by == 0 or constant % by or any(f % by for f in terms.values()):
        return None
    return linear(constant // by, {s: f // by for s, f in terms.items()})


def largest(size: Size) -> int:
    """The greatest of its numbers, signs left out."""
    constant, terms = _parts(size)
    return max(abs(constant), *(abs(f) for f in terms.values())) if terms else abs(constant)
