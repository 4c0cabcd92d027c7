"""Codes E5xx. Recipes: their fields, and facts of the batch, the views and the draws."""

from __future__ import annotations

from sslang.diagnostics.code import Code, Example

ALL = (
    Code(
        "E501",
        "recipe lacks a field",
        "A recipe that trains says on what data, with what batch, for how long and with "
        "which optimizer; no library fills these in behind it. Values that nobody wrote are "
        "the first thing that two runs differ in without anybody knowing it. Take the rest "
        "from a recipe that has them, `recipe r : laptop { ... }`, or write them out.",
        example=Example(
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default {
    data  = embedded()
    batch = 128
}
""",
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default {
    data      = embedded()
    batch     = 128
    length    = 12 epochs
    optimizer = adamw(lr = cosine(2e-3 -> 0))
}
""",
        ),
    ),
    Code(
        "E502",
        "wrong field",
        "The field does not take this value: a batch is a whole number, a momentum of an "
        "optimizer lies in 0..1, `last_batch` is `drop`, `keep` or `wrap`. A command line "
        "that takes any text turns `0.5` into a batch of 0, or keeps a text where a number "
        "was due, and the first to complain is a line deep in the loop.",
        example=Example(
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop { optimizer = sgd(lr = cosine(0.1 -> 0), momentum = 9) }
""",
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop { optimizer = sgd(lr = cosine(0.1 -> 0), momentum = 0.9) }
""",
        ),
    ),
    Code(
        "E503",
        "batch norm groups do not divide",
        "With `batch_norm = groups(n)` each n images have statistics of their own, as on n "
        "images a device in the papers' runs. If the batch is no multiple of n, the last "
        "group is smaller than the others, and its statistics are worse: with one image "
        "there are none. On a cluster this is the process whose share of the batch came out "
        "short.",
        example=Example(
            """\
branch online = f | g with (batch_norm = groups(48))
loss = nt_xent(online([a, b]), 0.5)
recipe default : laptop { batch = 128 }
""",
            """\
branch online = f | g with (batch_norm = groups(32))
loss = nt_xent(online([a, b]), 0.5)
recipe default : laptop { batch = 128 }
""",
        ),
    ),
    Code(
        "E505",
        "selector matches nothing",
        "The selector of a group, or of `freeze`, means no parameter of the nets. Regular "
        "expressions over parameter names, which other libraries use, match nothing just as "
        "quietly after a layer was renamed, and weight decay then falls on what was meant "
        "to be spared. Nets have to be built to know it, so it is found when a run starts.",
        example=Example(
            """\
branch online = f | g
head predictor = linear(32, bias = false)
loss = info_nce_batch(predictor(online(a)), stop_grad(online(b)), 0.2)
recipe default : laptop { groups = [group(predictor and bias, weight_decay = 0)] }
""",
            """\
branch online = f | g
head predictor = linear(32, bias = false)
loss = info_nce_batch(predictor(online(a)), stop_grad(online(b)), 0.2)
recipe default : laptop { groups = [group(bias or norm, weight_decay = 0)] }
""",
            found="start",
        ),
    ),
    Code(
        "E506",
        "run too short",
        "The length of the run is less than one step: a share of an epoch that rounds to "
        "nothing, or no images to make a batch of. A loop over `range(0)` ends at once, "
        "saves its weights as drawn, and the evaluation that follows is that of a random "
        "net.",
        example=Example(
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop { length = 0.01 epochs }
""",
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop { length = 2 epochs }
""",
        ),
    ),
    Code(
        "E511",
        "more draws than rows",
        "Negatives are drawn with replacement. Of fewer rows than draws, most come several times: "
        "the loss costs as much as with so many different ones and is that of fewer. Draw fewer, "
        "or compare with all rows by a matrix product.",
        "warning",
        example=Example(
            """\
z = l2_normalize(g(f(a)) + g(f(b)))
bank memory[dataset] = sphere(32)
memory[index] <- z
drawn = draw_integers(65536, below = dataset)
loss = bank_info_nce(z, memory, index, drawn, 0.1)
recipe default : laptop {}
""",
            """\
z = l2_normalize(g(f(a)) + g(f(b)))
bank memory[dataset] = sphere(32)
memory[index] <- z
drawn = draw_integers(512, below = dataset)
loss = bank_info_nce(z, memory, index, drawn, 0.1)
recipe default : laptop {}
""",
        ),
    ),
    Code(
        "E512",
        "draw beyond the rows",
        "`draw_integers(n, below = k)` gives integers 0 to k - 1, and they name rows of something "
        "that has fewer than k. The first such draw would stop the run. `below` is the number of "
        "rows of what is drawn from: `dataset` of a bank, `batch` of this step's rows.",
        example=Example(
            """\
z = l2_normalize(g(f(a)))
y = l2_normalize(g(f(b)))
drawn = draw_integers(16, below = dataset)
loss = info_nce_batch(z, y, 0.1) - log_softmax(dot(z[:, none], y[drawn]) / 0.1)[:, 0]
recipe default : laptop {}
""",
            """\
z = l2_normalize(g(f(a)))
y = l2_normalize(g(f(b)))
drawn = draw_integers(16, below = batch)
loss = info_nce_batch(z, y, 0.1) - log_softmax(dot(z[:, none], y[drawn]) / 0.1)[:, 0]
recipe default : laptop {}
""",
        ),
    ),
    Code(
        "E513",
        "crop larger than the images",
        "`random_crop` cuts a box out of the image as it is, and the images of this data set are "
        "smaller than the box. `random_resized_crop` and `resize_and_crop` resize; `padding` makes "
        "room around the image.",
        example=Example(
            """\
view c = random_crop(40) | horizontal_flip @ 0.5
loss = nt_xent([g(f([a, b, c])[b]), g(f([a, b, c])[c])], 0.5)
recipe default : laptop {}
""",
            """\
view c = random_crop(32, padding = 4) | horizontal_flip @ 0.5
loss = nt_xent([g(f([a, b, c])[b]), g(f([a, b, c])[c])], 0.5)
recipe default : laptop {}
""",
        ),
    ),
    Code(
        "E518",
        "recipes not checked",
        "A check looks at every recipe of a file, and ends in two seconds whatever the file "
        "holds. Together these recipes take more steps to build than that allows, so the later "
        "ones were left out; nothing is known against them. `sslang run` checks the one that it "
        "trains. Mostly some function or family does far more than it need.",
        "note",
        example=Example(
            """\
fn total(x) = sum(x * i for i in 1..1000)
loss = nt_xent((f | g)([a, b]), 0.5) + sum(total(i) for i in 1..7)
recipe default : laptop {}
recipe short : laptop { length = 4 epochs }
recipe small : laptop { batch = 64 }
recipe wide : laptop { batch = 256 }
""",
            """\
loss = nt_xent((f | g)([a, b]), 0.5) + 14014000
recipe default : laptop {}
recipe short : laptop { length = 4 epochs }
recipe small : laptop { batch = 64 }
recipe wide : laptop { batch = 256 }
""",
        ),
    ),
    Code(
        "E514",
        "images enlarged",
        "The views are more than three times as large as the images. No detail comes of it, and "
        "the work grows with the square: mostly the `size` of another data set was left in place. "
        "Where it is meant, as for a net that was trained at 224 pixels, say so by `# allow`.",
        "warning",
        example=Example(
            """\
view c = simclr_views(224)
loss = nt_xent([g(f([a, b, c])[b]), g(f([a, b, c])[c])], 0.5)
recipe default : laptop {}
""",
            """\
view c = simclr_views(32)
loss = nt_xent([g(f([a, b, c])[b]), g(f([a, b, c])[c])], 0.5)
recipe default : laptop {}
""",
        ),
    ),
    Code(
        "E515",
        "sizes of views exchanged",
        "Multi-crop adds many views of small parts of the image in few pixels, which costs little "
        "beside the two of large parts. Here a view of a smaller part has more pixels than one "
        "of a larger part: sizes or shares of the area were exchanged.",
        "warning",
        example=Example(
            """\
view global[2] = swav_views(32, crops = 0.14..1)
view local[2]  = swav_views(96, crops = 0.05..0.14)
z = (f | g)([a, b] ++ global ++ local)
loss = nt_xent([z[local[0]], z[local[1]]], 0.5)
""",
            """\
view global[2] = swav_views(96, crops = 0.14..1)
view local[2]  = swav_views(32, crops = 0.05..0.14)
z = (f | g)([a, b] ++ global ++ local)
loss = nt_xent([z[local[0]], z[local[1]]], 0.5)
""",
        ),
    ),
    Code(
        "E526",
        "nothing to evaluate",
        "The recipe asks for an evaluation, and the spec does not say of what: `features` is one "
        "row of numbers for each image, such as what the encoder gives before the head. The run "
        "would train, and its record would have no result in it.",
        "warning",
        example=Example(
            """\
loss = nt_xent((f | g | l2_normalize)([a, b]), 0.5)
recipe default : laptop { evaluate = knn() }
""",
            """\
loss = nt_xent((f | g | l2_normalize)([a, b]), 0.5)
features = f(a)
recipe default : laptop { evaluate = knn() }
""",
        ),
    ),
)
