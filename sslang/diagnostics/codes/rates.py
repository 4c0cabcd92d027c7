"""Codes E5xx. Rates, decay, temperatures and the times of schedules."""

from __future__ import annotations

from sslang.diagnostics.code import Code, Example

ALL = (
    Code(
        "E504",
        "schedule outlasts the run",
        "A warm-up ends, or a milestone lies, after the run does, so what was to follow "
        "never comes: the rate is still rising when the last step is taken. It happens "
        "where the length of a run was cut down to try something and its schedules were "
        "not; that run then says nothing about the long one.",
        example=Example(
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop {
    length    = 8 epochs
    optimizer = sgd(lr = cosine(0.1 -> 0, warmup = 10 epochs))
}
""",
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop {
    length    = 8 epochs
    optimizer = sgd(lr = cosine(0.1 -> 0, warmup = 1 epochs))
}
""",
        ),
    ),
    Code(
        "E516",
        "steps for epochs",
        "A warm-up or milestone is given in steps, its number would make sense in epochs, and in "
        "steps it is over almost at once. Peers read a warm-up of 10 epochs as 10 steps; here the "
        "unit is written, and this is the check of what was written.",
        "warning",
        example=Example(
            """\
loss = nt_xent([g(f(a)), g(f(b))], 0.5)
recipe default : laptop {
    data      = cifar10()
    length    = 200 epochs
    optimizer = sgd(lr = cosine(0.1 -> 0, warmup = 10 steps))
}
""",
            """\
loss = nt_xent([g(f(a)), g(f(b))], 0.5)
recipe default : laptop {
    data      = cifar10()
    length    = 200 epochs
    optimizer = sgd(lr = cosine(0.1 -> 0, warmup = 10 epochs))
}
""",
        ),
    ),
    Code(
        "E517",
        "learning rate scaled wrongly",
        "The usual rule takes the learning rate proportional to the batch, `0.1 * batch / 256`; "
        "LARS is also used with its square root. Here the batch enters twice, so that twice the "
        "batch gives four times the rate: a param that is scaled already is scaled again. Or it "
        "stands below the line, `256 / batch`, so that a larger batch has a smaller rate.",
        "warning",
        example=Example(
            """\
param rate = 0.05 * batch / 256
loss = nt_xent([g(f(a)), g(f(b))], 0.5)
recipe default : laptop { optimizer = sgd(lr = cosine(rate * batch / 256 -> 0)) }
""",
            """\
param rate = 0.05
loss = nt_xent([g(f(a)), g(f(b))], 0.5)
recipe default : laptop { optimizer = sgd(lr = cosine(rate * batch / 256 -> 0)) }
""",
        ),
    ),
    Code(
        "E527",
        "learning rate beyond Adam's",
        "Adam divides each gradient by its own size, so a step moves every parameter by about the "
        "learning rate, whatever the loss is: 1e-4 to 1e-3 is usual, and at 0.1 the weights of a "
        "net are gone in a few steps. Mostly `/ 256` was forgotten behind `* batch`, or the rate "
        "is one of SGD.",
        "warning",
        example=Example(
            """\
loss = nt_xent([g(f(a)), g(f(b))], 0.5)
recipe default : laptop { optimizer = adamw(lr = cosine(0.002 * batch -> 0)) }
""",
            """\
loss = nt_xent([g(f(a)), g(f(b))], 0.5)
recipe default : laptop { optimizer = adamw(lr = cosine(0.002 * batch / 256 -> 0)) }
""",
        ),
    ),
    Code(
        "E521",
        "learning rate rises to the end",
        "The rate is highest when the run ends, so the nets never settle. A schedule goes from its "
        "first number to its second: `cosine(0.1 -> 0)`. What rises at the start is a warm-up: "
        "`cosine(0.1 -> 0, warmup = 10 epochs)`.",
        "warning",
        example=Example(
            """\
loss = nt_xent([g(f(a)), g(f(b))], 0.5)
recipe default : laptop { optimizer = sgd(lr = cosine(0 -> 0.1)) }
""",
            """\
loss = nt_xent([g(f(a)), g(f(b))], 0.5)
recipe default : laptop { optimizer = sgd(lr = cosine(0.1 -> 0)) }
""",
        ),
    ),
    Code(
        "E522",
        "weight decay takes all",
        "Each step takes the share lr x weight_decay of every parameter away. Above a tenth the "
        "nets are gone after a few dozen steps, whatever the loss says. Papers have 1e-6 to 0.1; "
        "a number like 5 mostly lost its exponent.",
        "warning",
        example=Example(
            """\
loss = nt_xent([g(f(a)), g(f(b))], 0.5)
recipe default : laptop { optimizer = sgd(lr = 0.1, weight_decay = 5) }
""",
            """\
loss = nt_xent([g(f(a)), g(f(b))], 0.5)
recipe default : laptop { optimizer = sgd(lr = 0.1, weight_decay = 5e-4) }
""",
        ),
    ),
    Code(
        "E523",
        "temperature is not positive",
        "Similarities are divided by the temperature before the softmax. Divided by 0 they are "
        "infinite, and a negative number turns the loss round: it draws each row to its negatives.",
        example=Example(
            """\
param temperature = 0
loss = nt_xent([g(f(a)), g(f(b))], temperature)
""",
            """\
param temperature = 0.1
loss = nt_xent([g(f(a)), g(f(b))], temperature)
""",
        ),
    ),
    Code(
        "E524",
        "temperature is large",
        "Cosines lie in -1..1. Divided by more than 10 they differ by less than 0.2, so that the "
        "softmax is the same for all rows and the gradient next to nothing. Papers have 0.04 to 1; "
        "1 / temperature may have been meant, a scale.",
        "warning",
        example=Example(
            """\
param temperature = 20
loss = nt_xent([l2_normalize(g(f(a))), l2_normalize(g(f(b)))], temperature)
""",
            """\
param temperature = 1 / 20
loss = nt_xent([l2_normalize(g(f(a))), l2_normalize(g(f(b)))], temperature)
""",
        ),
    ),
    Code(
        "E525",
        "factor in the place of a rate",
        "`lr` of a group is its learning rate, not a multiple of the optimizer's: 10 there is a "
        "rate of 10. Some libraries take a factor, others a rate, and a head that learns a "
        "thousand times too fast shows only as a loss that does not fall.",
        "warning",
        example=Example(
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop { groups = [group(g, lr = 10)] }
""",
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop { groups = [group(g, lr = 0.02)] }
""",
        ),
    ),
)
