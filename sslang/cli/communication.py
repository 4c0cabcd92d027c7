"""The messages of a step as lines, for `sslang show --communication`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sslang.emit.split.messages import Message
    from sslang.ir.program import Program


def messages_of(program: Program, dims: Mapping[str, int], processes: int) -> list[Message]:
    """What so many processes tell each other in a step of the recipe's batch."""
    from sslang.emit.method import Method
    from sslang.emit.split.messages import messages
    from sslang.processes.group import Processes

    recipe = program.spec.recipe
    assert recipe is not None
    method = Method(program, 0, dims=dims, processes=Processes(0, processes))
    return messages(method, recipe.batch, processes)


def lines_of(found: Sequence[Message], processes: int) -> list[str]:
    """A line a message, and the sum of what each of so many processes sends."""
    rows = [("when", "how", "calls", "bytes", "what")]
    for message in found:
        shape = " x ".join(str(n) for n in message.shape) or "1"
        shape = f"at most {shape}" if message.at_most else shape
        rows.append((
            "backward" if message.backward else "forward", message.way, str(message.calls),
            f"{message.bytes:,}" if message.bytes else "as read", f"{message.what} [{shape}]",
        ))  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2].rjust(widths[2]),
                   row[3].rjust(widths[3]), row[4]])
        for row in rows
    ]  # fmt: skip
    calls = sum(message.calls for message in found)
    sent = sum(message.sent(processes) for message in found)
    images = " and the images" if any(not message.bytes for message in found) else ""
    most = "at most " if any(message.at_most for message in found) else ""
    lines.append(
        f"{calls} calls; over a ring, each of {processes} processes sends {most}{sent:,.0f} "
        f"bytes{images}"
    )
    return lines
