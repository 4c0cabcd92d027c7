"""Codes E4xx. State: queues, banks, and what is written to them."""

from __future__ import annotations

from sslang.diagnostics.code import Code, Example

ALL = (
    Code(
        "E435",
        "view that no loss sees",
        "The view is drawn at random, as views are for training, and only `features` reads it, "
        "where nothing is drawn. Mostly one view was written where the other was meant, so that a "
        "loss compares a view with itself: the positives are then the same image twice, and the "
        "loss falls at once. A view for evaluation alone is made by operations that draw nothing.",
        "warning",
        Example(
            """\
q = l2_normalize(g(f(b)))
k = l2_normalize(g(f(b)))
loss = info_nce_batch(q, stop_grad(k), 0.2)
features = f(a)
""",
            """\
q = l2_normalize(g(f(a)))
k = l2_normalize(g(f(b)))
loss = info_nce_batch(q, stop_grad(k), 0.2)
features = f(a)
""",
        ),
    ),
    Code(
        "E403",
        "two writes",
        "A state has at most one write. With two the value of the next step would depend on "
        "their order, and so on the place of a line in the file, or on which process came "
        "first. What was meant is one write of one value: the rows together, or a mean.",
        example=Example(
            """\
z = (f | g | l2_normalize)([a, b])
queue negatives[1024] = sphere(32)
negatives <- z[a]
negatives <- z[b]
loss = nt_xent_memory(z, negatives, 0.2)
""",
            """\
z = (f | g | l2_normalize)([a, b])
queue negatives[1024] = sphere(32)
negatives <- concat(z)
loss = nt_xent_memory(z, negatives, 0.2)
""",
        ),
    ),
    Code(
        "E404",
        "state never written",
        "The state is read, and nothing ever writes it, so it stays what it began as: "
        "negatives that are random points, a centre that is zero. The loss is finite and "
        "falls, for random negatives are easy. In Python a call of `dequeue_and_enqueue` "
        "that was lost in a refactoring looks just so.",
        "warning",
        example=Example(
            """\
k = stop_grad(l2_normalize(g(f(b))))
queue negatives[1024] = sphere(32)
loss = info_nce(l2_normalize(g(f(a))), k, negatives, 0.2)
""",
            """\
k = stop_grad(l2_normalize(g(f(b))))
queue negatives[1024] = sphere(32)
negatives <- k
loss = info_nce(l2_normalize(g(f(a))), k, negatives, 0.2)
""",
        ),
    ),
    Code(
        "E405",
        "write does not fit",
        "The value that is written has another shape than the state, or a bank is written "
        "without saying which rows: `memory[index] <- z`. PyTorch stretches what has one "
        "row, or one number, over all of a buffer, after which every image has the same "
        "neighbour; and slices such as `memory[:batch] = z` fill the same few rows in every "
        "step.",
        example=Example(
            """\
z = l2_normalize(g(f(a)) + g(f(b)))
bank memory[dataset] = sphere(32)
memory <- z
loss = bank_info_nce(z, memory, index, draw_integers(512, below = dataset), 0.1)
""",
            """\
z = l2_normalize(g(f(a)) + g(f(b)))
bank memory[dataset] = sphere(32)
memory[index] <- z
loss = bank_info_nce(z, memory, index, draw_integers(512, below = dataset), 0.1)
""",
        ),
    ),
    Code(
        "E406",
        "queue and batch do not divide",
        "A queue takes the rows of a batch at its end and gives as many up at its start, so its "
        "length is a multiple of the batch. Otherwise some batch is cut in two where the buffer "
        "ends: MoCo's code stops there with an assertion, and a loop without one writes past the "
        "end or leaves rows that never change.",
        example=Example(
            """\
k = stop_grad(l2_normalize(g(f(b))))
queue negatives[1000] = sphere(32)
negatives <- k
loss = info_nce(l2_normalize(g(f(a))), k, negatives, 0.2)
recipe default : laptop { batch = 128 }
""",
            """\
k = stop_grad(l2_normalize(g(f(b))))
queue negatives[1024] = sphere(32)
negatives <- k
loss = info_nce(l2_normalize(g(f(a))), k, negatives, 0.2)
recipe default : laptop { batch = 128 }
""",
        ),
    ),
    Code(
        "E407",
        "not a state",
        "`<-` gives a queue, a bank or a state its value of the next step. A weight is "
        "changed by the optimizer alone, a binding is computed anew in each step, and a "
        "function writes no states but its own: so that what a loss does can be read where "
        "it stands.",
        example=Example(
            """\
weight prototypes[64, 32] = uniform_fan_in on unit_rows
prototypes <- l2_normalize(prototypes)
z = (f | g | l2_normalize)([a, b])
s[v in z] = z[v] @ prototypes.T / 0.1
loss = nt_xent(z, 0.5) + mean(cross_entropy(s[a], softmax(stop_grad(s[b]))))
""",
            """\
weight prototypes[64, 32] = uniform_fan_in on unit_rows
z = (f | g | l2_normalize)([a, b])
s[v in z] = z[v] @ prototypes.T / 0.1
loss = nt_xent(z, 0.5) + mean(cross_entropy(s[a], softmax(stop_grad(s[b]))))
""",
        ),
    ),
    Code(
        "E431",
        "rows of other lengths",
        "A product of rows is a cosine only if both have length 1. Here a side has another "
        "length: the rows that a queue or bank begins with, those that are written to it, or rows "
        "as a net gives them, if they are divided by a temperature below 1. So some logits are "
        "larger than others for no reason, and the temperature means nothing. A memory bank that "
        "was never normalised has cost users of other libraries weeks: the loss stays where it "
        "began.",
        "warning",
        example=Example(
            """\
k = stop_grad(g(f(b)))
queue negatives[256] = sphere(32)
negatives <- k
loss = info_nce(l2_normalize(g(f(a))), k, negatives, 0.2)
""",
            """\
k = stop_grad(l2_normalize(g(f(b))))
queue negatives[256] = sphere(32)
negatives <- k
loss = info_nce(l2_normalize(g(f(a))), k, negatives, 0.2)
""",
        ),
    ),
    Code(
        "E432",
        "bank indexed by place in the batch",
        "A bank of `dataset` rows keeps one for each image. The place of an image in the batch "
        "is another in every epoch, so rows written there belong to no image, and those beyond "
        "the batch are never written; nor is a label a place of its own. `index` is the place of "
        "each image in the data set.",
        example=Example(
            """\
z = l2_normalize(g(f(a)) + g(f(b)))
bank memory[dataset] = sphere(32)
memory[arange(batch)] <- z
drawn = draw_integers(64, below = dataset)
loss = bank_info_nce(z, memory, index, drawn, 0.1)
""",
            """\
z = l2_normalize(g(f(a)) + g(f(b)))
bank memory[dataset] = sphere(32)
memory[index] <- z
drawn = draw_integers(64, below = dataset)
loss = bank_info_nce(z, memory, index, drawn, 0.1)
""",
        ),
    ),
    Code(
        "E450",
        "place of an image among other things",
        "`index` is the place of each image in the data set: it chooses among `dataset` rows. "
        "Here it chooses among classes, or the rows of a batch, which are fewer, so that a step "
        "soon asks for one that is not there, and until then takes the wrong one.",
        example=Example(
            """\
method "a classifier" (labels = true)
view x = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head h = linear(classes)
loss = label_cross_entropy(h(f(x)), index)
""",
            """\
method "a classifier" (labels = true)
view x = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head h = linear(classes)
loss = label_cross_entropy(h(f(x)), label)
""",
        ),
    ),
    Code(
        "E433",
        "queue of queries",
        "The positives come from a momentum average, whose slow change keeps the rows of a queue "
        "alike; but the queue is written with the queries of the trained encoder. Its negatives "
        "then come from another encoder than the positives, and the loss can tell them apart by "
        "that alone.",
        "warning",
        example=Example(
            """\
branch target = ema(f | g, 0.99)
q = l2_normalize(g(f(a)))
k = stop_grad(l2_normalize(target(b)))
queue negatives[256] = sphere(32)
negatives <- q
loss = info_nce(q, k, negatives, 0.2)
""",
            """\
branch target = ema(f | g, 0.99)
q = l2_normalize(g(f(a)))
k = stop_grad(l2_normalize(target(b)))
queue negatives[256] = sphere(32)
negatives <- k
loss = info_nce(q, k, negatives, 0.2)
""",
        ),
    ),
    Code(
        "E434",
        "queue never filled",
        "The run is over before every row of the queue has been written. The rest stay the "
        "random rows that they began as, negatives that any encoder tells from images; a queue "
        "that begins as `empty` is not read at all before it is full.",
        "warning",
        example=Example(
            """\
k = stop_grad(l2_normalize(g(f(b))))
queue negatives[65536] = sphere(32)
negatives <- k
loss = info_nce(l2_normalize(g(f(a))), k, negatives, 0.2)
recipe default : laptop { length = 8 epochs }
""",
            """\
k = stop_grad(l2_normalize(g(f(b))))
queue negatives[1024] = sphere(32)
negatives <- k
loss = info_nce(l2_normalize(g(f(a))), k, negatives, 0.2)
recipe default : laptop { length = 8 epochs }
""",
        ),
    ),
    Code(
        "E436",
        "running mean of another state",
        "A running mean keeps most of what the state was and adds a little of what is new. Here "
        "what is kept is another state's, so that two banks change places in every step, and none "
        "follows its own encoder. Mostly the targets of two writes were exchanged.",
        "warning",
        Example(
            """\
x = l2_normalize(g(f(a)))
y = l2_normalize(g(f(b)))
bank m[dataset], n[dataset] = sphere(32)
m[index] <- l2_normalize(0.5 * n[index] + 0.5 * x)
n[index] <- l2_normalize(0.5 * m[index] + 0.5 * y)
drawn = draw_integers(64, below = dataset)
loss = bank_info_nce(x, n, index, drawn, 0.1) + bank_info_nce(y, m, index, drawn, 0.1)
""",
            """\
x = l2_normalize(g(f(a)))
y = l2_normalize(g(f(b)))
bank m[dataset], n[dataset] = sphere(32)
m[index] <- l2_normalize(0.5 * m[index] + 0.5 * x)
n[index] <- l2_normalize(0.5 * n[index] + 0.5 * y)
drawn = draw_integers(64, below = dataset)
loss = bank_info_nce(x, n, index, drawn, 0.1) + bank_info_nce(y, m, index, drawn, 0.1)
""",
        ),
    ),
    Code(
        "E437",
        "negatives of another net",
        "The positive of each row is what one net gives, and the queue beside it holds what "
        "another gives. Two nets put their rows in different places, so that the loss can tell a "
        "positive from a negative by the net it came from, and teaches nothing more.",
        "warning",
        Example(
            """\
head h = mlp(64, 32)
q = l2_normalize(g(f(a)))
k = stop_grad(l2_normalize(g(f(b))))
s = l2_normalize(h(f(a)))
r = stop_grad(l2_normalize(h(f(b))))
queue keys[1024], others[1024] = sphere(32)
keys <- r
others <- k
loss = info_nce(q, k, keys, 0.2) + info_nce(s, r, others, 0.2)
""",
            """\
head h = mlp(64, 32)
q = l2_normalize(g(f(a)))
k = stop_grad(l2_normalize(g(f(b))))
s = l2_normalize(h(f(a)))
r = stop_grad(l2_normalize(h(f(b))))
queue keys[1024], others[1024] = sphere(32)
keys <- k
others <- r
loss = info_nce(q, k, keys, 0.2) + info_nce(s, r, others, 0.2)
""",
        ),
    ),
    Code(
        "E438",
        "average that no loss compares with",
        "The spec keeps an average and evaluates it, while the target in the loss is what the "
        "trained net itself gives, cut. Mostly the wrong branch was applied: DINO with its student "
        "in the place of its teacher does not learn, and nothing but its features shows it.",
        "warning",
        Example(
            """\
branch student = f | g
branch teacher = ema(student, 0.99)
t = student(b)
state center[32] = zeros
center <- 0.9 * center + 0.1 * mean(t, axis = 0)
loss = cross_entropy(student(a) / 0.1, stop_grad(softmax((t - center) / 0.04)))
features = teacher.f(a)
""",
            """\
branch student = f | g
branch teacher = ema(student, 0.99)
t = teacher(b)
state center[32] = zeros
center <- 0.9 * center + 0.1 * mean(t, axis = 0)
loss = cross_entropy(student(a) / 0.1, stop_grad(softmax((t - center) / 0.04)))
features = teacher.f(a)
""",
        ),
    ),
    Code(
        "E439",
        "queue of places",
        "A queue takes one row for each image of the batch. Here the mean went over the batch, and "
        "what is left is one row for each place of a grid, or for each token: blurs of all images "
        "of a step, which are no negatives of any image.",
        "warning",
        Example(
            """\
q = l2_normalize(g(f(a)))
k = stop_grad(l2_normalize(g(f(b).grid)))
queue places[1024] = sphere(32)
places <- l2_normalize(mean(flatten(k, 1, 2), axis = 0))
loss = nt_xent_memory([q, l2_normalize(g(f(b)))], places, 0.2)
""",
            """\
q = l2_normalize(g(f(a)))
k = stop_grad(l2_normalize(g(f(b).grid)))
queue places[1024] = sphere(32)
places <- l2_normalize(mean(flatten(k, 1, 2), axis = 1))
loss = nt_xent_memory([q, l2_normalize(g(f(b)))], places, 0.2)
""",
        ),
    ),
)
