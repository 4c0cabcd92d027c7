"""Codes E44x. What a loss computes: signs, sides, and which rows it compares."""

from __future__ import annotations

from sslang.diagnostics.code import Code, Example

ALL = (
    Code(
        "E440",
        "constant rows cost least",
        "The loss was computed on small random tables in the place of what nets give. With one "
        "row for all images it is lower than with spread rows, at every scale that was tried, so "
        "training would find it. Mostly the term that spreads rows lost its sign, its axis or its "
        "place. `sslang check --probe` minimises the loss on such tables, and tells for sure.",
        "warning",
        Example(
            """\
x = l2_normalize(g(f(a)))
y = l2_normalize(g(f(b)))
fn uniformity(z: [B, D]) = log(mean(exp(-2 * (2 - 2 * (z @ z.T)))))
loss = mean(sum((x - y)**2, axis = 1)) - uniformity(x)
""",
            """\
x = l2_normalize(g(f(a)))
y = l2_normalize(g(f(b)))
fn uniformity(z: [B, D]) = log(mean(exp(-2 * (2 - 2 * (z @ z.T)))))
loss = mean(sum((x - y)**2, axis = 1)) + uniformity(x)
""",
        ),
    ),
    Code(
        "E441",
        "agreement is punished",
        "The loss was computed on small random tables in the place of what nets give: once with "
        "equal rows for all views of an image, and once with each view beside another image's. It "
        "is larger where views agree, so that training would drive them apart. Mostly a minus "
        "sign was lost: a similarity is maximised, and a distance minimised.",
        "warning",
        Example(
            """\
head p = mlp(64, 32)
loss = cosine_similarity(p(g(f(a))), stop_grad(g(f(b))))
""",
            """\
head p = mlp(64, 32)
loss = -cosine_similarity(p(g(f(a))), stop_grad(g(f(b))))
""",
        ),
    ),
    Code(
        "E442",
        "mean is added",
        "Rows are centred by taking their mean away. Here it is added, so that the mean counts "
        "twice: what was meant to be standardised has twice its mean, a covariance holds the mean "
        "as well, and a centre (DINO) drives outputs to one side instead of holding them even.",
        "warning",
        Example(
            """\
z = (f | g)([a, b])
fn even(x: [B, D]) = (x + mean(x, axis = 0)) / sqrt(variance(x, axis = 0) + 1e-5)
loss = sum((even(z[a]).T @ even(z[b]) / batch - eye(32))**2)
""",
            """\
z = (f | g)([a, b])
fn even(x: [B, D]) = (x - mean(x, axis = 0)) / sqrt(variance(x, axis = 0) + 1e-5)
loss = sum((even(z[a]).T @ even(z[b]) / batch - eye(32))**2)
""",
        ),
    ),
    Code(
        "E443",
        "sides of a cross entropy exchanged",
        "`cross_entropy(logits, target)` takes the logits first, as PyTorch does. Here what stands "
        "as logits has no gradient, and what stands as target is no distribution: the loss is "
        "linear in it, and falls without end as the numbers grow.",
        "warning",
        Example(
            """\
s = g(f(a)) / 0.1
t = stop_grad(sinkhorn(g(f(b)) / 0.05, rounds = 3))
loss = cross_entropy(t, s)
""",
            """\
s = g(f(a)) / 0.1
t = stop_grad(sinkhorn(g(f(b)) / 0.05, rounds = 3))
loss = cross_entropy(s, t)
""",
        ),
    ),
    Code(
        "E444",
        "target is not cut",
        "A gradient enters the target of the cross entropy, which is a distribution that the nets "
        "give, so the target moves to where the prediction is easy: it becomes sharp for no "
        "reason in the image. Codes and teachers are constants in every such method: SwAV's and "
        "DINO's code compute them without a gradient.",
        "warning",
        Example(
            """\
s = g(f(a)) / 0.1
t = sinkhorn(g(f(b)) / 0.05, rounds = 3)
loss = cross_entropy(s, t)
""",
            """\
s = g(f(a)) / 0.1
t = stop_grad(sinkhorn(g(f(b)) / 0.05, rounds = 3))
loss = cross_entropy(s, t)
""",
        ),
    ),
    Code(
        "E445",
        "negatives push nothing",
        "A softmax over a positive and negatives, and a gradient through the positive alone: rows "
        "are drawn together, and nothing pushes them apart, which is a loss that collapses. Mostly "
        "query and key were exchanged, so that the negatives are compared with the key, which is "
        "cut.",
        "warning",
        Example(
            """\
q = l2_normalize(g(f(a)))
k = stop_grad(l2_normalize(g(f(b))))
queue negatives[1024] = sphere(32)
negatives <- k
loss = info_nce(k, q, negatives, 0.2)
""",
            """\
q = l2_normalize(g(f(a)))
k = stop_grad(l2_normalize(g(f(b))))
queue negatives[1024] = sphere(32)
negatives <- k
loss = info_nce(q, k, negatives, 0.2)
""",
        ),
    ),
    Code(
        "E446",
        "own row among the candidates",
        "Rows are compared with themselves, and each row is its own best match, whatever the nets "
        "do: the largest logit of each softmax is the same number, and the positive competes with "
        "it. NT-Xent leaves the diagonal out.",
        "warning",
        Example(
            """\
z = concat((f | g | l2_normalize)([a, b]))
p = log_softmax(z @ z.T / 0.5)
loss = -mean(take(p, roll(arange(2 * batch), batch)))
""",
            """\
z = concat((f | g | l2_normalize)([a, b]))
p = log_softmax(z @ z.T / 0.5, where = eye(2 * batch) == 0)
loss = -mean(take(p, roll(arange(2 * batch), batch)))
""",
        ),
    ),
    Code(
        "E447",
        "views are not compared",
        "The step reads several views, and the loss is no lower where they are of one image: "
        "computed on random tables, it did not rise when each view was put beside another "
        "image's. So nothing makes two views of an image alike. Mostly the term that compares "
        "them (invariance, a positive) was lost, both of its sides are of one view, as in "
        "`for v in z for w in z if v == w`, or the row it names is another image's.",
        "warning",
        Example(
            """\
x = g(f(a))
y = g(f(b))
fn spread(z: [B, D]) = mean(relu(1 - sqrt(variance(z, axis = 0) + 1e-4)))
loss = spread(x) + spread(y)
""",
            """\
x = g(f(a))
y = g(f(b))
fn spread(z: [B, D]) = mean(relu(1 - sqrt(variance(z, axis = 0) + 1e-4)))
loss = spread(x) + spread(y) + mean((x - y)**2)
""",
        ),
    ),
    Code(
        "E448",
        "target is flatter than the prediction",
        "The target's temperature is higher than the prediction's, so the target is the flatter "
        "of the two. Following it, outputs grow alike until all images have the same: one of the "
        "two ways in which DINO collapses. A teacher is sharper than its student: 0.04 to 0.07 "
        "beside 0.1.",
        "warning",
        Example(
            """\
t = g(f(b))
state center[32] = zeros
center <- 0.9 * center + 0.1 * mean(t, axis = 0)
loss = cross_entropy(g(f(a)) / 0.1, stop_grad(softmax(t - center)))
""",
            """\
t = g(f(b))
state center[32] = zeros
center <- 0.9 * center + 0.1 * mean(t, axis = 0)
loss = cross_entropy(g(f(a)) / 0.1, stop_grad(softmax((t - center) / 0.04)))
""",
        ),
    ),
    Code(
        "E451",
        "mixture mistaken",
        "A view mixes each image with a partner, and the loss was computed on small random tables "
        "in the place of what nets give, mixed by the partners and shares that it reads. It is no "
        "lower than where others were mixed: with the shares of image and partner exchanged, or "
        "with other partners. `weight` is the partner's share, not the image's own, which is "
        "lambda in the papers: `1 - weight` stands beside what is of the own row, and `weight` "
        "beside what is of the row `partner`.",
        "warning",
        Example(
            """\
view m = a | mixup
z = (f | g | l2_normalize)([m, b])
p = log_softmax(z[m] @ z[b].T / 0.2)
loss = -m.weight * take(p, arange(batch)) - (1 - m.weight) * take(p, m.partner)
""",
            """\
view m = a | mixup
z = (f | g | l2_normalize)([m, b])
p = log_softmax(z[m] @ z[b].T / 0.2)
loss = -(1 - m.weight) * take(p, arange(batch)) - m.weight * take(p, m.partner)
""",
        ),
    ),
    Code(
        "E449",
        "places of another grid",
        "A matrix of zeros and ones picks places of one view's grid and is multiplied with the "
        "places of another's. Both grids have as many, so the shapes fit, and the rows are of "
        "arbitrary places. Mostly an `argmax` went along the other axis, or a `.T` is too much.",
        "warning",
        Example(
            """\
x = l2_normalize(flatten(g(f(a).grid), 1, 2))
y = stop_grad(l2_normalize(flatten(g(f(b).grid), 1, 2)))
match = argmax(x @ y.T, axis = 1)
near = one_hot(match, 16) @ y
loss = mean(info_nce_batch(flatten(x, 0, 1), flatten(near, 0, 1), 0.2))
""",
            """\
x = l2_normalize(flatten(g(f(a).grid), 1, 2))
y = stop_grad(l2_normalize(flatten(g(f(b).grid), 1, 2)))
match = argmax(x @ y.T, axis = -1)
near = one_hot(match, 16) @ y
loss = mean(info_nce_batch(flatten(x, 0, 1), flatten(near, 0, 1), 0.2))
""",
        ),
    ),
)
