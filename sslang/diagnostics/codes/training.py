"""Codes E4xx. What is trained: the loss, its gradient, averages and collapse."""

from __future__ import annotations

from sslang.diagnostics.code import Code, Example

ALL = (
    Code(
        "E401",
        "average enters the loss uncut",
        "A momentum average follows its net and is never trained, so its output passes "
        "`stop_grad` where it enters the loss. In a loop whose optimizer was given "
        "`model.parameters()` the target is otherwise trained as well as averaged: it moves "
        "to meet the prediction, and BYOL becomes the loss that collapses.",
        example=Example(
            """\
branch online = f | g
branch target = ema(online, 0.99)
head predictor = mlp(64, 32)
p = predictor(online(a))
loss = 2 - 2 * cosine_similarity(p, target(b))
""",
            """\
branch online = f | g
branch target = ema(online, 0.99)
head predictor = mlp(64, 32)
p = predictor(online(a))
loss = 2 - 2 * cosine_similarity(p, stop_grad(target(b)))
""",
        ),
    ),
    Code(
        "E402",
        "net never trained",
        "No gradient of any phase's loss reaches this net or weight, so it stays as it was "
        "drawn. Mostly a `stop_grad` stands one call too far out, or the net is applied to "
        "what only a state is written with. In Python nothing tells it: a predictor that is "
        "never trained gives a loss that falls all the same.",
        example=Example(
            """\
branch online = f | g
head predictor = mlp(64, 32)
q = l2_normalize(stop_grad(predictor(online(a))))
k = l2_normalize(online(b))
loss = info_nce_batch(q, k, 0.2)
""",
            """\
branch online = f | g
head predictor = mlp(64, 32)
q = l2_normalize(predictor(online(a)))
k = stop_grad(l2_normalize(online(b)))
loss = info_nce_batch(q, k, 0.2)
""",
        ),
    ),
    Code(
        "E408",
        "loss has no rows",
        "The loss is one number, or one value for each row of the batch, whose mean is then "
        "taken. Of a matrix or a family it is not said how it becomes one number: sum or "
        "mean, over which axis, with which weights, differ by factors that act as a "
        "learning rate does. PyTorch asks for a scalar, too, and mostly gets `.mean()` over "
        "all that is there.",
        example=Example(
            """\
z = (f | g | l2_normalize)([a, b])
loss = -log_softmax(z[a] @ z[b].T / 0.2)
""",
            """\
z = (f | g | l2_normalize)([a, b])
loss = -take(log_softmax(z[a] @ z[b].T / 0.2), arange(batch))
""",
        ),
    ),
    Code(
        "E409",
        "no loss",
        "A spec that is trained has a binding called `loss`, at the top or in a phase. That "
        "name is what the gradient is taken of; under another name the numbers are "
        "computed, or dropped as unused, and nothing learns.",
        example=Example(
            """\
z = (f | g | l2_normalize)([a, b])
objective = nt_xent(z, 0.5)
""",
            """\
z = (f | g | l2_normalize)([a, b])
loss = nt_xent(z, 0.5)
""",
        ),
    ),
    Code(
        "E410",
        "loss collapses",
        "If every image had the same embedding, this loss would be at its minimum, and "
        "nothing in the spec keeps training away from there. What can: a comparison with "
        "other rows (negatives, a centre, Sinkhorn, variance and covariance), or a target "
        "that no gradient enters, with a predictor on the other side alone. A loop shows a "
        "loss that falls beautifully, and features that are worth nothing.",
        example=Example(
            """\
z = (f | g)([a, b])
loss = 2 - 2 * cosine_similarity(z[a], z[b])
""",
            """\
z = (f | g)([a, b])
head predictor = mlp(64, 32)
loss = 2 - 2 * cosine_similarity(predictor(z[a]), stop_grad(z[b]))
""",
        ),
    ),
    Code(
        "E411",
        "embeddings may stay collapsed",
        "Embeddings that are almost equal were made to follow the method's own gradient, from "
        "several points. From some of them they stay as they are, or spread so slowly that they "
        "may never leave: if training comes near one of those, features are worth nothing.",
        "warning",
        arises="It arises from `sslang check --probe` and at the start of `sslang run`, which "
        "compute the loss on free tables. Mostly a target is too soft, or what keeps it even (a "
        'centre, Sinkhorn) too weak. Who knows better writes `assume no_collapse "why"`.',
    ),
    Code(
        "E421",
        "nothing to train",
        "`freeze` names every net and weight that the loss of a phase reaches, for all of the "
        "run, or the loss reads averages and `fixed(...)` nets alone. Each step would cost as "
        "much as any other and change nothing. A net that only has to hold still at the start is "
        "frozen for a time, `until(1 epochs, f)`.",
        example=Example(
            """\
loss = nt_xent([g(f(a)), g(f(b))], 0.5)
freeze = [f, g]
recipe default : laptop {}
""",
            """\
loss = nt_xent([g(f(a)), g(f(b))], 0.5)
freeze = [until(1 epochs, f)]
recipe default : laptop {}
""",
        ),
    ),
    Code(
        "E427",
        "features that do not change",
        "Every net that `features` applies is frozen for all of the phase, or is held by "
        "`fixed(...)`, while the phase trains others: the heads behind it, mostly. The loss falls, "
        "and what is evaluated is the same before and after.",
        "warning",
        example=Example(
            """\
loss = info_nce_batch(l2_normalize(g(f(a))), l2_normalize(g(f(b))), 0.1)
features = f(a)
freeze = [f]
recipe default : laptop {}
""",
            """\
loss = info_nce_batch(l2_normalize(g(f(a))), l2_normalize(g(f(b))), 0.1)
features = f(a)
freeze = [until(1 epochs, f)]
recipe default : laptop {}
""",
        ),
    ),
    Code(
        "E422",
        "frozen at zero",
        "The net or weight begins at zero and is frozen for all of the run, so what it gives is "
        "zero for every image. Zeros are a start for a layer that is trained, such as a "
        "classifier. What is frozen without training is drawn, loaded or trained by an earlier "
        "phase.",
        "warning",
        example=Example(
            """\
weight w[32, 16] = zeros
loss = nt_xent([g(f(a)) @ w, g(f(b)) @ w], 0.5)
freeze = [w]
recipe default : laptop {}
""",
            """\
weight w[32, 16] = normal
loss = nt_xent([g(f(a)) @ w, g(f(b)) @ w], 0.5)
freeze = [w]
recipe default : laptop {}
""",
        ),
    ),
    Code(
        "E423",
        "momentum does not average",
        "After each step an average keeps the share `momentum` of what it was, and takes the rest "
        "from its net. At 1 it never moves; below 0.5 it is its net but for a step or two; and a "
        "momentum that falls lets go of what it has gathered. Papers have 0.99 to 0.9999, often "
        "rising to 1 at the end.",
        "warning",
        example=Example(
            """\
branch target = ema(f | g, momentum = cosine(1 -> 0.99))
k = l2_normalize(stop_grad(target(b)))
loss = info_nce_batch(l2_normalize(g(f(a))), k, 0.2)
""",
            """\
branch target = ema(f | g, momentum = cosine(0.99 -> 1))
k = l2_normalize(stop_grad(target(b)))
loss = info_nce_batch(l2_normalize(g(f(a))), k, 0.2)
""",
        ),
    ),
    Code(
        "E424",
        "term that trains nothing",
        "A term of the loss stands under stop_grad as a whole. It changes the number that is "
        "logged, and no gradient comes from it, so that the method is the one without the term. "
        "A cut belongs on one side of a comparison, the target's.",
        "warning",
        example=Example(
            """\
z = (f | g)([a, b])
loss = nt_xent(z, 0.5) + stop_grad(mean((z[a] - z[b])**2))
""",
            """\
z = (f | g)([a, b])
loss = nt_xent(z, 0.5) + mean((z[a] - stop_grad(z[b]))**2)
""",
        ),
    ),
    Code(
        "E425",
        "nothing to drop",
        "`drop_path` leaves whole residual branches out at random (stochastic depth, Huang et al., "
        "2016). Of the nets here `vit` and `transformer` have such branches, at rates that rise "
        "from 0 in the first block. Others are computed as if it were not there: two rates are one "
        "method.",
        "warning",
        example=Example(
            """\
branch online = f | g with (drop_path = 0.1)
loss = nt_xent(online([a, b]), 0.5)
""",
            """\
branch online = f | g
loss = nt_xent(online([a, b]), 0.5)
""",
        ),
    ),
)
