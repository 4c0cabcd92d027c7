"""Reference pages of the words that the grammar itself knows, and of what a step is given."""

from __future__ import annotations

# Each: how it is written, and what it means.
KEYWORDS: dict[str, tuple[str, str]] = {
    "method": (
        'method "NAME" (paper = "...", labels = true)',
        "The first line of a spec. `labels = true` is due where it reads `label` or `classes`.",
    ),
    "param": ("param NAME = value", "A hyper-parameter: recipes and the command line rebind it."),
    "view": (
        "view NAME = chain, view a, b = chain, view x[n] = chain",
        "Images under a chain of operations, drawn anew for each name and image. A chain begins\n"
        "at the image, or at a declared view: `view l = lab | channels(0)`.",
    ),
    "encoder": (
        "encoder NAME = description",
        "A net with parameters, built once for the name; its widths follow from its uses.",
    ),
    "head": (
        "head NAME = description, head w[1..5] = description",
        "A net as `encoder`, or a family of them. What is evaluated is mostly an encoder's output.",
    ),
    "branch": (
        "branch NAME = f | g | function with (batch_norm = ..., drop_path = ..., mode = ...)",
        "A pipeline of built nets and functions, or `ema(branch, momentum)`.",
    ),
    "weight": (
        "weight NAME[n, d] = initialiser on unit_rows",
        "A trained tensor that belongs to no net. `on unit_rows` keeps its rows on the unit\n"
        "sphere after each step, at the start and after loading.",
    ),
    "queue": (
        "queue NAME[rows] = sphere(dim)",
        "Rows, oldest first; `NAME <- rows` appends after the step. `empty(dim)` reads as no rows\n"
        "until it is full; `with (from = 15 epochs, every = 1 epochs)` says when rows enter.",
    ),
    "bank": (
        "bank NAME[dataset] = uniform(dim, 0..1)",
        "A row for each image: `NAME[index]` reads, `NAME[index] <- rows` writes after the step.",
    ),
    "state": (
        "state NAME[d] = zeros",
        "A tensor with one write, `NAME <- value`, after the step. Begun with a value of the step\n"
        "(`state Z = mean(p)`) it is that of the first step. A function may own states.",
    ),
    "fn": (
        "fn NAME(z: [B, D], i: index[B], pair: [B, D][2], t = 0.1) = expression",
        "A function, or `{ ... return expression }`. Patterns bind sizes, which are numbers in\n"
        "the body; `[B, D][2]` takes a family of two, and `[B, D]` given a family maps over it.",
    ),
    "phase": (
        "phase NAME { ... }",
        "Training that goes on with the nets so far: a loss, features and fields of its own.",
    ),
    "recipe": (
        "recipe NAME : BASE { name = expression }",
        "Replaces right sides of the spec (of views and families too), and gives the fields of\n"
        "the run; `PHASE { ... }` in it does so for a phase.",
    ),
    "use": ('use NAMES from "FILE"', "Takes declarations of a file that lies beside the spec."),
    "assume": (
        'assume no_collapse "reason"',
        "Vouches for what the checker refuses. The reason goes into the run's record.",
    ),
    "with": ("net with (setting = value)", "Settings of a branch, or of a queue's writes."),
    "on": ("initialiser on unit_rows", "The constraint of a weight."),
    "then": ("schedule then schedule", "The second runs over the steps that the first leaves."),
    "loss": ("loss = expression", "What is minimised: a scalar, or a value a row, then averaged."),
    "features": ("features = expression", "What is evaluated and exported: [batch, width]."),
    "index": ("index", "The place of each image in the training set, int [batch]."),
    "label": ("label", "The class of each image, int [batch]; needs `labels = true`."),
    "batch": ("batch", "This step's number of rows; in a recipe the nominal one."),
    "dataset": ("dataset", "The number of training images, as a size and a number."),
    "classes": ("classes", "The number of classes, as a size and a number."),
    "unit_rows": ("on unit_rows", "Rows of length 1 (see `weight`)."),
}
