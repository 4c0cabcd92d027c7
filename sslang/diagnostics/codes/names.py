"""Codes E2xx. Names, files and overlays."""

from __future__ import annotations

from sslang.diagnostics.code import Code, Example

ALL = (
    Code(
        "E201",
        "unknown name",
        "No declaration of the file, no parameter and no name of the standard library is called "
        "this. In Python a misspelt name is found when its line runs, which may be after the "
        "first epoch; an attribute that is set under a misspelt name is never found. Here all "
        "names are looked up under every recipe before anything runs.",
        example=Example(
            """\
z = (f | g | l2_normalise)([a, b])
loss = nt_xent(z, 0.5)
""",
            """\
z = (f | g | l2_normalize)([a, b])
loss = nt_xent(z, 0.5)
""",
        ),
    ),
    Code(
        "E202",
        "declared twice",
        "A file has one namespace, and its declarations are a set: their order means nothing, so "
        "a second one of a name cannot take the place of the first. In Python the later wins, and "
        "which temperature a run had then depends on the order of the lines. What differs between "
        "runs is rebound by a recipe.",
        example=Example(
            """\
param temperature = 0.5
param temperature = 0.1
loss = nt_xent((f | g)([a, b]), temperature)
recipe default : laptop {}
""",
            """\
param temperature = 0.5
loss = nt_xent((f | g)([a, b]), temperature)
recipe default : laptop {}
recipe cold : laptop { temperature = 0.1 }
""",
        ),
    ),
    Code(
        "E203",
        "cycle",
        "These declarations need each other, so none of them has a value. What is meant to use "
        "its own value of the step before is a state: declared with what it begins with, read "
        "like any name, and written by `<-` after the step.",
        example=Example(
            """\
k = stop_grad(l2_normalize(g(f(b))))
mean_key = 0.9 * mean_key + 0.1 * mean(k, axis = 0)
loss = info_nce_batch(l2_normalize(g(f(a))), k - mean_key, 0.2)
""",
            """\
k = stop_grad(l2_normalize(g(f(b))))
state mean_key[32] = zeros
mean_key <- 0.9 * mean_key + 0.1 * mean(k, axis = 0)
loss = info_nce_batch(l2_normalize(g(f(a))), k - mean_key, 0.2)
""",
        ),
    ),
    Code(
        "E204",
        "unknown recipe",
        "Neither the file nor the standard library has a recipe of this name. If an unknown one "
        "were taken for no recipe at all, a run would go for hours with other settings than its "
        "author believes.",
        example=Example(
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : labtop { batch = 64 }
""",
            """\
loss = nt_xent((f | g)([a, b]), 0.5)
recipe default : laptop { batch = 64 }
""",
        ),
    ),
    Code(
        "E205",
        "override of an unknown name",
        "A recipe and the command line replace right sides by name; beside the fields of a "
        "recipe they add none. A configuration that takes any key lets a misspelt one pass: the "
        "run goes through with the old value, and the table of results says that the change made "
        "no difference.",
        example=Example(
            """\
param temperature = 0.5
loss = nt_xent((f | g)([a, b]), temperature)
recipe default : laptop { temprature = 0.1 }
""",
            """\
param temperature = 0.5
loss = nt_xent((f | g)([a, b]), temperature)
recipe default : laptop { temperature = 0.1 }
""",
        ),
    ),
    Code(
        "E206",
        "file cannot be read",
        'There is no file at the path, or it may not be read. `use NAMES from "FILE"` takes '
        "files that lie beside the spec and no others, so that a folder of specs can be moved, "
        "copied into a run and read again years later.",
        example=Example(
            """\
use decorrelated from "../losses.ssl"
loss = decorrelated((f | g)([a, b]))
""",
            """\
fn decorrelated(z: [B, D][2]) = sum(off_diagonal(z[0].T @ z[1] / B)**2)
loss = nt_xent((f | g)([a, b]), 0.5) + 0.01 * decorrelated((f | g)([a, b]))
""",
        ),
    ),
    Code(
        "E207",
        "unused declaration",
        "No recipe of the file reaches this declaration: it changes nothing, whatever its value. "
        "Mostly something else was meant to use it and has a number of its own, so that a sweep "
        "over the parameter gives the same run each time.",
        example=Example(
            """\
param temperature = 0.1
loss = nt_xent((f | g)([a, b]), 0.5)
""",
            """\
param temperature = 0.1
loss = nt_xent((f | g)([a, b]), temperature)
""",
        ),
    ),
    Code(
        "E208",
        "hides a prelude name",
        "The declaration takes the place of a name of the standard library everywhere in the "
        "file. That is allowed, and what the library itself is made of stays as it is; but who "
        "reads `softmax` in the loss will think of the usual one, so another name is better.",
        "note",
        example=Example(
            """\
fn nt_xent(z: [B, D][2], temperature) = mean(info_nce_batch(z[0], z[1], temperature))
loss = nt_xent((f | g)([a, b]), 0.5)
""",
            """\
fn one_sided(z: [B, D][2], temperature) = mean(info_nce_batch(z[0], z[1], temperature))
loss = one_sided((f | g)([a, b]), 0.5)
""",
        ),
    ),
    Code(
        "E209",
        "no method line",
        'A spec begins with `method "NAME"`, to which the paper may be added. Under this name '
        "its runs are listed, tracked and compared, so it is not left to the name of a file that "
        "is copied and renamed.",
        example=Example(
            """\
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
loss = nt_xent(f([a, b]), 0.5)
""",
            """\
method "SimCLR without a projector" (paper = "arXiv:2002.05709")
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
loss = nt_xent(f([a, b]), 0.5)
""",
            whole=True,
        ),
    ),
    Code(
        "E210",
        "not in this version",
        "The name belongs to the language, and this version does not compile it yet. It is kept "
        "so that no spec gives it a meaning of its own, which would change when it comes. Most "
        "of these can be written with what there is: products and sums, indices, `take`.",
        example=Example(
            """\
z = (f | g)([a, b])
alike = mean(einsum("bd,bd->b", z[a], z[b]))
loss = nt_xent(z, 0.5) - 0.1 * alike
""",
            """\
z = (f | g)([a, b])
alike = mean(dot(z[a], z[b]))
loss = nt_xent(z, 0.5) - 0.1 * alike
""",
        ),
    ),
    Code(
        "E211",
        "changed kind",
        "A recipe gives a name another value of the same kind: a number for a number, a net for "
        "a net, a function never. So every recipe of a file is the same method with other "
        "settings, and its runs can be compared; another loss has a name of its own.",
        example=Example(
            """\
fn sharpness(x) = 1 / x
loss = nt_xent((f | g)([a, b]), sharpness(2))
recipe default : laptop {}
recipe cold : laptop { sharpness = 0.1 }
""",
            """\
param temperature = 0.5
loss = nt_xent((f | g)([a, b]), temperature)
recipe default : laptop {}
recipe cold : laptop { temperature = 0.1 }
""",
        ),
    ),
    Code(
        "E212",
        "labels not declared",
        "A method that reads `label` or `classes` says so in its first line, "
        '`method "..." (labels = true)`. Without it nothing of the method can see a label, '
        "neither by mistake nor through a function that was copied: what is called "
        "self-supervised is.",
        example=Example(
            """\
head classifier = linear(classes)
loss = label_cross_entropy(classifier(f(a)), label) + nt_xent((f | g)([a, b]), 0.5)
""",
            """\
method "example" (labels = true)
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head g = mlp(64, 32)
head classifier = linear(classes)
loss = label_cross_entropy(classifier(f(a)), label) + nt_xent((f | g)([a, b]), 0.5)
""",
        ),
    ),
    Code(
        "E213",
        "allows nothing",
        "`# allow CODE: reason` silences a warning or a note of its own line, and this one does "
        "not: nothing on the line gives the code, it is an error, or no reason stands there. "
        "One that was left behind would silence the next mistake on the line before anybody "
        "reads it.",
        "warning",
        example=Example(
            """\
param temperature = 0.5  # allow E524: the scale of the authors' code
loss = nt_xent((f | g)([a, b]), temperature)
""",
            """\
param temperature = 0.5
loss = nt_xent((f | g)([a, b]), temperature)
""",
        ),
    ),
    Code(
        "E214",
        "set and not read",
        "The recipe sets the name, and gives a new value to what read it: so the number has no "
        "effect under this recipe, which is easily overlooked when results are compared. Take it "
        "away, or let the new value read it.",
        "warning",
        example=Example(
            """\
param strength = 1
view c = simclr_views(32, strength = strength)
z = (f | g)([a, b, c])
loss = nt_xent([z[b], z[c]], 0.5)
recipe default : laptop {}
recipe weak : laptop {
    strength = 0.5
    c        = simclr_views(32)
}
""",
            """\
param strength = 1
view c = simclr_views(32, strength = strength)
z = (f | g)([a, b, c])
loss = nt_xent([z[b], z[c]], 0.5)
recipe default : laptop {}
recipe weak : laptop {
    strength = 0.5
    c        = simclr_views(32, blur = 0, strength = strength)
}
""",
        ),
    ),
    Code(
        "E215",
        "variable that nothing reads",
        "A sum over pairs of views compares one with another: `for v in views for w in views if "
        "v != w`. Where the summand reads one of the two alone, both sides are of the same view, "
        "and the loss asks each view to be like itself. In the same way all members of a family "
        "are one where its right side does not read the variable: `t[v in views] = target(a)`.",
        "warning",
        example=Example(
            """\
views = [a, b]
z[v in views] = l2_normalize(g(f(v)))
loss = mean(info_nce_batch(z[v], z[v], 0.2) for v in views for w in views if v != w)
""",
            """\
views = [a, b]
z[v in views] = l2_normalize(g(f(v)))
loss = mean(info_nce_batch(z[v], z[w], 0.2) for v in views for w in views if v != w)
""",
        ),
    ),
    Code(
        "E216",
        "two variables of one name",
        "A generator has a variable for each `for`, and the summand reads them by name. Where two "
        "have one name only the last can be read, so the terms are those of one family, each so "
        "many times as the other has members: a sum over pairs that compares no pair.",
        example=Example(
            """\
views = [a, b]
z[v in views] = l2_normalize(g(f(v)))
loss = mean(info_nce_batch(z[v], z[v], 0.2) for v in views for v in views)
""",
            """\
views = [a, b]
z[v in views] = l2_normalize(g(f(v)))
loss = mean(info_nce_batch(z[v], z[w], 0.2) for v in views for w in views if v != w)
""",
        ),
    ),
)
