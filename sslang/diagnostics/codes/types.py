"""Codes E3xx. Types, shapes and calls."""

from __future__ import annotations

from sslang.diagnostics.code import Code, Example

ALL = (
    Code(
        "E301",
        "wrong type",
        "A view is images and a family is values under keys; a net, a chain and a schedule "
        "are no numbers at all. Each place takes values of one type, and this is of another. "
        "In Python an operator mostly does something with whatever it is given: a loss on raw "
        "pixels, or on a list where one tensor was meant, trains without complaint.",
        example=Example(
            """\
z = (f | g)([a, b])
loss = nt_xent(z, 0.5) + 0.1 * mean((a - b)**2)
""",
            """\
z = (f | g)([a, b])
loss = nt_xent(z, 0.5) + 0.1 * mean((pixels(a) - pixels(b))**2)
""",
        ),
    ),
    Code(
        "E302",
        "shapes differ",
        "The sizes of these values do not fit together, whatever the batch: dimensions with "
        "names fit only themselves, and `batch` fits no number. Between [B] and [B, 1] "
        "PyTorch puts in the axis that is missing and makes a matrix of all pairs, whose mean "
        "is a loss like any other and learns something else.",
        example=Example(
            """\
q = l2_normalize(g(f(a)))
k = stop_grad(l2_normalize(g(f(b))))
logits = concat([dot(q, k), q @ k.T], axis = -1)
loss = -log_softmax(logits / 0.2)[:, 0]
""",
            """\
q = l2_normalize(g(f(a)))
k = stop_grad(l2_normalize(g(f(b))))
logits = concat([dot(q, k)[:, none], q @ k.T], axis = -1)
loss = -log_softmax(logits / 0.2)[:, 0]
""",
        ),
    ),
    Code(
        "E303",
        "wrong arguments",
        "The call gives too few or too many arguments, one of them twice, or one that the "
        "function does not have. Python finds this when the call runs, and not at all where a "
        "function takes `**kwargs` and drops what it does not know: an option that was "
        "misspelt then stays at its default for the whole run.",
        example=Example(
            """\
view c = simclr_views(32, scale = 0.2..1)
z = (f | g | l2_normalize)([a, b, c])
loss = mean(nt_xent([z[v], z[c]], 0.5) for v in [a, b])
""",
            """\
view c = simclr_views(32, crops = 0.2..1)
z = (f | g | l2_normalize)([a, b, c])
loss = mean(nt_xent([z[v], z[c]], 0.5) for v in [a, b])
""",
        ),
    ),
    Code(
        "E304",
        "not a net",
        "A description such as `mlp(64, 32)` has no parameters: `encoder`, `head` and "
        "`branch` build a net of it, once for each name, and its parameters and their first "
        "draw follow that name. Were it built where it stands, two places with one text would "
        "train two nets, or a new one in every step, and neither would be seen.",
        example=Example(
            """\
p = mlp(64, 32)
z = (f | g)([a, b])
loss = info_nce_batch(p(z[a]), stop_grad(z[b]), 0.2)
""",
            """\
head p = mlp(64, 32)
z = (f | g)([a, b])
loss = info_nce_batch(p(z[a]), stop_grad(z[b]), 0.2)
""",
        ),
    ),
    Code(
        "E305",
        "widths differ",
        "The input width of a net comes from its uses, and two of them differ, so no weight "
        "fits both. Mostly a predictor was put on the wrong side of a projector, or one net "
        "was meant to be two. PyTorch tells it at the first step, on the machine that was "
        "waited for.",
        example=Example(
            """\
branch online = f | g
p = g(online(a))
loss = info_nce_batch(p, stop_grad(online(b)), 0.2)
""",
            """\
branch online = f | g
head predictor = mlp(64, 32)
p = predictor(online(a))
loss = info_nce_batch(p, stop_grad(online(b)), 0.2)
""",
        ),
    ),
    Code(
        "E306",
        "family expected",
        "A family is a map from keys, such as views, to values; it is never a tensor. So what "
        "is done with it says over what: a generator goes over its members, `concat` makes "
        "rows of them, `stack` a new axis. In Python a list of two embeddings is added, "
        "averaged or stacked by whatever function gets it, and whether views were mixed with "
        "rows shows nowhere.",
        example=Example(
            """\
z = (f | g | l2_normalize)([a, b])
loss = nt_xent(z, 0.5) + 0.01 * mean(z)
""",
            """\
z = (f | g | l2_normalize)([a, b])
loss = nt_xent(z, 0.5) + 0.01 * mean(concat(z))
""",
        ),
    ),
    Code(
        "E307",
        "bare arrow",
        "`a -> b` names the two ends of a schedule and not how it goes from one to the other: "
        '`cosine(a -> b)` and `linear(a -> b)` do. Papers say "increased to 1" and mean one '
        "of them, and the curves differ by a tenth of the range in between, which is enough "
        "to move a result.",
        example=Example(
            """\
branch target = ema(f | g, momentum = 0.99 -> 1)
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
        "E308",
        "no unit",
        "A time is so many epochs or so many steps, and the number alone does not say which. "
        "A warm-up of 10 that was meant in epochs and is taken in steps is over at once; a "
        "schedule that counts epochs and is moved on each step is over after the first of "
        "them. Both run, and both cost accuracy for no reason that a log shows.",
        example=Example(
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop { optimizer = sgd(lr = cosine(0.1 -> 0, warmup = 1)) }
""",
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop { optimizer = sgd(lr = cosine(0.1 -> 0, warmup = 1 epochs)) }
""",
        ),
    ),
    Code(
        "E309",
        "out of range",
        "The number lies outside the values that make sense in its place: a probability or a "
        "momentum outside 0..1, an area above that of the image, a size below 1, a division "
        "by zero. An average with a momentum of 1.5 grows without bound, and a crop of twice "
        "the image is cut back without a word, so neither would be found by looking at the "
        "code that runs.",
        example=Example(
            """\
view c = random_resized_crop(32) | horizontal_flip @ 50
z = (f | g | l2_normalize)([a, b, c])
loss = mean(nt_xent([z[v], z[c]], 0.5) for v in [a, b])
""",
            """\
view c = random_resized_crop(32) | horizontal_flip @ 0.5
z = (f | g | l2_normalize)([a, b, c])
loss = mean(nt_xent([z[v], z[c]], 0.5) for v in [a, b])
""",
        ),
    ),
    Code(
        "E310",
        "no such member",
        "The family has no member under this key, or the net no part or result of this name. "
        "A member is named by its key: of a family over views the view, of a list the place, "
        "from 0; of `w[1..5]` the numbers 1 to 5. A list in Python is also read from its end, "
        "so that a wrong index may give another member and no error.",
        example=Example(
            """\
z = (f | g)([a, b])
head w[1..2] = linear(32)
loss = mean(info_nce_batch(w[k](z[a]), stop_grad(z[b]), 0.2) for k in 0..1)
""",
            """\
z = (f | g)([a, b])
head w[1..2] = linear(32)
loss = mean(info_nce_batch(w[k](z[a]), stop_grad(z[b]), 0.2) for k in 1..2)
""",
        ),
    ),
    Code(
        "E311",
        "too large",
        "Families, loops, tensors and the number of operations are limited, far above what "
        "any method needs, so that a check always ends and a mistaken size does not first "
        "fill the memory of a machine. Where a declaration or function leads to itself "
        "without an end, this is found here, too.",
        example=Example(
            """\
k = stop_grad(l2_normalize(g(f(b))))
queue negatives[16384] = sphere(32)
negatives <- k
q = l2_normalize(g(f(a)))
others = sum(exp(q @ negatives[i] / 0.2) for i in 0..16383)
loss = log(1 + others / exp(dot(q, k) / 0.2))
""",
            """\
k = stop_grad(l2_normalize(g(f(b))))
queue negatives[16384] = sphere(32)
negatives <- k
q = l2_normalize(g(f(a)))
others = sum(exp(q @ negatives.T / 0.2), axis = 1)
loss = log(1 + others / exp(dot(q, k) / 0.2))
""",
        ),
    ),
    Code(
        "E312",
        "features not fixed",
        "`features` is what is evaluated and exported, so one image must always have the "
        "same. The random parts of views are replaced there by their evaluation form; a draw "
        "of the spec itself has none, and with it every evaluation would give another figure, "
        "and a nearest neighbour of yesterday would not be one today.",
        example=Example(
            """\
z = f(a) + 0.1 * draw_normal(128)
loss = nt_xent([g(z), g(f(b))], 0.5)
features = z
""",
            """\
z = f(a) + 0.1 * draw_normal(128)
loss = nt_xent([g(z), g(f(b))], 0.5)
features = f(a)
""",
        ),
    ),
    Code(
        "E313",
        "undefined tokens",
        "A net that was shown part of the tokens, `f(x, keep = mask)`, has nothing to say about "
        "the others. Their places hold no values until `where` puts some there, so that no "
        "operation may mix them with the others, and none may enter the loss, a write or the "
        "features. A loop written by hand reads whatever lies in the memory of those places.",
        example=Example(
            """\
head h = transformer(depth = 1, heads = 2)
encoder v = vit(patch = 8, width = 32, depth = 2, heads = 2)
mask = rank(draw_uniform(16)) < 4
loss = mean(h(v(a, keep = mask).patches)) + mean(g(f(b)))
""",
            """\
head h = transformer(depth = 1, heads = 2)
encoder v = vit(patch = 8, width = 32, depth = 2, heads = 2)
weight token[32] = normal
mask = rank(draw_uniform(16)) < 4
loss = mean(h(where(mask[..., none], v(a, keep = mask).patches, token))) + mean(g(f(b)))
assume no_collapse "an example of another matter"
""",
        ),
    ),
)
