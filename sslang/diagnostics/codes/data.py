"""Codes E6xx. Data."""

from __future__ import annotations

from sslang.diagnostics.code import Code, Example

ALL = (
    Code(
        "E601",
        "data cannot be opened",
        "What the recipe's `data` names is not there, or its files are damaged or of "
        "another format. Paths are relative to the folder in which the command runs. "
        "Nothing is downloaded unless the spec says so: a data set that comes by itself is "
        "fetched anew on every machine, and in another version one day.",
        example=Example(
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop { data = image_folder("data/no_such_folder") }
""",
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop { data = embedded() }
""",
            found="start",
        ),
    ),
    Code(
        "E602",
        "too few images",
        "The data set has fewer images than one batch takes, or leaves a last batch of one "
        "image, which has no batch statistics. With `last_batch = drop` such an epoch has "
        "no step at all: a loop over a loader that is empty ends without an error, epoch "
        "after epoch. `wrap` fills the batch from the next epoch.",
        example=Example(
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop { batch = 4096 }
""",
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop { batch = 256 }
""",
        ),
    ),
    Code(
        "E603",
        "images differ in size",
        "Images of a folder have all sizes, a batch has one. The chain of this view never "
        "brings them to one size, so it needs a crop or a resize first. A loader that "
        "stacks images finds this at the first batch that has two sizes; one that pads them "
        "shows the net its borders.",
        example=Example(
            """\
view c = color_jitter(0.4, 0.4, 0.4, 0.1) @ 0.8 | imagenet_normalize
z = (f | g | l2_normalize)([a, b, c])
loss = mean(nt_xent([z[v], z[c]], 0.5) for v in [a, b])
""",
            """\
view c = random_resized_crop(32) | color_jitter(0.4, 0.4, 0.4, 0.1) @ 0.8 | imagenet_normalize
z = (f | g | l2_normalize)([a, b, c])
loss = mean(nt_xent([z[v], z[c]], 0.5) for v in [a, b])
""",
        ),
    ),
    Code(
        "E604",
        "unknown data set or option",
        "The options of the data set do not fit what is in its folder, or a program asked "
        "for a data set or an option that there is none of. An option that is passed over "
        "would leave the run on other images than its record says.",
        arises="It arises from `image_folder(..., classes = folders)` where images lie beside the "
        "class folders, and in Python from a name that `open_source` does not know; in a "
        "spec other misspelt names are E303 or E502. Move the images into class folders or "
        "write `classes = none`, then `sslang run SPEC --dry-run` shows whether the data "
        "can be read.",
    ),
    Code(
        "E605",
        "too many unreadable images",
        "More than 1 % of the images, and more than three, cannot be decoded. A few bad "
        "files are passed over, each by the next one that can be read, and named in the "
        "log; more than that means a download that broke off or a wrong mount, and a run on "
        "what is left would be one on other data.",
        arises="It arises when the files are listed at the start of a run, or later when they are "
        "first read. The message names the first five. Repair or remove them, then go on "
        "with `sslang run --resume RUN`, or begin anew where no checkpoint was written.",
    ),
    Code(
        "E606",
        "loader processes die",
        "A process that decodes images was ended from outside, and after all were started "
        "anew, again. Nearly always memory ran out: each worker holds some batches in "
        "advance, and in a container `/dev/shm` is 64 MB unless it was given more. The "
        "batches do not depend on the number of workers, so another number gives the same "
        "run.",
        arises="It arises during a run with `--workers 1` or more. Take fewer and go on from the "
        "last checkpoint: `sslang run --resume RUN --workers 0`.",
    ),
    Code(
        "E607",
        "weights do not fit",
        "What `pretrained` names is not there, has no net of this name, or one of other "
        "shapes. In PyTorch `load_state_dict(..., strict=False)` passes over all that does "
        "not fit, and a whole backbone may stay as it was drawn because its names begin "
        "with `module.`; here every tensor is loaded, or none. A net of an earlier phase "
        "needs no loading at all.",
        example=Example(
            """\
param backbone = resnet18(width = 0.25, stem = small)
encoder teacher = pretrained(backbone, from = "runs/no_such_run", part = "f")
head widen = mlp(64, 128)
q = l2_normalize(widen(g(f(a))))
loss = info_nce_batch(q, l2_normalize(fixed(teacher)(b)), 0.2)
recipe default : laptop {}
""",
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
phase distil {
    encoder student = resnet18(width = 0.25, stem = small)
    q = l2_normalize(student(a))
    loss = info_nce_batch(q, l2_normalize(fixed(f)(b)), 0.2)
}
recipe default : laptop {}
""",
            found="start",
        ),
    ),
    Code(
        "E608",
        "no labels",
        "The phase reads `label` or `classes`, and the data have none. Pretraining goes "
        "without labels; a phase that fine-tunes does not, and a label of -1 for each image "
        "would be taken for the last class by some losses, and for one to ignore by others.",
        arises="It arises at the start of a run where `data` names a flat folder, or "
        "`image_folder(..., classes = none)`, and the method has `labels = true`. All "
        "phases are looked at before the first begins. Give the folder one folder a class, "
        "or the phase data of its own, then run again: `sslang run SPEC --dry-run` shows "
        "whether the labels are found.",
    ),
    Code(
        "E609",
        "bank too small",
        "A bank that is read and written at `index` has a row for each image of the data; "
        "this one has fewer. On the CPU a row beyond the end stops the run in the first "
        "epoch, and on a GPU with an assertion that names no line; where the index is taken "
        "modulo the size, images share rows and draw each other together.",
        example=Example(
            """\
z = l2_normalize(g(f(a)) + g(f(b)))
bank memory[2048] = sphere(32)
memory[index] <- z
loss = bank_info_nce(z, memory, index, draw_integers(512, below = 2048), 0.1)
recipe default : laptop {}
""",
            """\
z = l2_normalize(g(f(a)) + g(f(b)))
bank memory[dataset] = sphere(32)
memory[index] <- z
loss = bank_info_nce(z, memory, index, draw_integers(512, below = dataset), 0.1)
recipe default : laptop {}
""",
        ),
    ),
)
