"""Codes E4xx. Gradient, state and collapse."""

from __future__ import annotations

from sslang.diagnostics.code import Code

ALL = (
    Code(
        "E401",
        "average enters the loss uncut",
        "The output of a momentum average must pass stop_grad before it enters the loss.",
    ),
    Code("E402", "net never trained", "No gradient of the loss reaches this net."),
    Code("E403", "two writes", "A state has at most one write, so that no order can be wrong."),
    Code(
        "E404", "state never written", "The state is read, and nothing ever writes it.", "warning"
    ),
    Code("E405", "write does not fit", "The shape of the written value is not the state's."),
    Code(
        "E406",
        "queue and batch do not divide",
        "A queue's length must be a multiple of the batch, so that whole batches leave it.",
    ),
    Code("E407", "not a state", "Only a queue, a bank or a state can be written."),
    Code(
        "E410",
        "loss collapses",
        "A constant embedding minimises the loss, and nothing in the spec prevents it.",
    ),
    Code("E408", "loss has no rows", "The loss is a scalar or has one value a row of the batch."),
    Code("E409", "no loss", "A spec that trains needs a binding called `loss`."),
)
