"""Which rows of a batch each process, and each micro-batch, computes."""

from __future__ import annotations


def shares(rows: int, parts: int, unit: int = 1) -> tuple[int, ...]:
    """How many rows each of `parts` gets, as even as it can be, in runs of `unit` rows.

    The last run may be shorter. A part may get none, where there are fewer runs than parts:
    the caller decides whether it can work with that.
    """
    runs = -(-rows // unit)
    fewest, more = divmod(runs, parts)
    counts = [unit * (fewest + (part < more)) for part in range(parts)]
    excess = runs * unit - rows
    for part in reversed(range(parts)):
        if counts[part]:
            counts[part] -= excess
            break
    return tuple(counts)
