"""Losses that the tests for collapse are tried on, beside the specs: methods, and broken ones.

A form is a body after PREAMBLE, or changes of a spec. `truth` is what training does: it does not
collapse (`sound`), does not because of its asymmetry alone (`asymmetric`), or does (`broken`).
`narrow`: rows collapse in all dimensions but a few, which the tests do not look for: it passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Truth = Literal["sound", "asymmetric", "broken", "narrow"]

PREAMBLE = """\
method "form" (labels = true)
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head g = mlp(64, 32)
branch online = f | g
"""

_UNIFORMITY = """
fn uniformity(z: [B, D], t) = log(mean(exp(-t * (2 - 2 * (z @ z.T)))))
x = l2_normalize(online(a))
y = l2_normalize(online(b))
"""

_BYOL = """
head p = mlp(64, 32)
branch target = ema(online, 0.99)
"""

_MSN = """
weight prototypes[16, 32] = normal on unit_rows
s = l2_normalize(online(a)) @ prototypes.T / 0.1
t = stop_grad(softmax(l2_normalize(online(b)) @ prototypes.T / 0.025))
m = mean(softmax(s), axis = 0)
"""

_TWIST = """
p = log_softmax(online(a))
q = log_softmax(online(b))
m = mean(exp(p), axis = 0)
doubt = mean(-sum(exp(p) * p, axis = 1))
agree = -mean(sum(exp(stop_grad(q)) * p, axis = 1) + sum(exp(stop_grad(p)) * q, axis = 1)) / 2
"""

_PIRL = """
x = l2_normalize(online(a))
y = l2_normalize(online(b))
bank memory[dataset] = sphere(32)
memory[index] <- l2_normalize(0.5 * memory[index] + 0.5 * y)
"""

_HARD = """
x = l2_normalize(online(a))
y = l2_normalize(online(b))
p = dot(x, y) / 0.5
n = x @ y.T / 0.5
"""

_HALF = """
branch target = ema(online, 0.99)
fn narrow(z: [B, D]) = mean(maximum(1 - sqrt(variance(z, axis = 0) + 1e-4), 0))
fn redundancy(z: [B, D]) = sum(off_diagonal(covariance(z))**2) / 32
x = online(a)
y = stop_grad(target(b))
"""

_JEPA = """
encoder v = vit(patch = 8, width = 16, depth = 1, heads = 2)
branch slow = ema(v, 0.99)
shown = rank(draw_uniform(16)) < 8
"""

QUEUE = """
branch target = ema(online, 0.99)
q = l2_normalize(online(a))
k = stop_grad(l2_normalize(target(b)))
queue memory[128] = sphere(32)
memory <- k
"""


@dataclass(frozen=True)
class Form:
    """A loss by name, how it was broken (empty where it was not), and what it is."""

    method: str
    broken: str
    truth: Truth
    body: str = ""  # after PREAMBLE
    spec: str = ""  # or a file, from the project's root, and the changes of its text
    changes: Mapping[str, str] = field(default_factory=dict)


def _sound(method: str, body: str) -> Form:
    return Form(method, "", "sound", body)


def _broken(method: str, how: str, body: str) -> Form:
    return Form(method, how, "broken", body)


def _changed(method: str, how: str, spec: str, changes: Mapping[str, str]) -> Form:
    return Form(method, how, "broken", "", spec, changes)


FORMS: tuple[Form, ...] = (
    _sound("alignment and uniformity", _UNIFORMITY + """
loss = mean(sum((x - y)**2, axis = 1)) + (uniformity(x, 2) + uniformity(y, 2)) / 2
"""),
    _broken("alignment and uniformity", "alignment alone", _UNIFORMITY + """
loss = mean(sum((x - y)**2, axis = 1))
"""),
    _broken("alignment and uniformity", "uniformity times 0", _UNIFORMITY + """
loss = mean(sum((x - y)**2, axis = 1)) + 0 * (uniformity(x, 2) + uniformity(y, 2))
"""),
    _broken("alignment and uniformity", "sign of uniformity", _UNIFORMITY + """
loss = mean(sum((x - y)**2, axis = 1)) - (uniformity(x, 2) + uniformity(y, 2)) / 2
"""),
    _changed("VICReg", "no variance term", "examples/vicreg.ssl",
             {"25 * (spread(x) + spread(y)) / 2 + ": "", "fn spread": "fn unused"}),
    _changed("VICReg", "invariance alone", "examples/vicreg.ssl",
             {" + 25 * (spread(x) + spread(y)) / 2 + redundancy(x) + redundancy(y)": ""}),
    _changed("Barlow Twins", "no invariance term", "examples/barlow_twins.ssl",
             {"(invariance(c) + lambda * redundancy(c))": "redundancy(c)"}),
    Form("Barlow Twins, no eps", "", "sound", "", "examples/barlow_twins.ssl",
         {"variance(z, axis = 0) + 1e-5": "variance(z, axis = 0)"}),
    _sound("spectral contrastive", """
x = online(a)
y = online(b)
loss = -2 * mean(dot(x, y)) + sum(off_diagonal((x @ y.T)**2)) / (batch * (batch - 1))
"""),
    _broken("spectral contrastive", "attraction alone", """
x = l2_normalize(online(a))
y = l2_normalize(online(b))
loss = -2 * mean(dot(x, y))
"""),
    _sound("decoupled contrastive", """
x = l2_normalize(online(a))
y = l2_normalize(online(b))
loss = -dot(x, y) / 0.1 + log_sum_exp(x @ y.T / 0.1, axis = 1, where = eye(batch) == 0)
"""),
    # Spread grows by 15, 3 and 1 % in 400 steps without noise, at a rate that stays.
    _sound("MoCo, negatives times 1e-4", QUEUE + """
loss = -dot(q, k) + 1e-4 * log_sum_exp(q @ memory.T / 0.2, axis = 1)
"""),
    _sound("MoCo, negatives times 2e-5", QUEUE + """
loss = -dot(q, k) + 2e-5 * log_sum_exp(q @ memory.T / 0.2, axis = 1)
"""),
    _sound("MoCo, squares of negatives times 2e-5", QUEUE + """
loss = -dot(q, k) + 2e-5 * mean((q @ memory.T)**2, axis = 1)
"""),
    _broken("MoCo", "logits of negatives cut", QUEUE + """
loss = -log_softmax(concat([dot(q, k)[:, none], stop_grad(q @ memory.T)], axis = -1) / 0.2)[:, 0]
"""),
    _broken("MoCo", "queue as positives", QUEUE + """
loss = -dot(q, k) - mean(q @ memory.T, axis = 1)
"""),
    _sound("KoLeo and alignment", """
x = l2_normalize(online(a))
y = l2_normalize(online(b))
nearest_cosine = max(x @ x.T - 2 * eye(batch), axis = 1)
loss = -dot(x, y) - 0.1 * log(sqrt(2 - 2 * nearest_cosine + 1e-8))
"""),
    _sound("TiCo", """
x = l2_normalize(online(a))
y = l2_normalize(online(b))
state moment[32, 32] = zeros
c = 0.9 * moment + 0.1 * stop_grad(x.T @ x / batch)
moment <- c
loss = 1 - dot(x, stop_grad(y)) + 8 * dot(x @ c, x)
"""),
    _sound("supervised contrastive", """
x = l2_normalize(online(a))
y = l2_normalize(online(b))
same = label[:, none] == label[none, :]
loss = -mean(log_softmax(x @ y.T / 0.1), axis = 1, where = same)
"""),
    _sound("two encoders, one loss over both", """
encoder f2 = resnet18(width = 0.25, stem = small)
head g2 = mlp(64, 32)
x = l2_normalize(online(a))
y = l2_normalize(g2(f2(b)))
loss = info_nce_batch(x, y, 0.1) + info_nce_batch(y, x, 0.1)
"""),
    _sound("distillation", """
encoder teacher = resnet18(width = 0.25, stem = small)
loss = mean((online(a) - fixed(teacher)(b)[:, :32])**2)
"""),
    Form("BYOL", "", "asymmetric", _BYOL + """
loss = 2 - 2 * cosine_similarity(p(online(a)), stop_grad(target(b)))
"""),
    _broken("BYOL", "no predictor", _BYOL + """
loss = 2 - 2 * cosine_similarity(online(a), stop_grad(target(b)))
"""),
    _broken("BYOL", "no stop_grad", """
head p = mlp(64, 32)
loss = 2 - 2 * cosine_similarity(p(online(a)), online(b))
"""),
    _broken("BYOL", "predictor on both sides", """
head p = mlp(64, 32)
loss = 2 - 2 * cosine_similarity(p(online(a)), stop_grad(p(online(b))))
"""),
    _broken("BYOL", "predictor frozen", _BYOL + """
loss = 2 - 2 * cosine_similarity(p(online(a)), stop_grad(target(b)))
recipe default : laptop { freeze = [p] }
"""),
    _broken("BYOL", "predictor at rate 0", _BYOL + """
loss = 2 - 2 * cosine_similarity(p(online(a)), stop_grad(target(b)))
recipe default : laptop { groups = [group(p, lr = 0)] }
"""),
    _broken("BYOL", "predictor without parameters", """
head p = relu
loss = 2 - 2 * cosine_similarity(p(online(a)), stop_grad(online(b)))
"""),
    Form("I-JEPA", "", "asymmetric", _JEPA + """
head p = transformer(depth = 1, heads = 2)
weight blank[16] = normal
q = p(where(shown[..., none], v(a, keep = shown).patches, blank))
loss = mean(mean((q - stop_grad(slow(a).patches))**2, axis = -1), where = not shown)
"""),
    _broken("I-JEPA", "no predictor, nothing masked", _JEPA + """
loss = mean(mean((v(a).patches - stop_grad(slow(a).patches))**2, axis = -1), where = not shown)
"""),
    Form("mean shift", "", "asymmetric", QUEUE + """
head p = mlp(64, 32)
loss = 2 - 2 * dot(l2_normalize(p(online(a))), nearest(k, memory))
"""),
    _broken("mean shift", "no predictor", QUEUE + """
loss = 2 - 2 * dot(q, nearest(k, memory))
"""),
    _changed("NNCLR", "no negatives, no predictor", "examples/nnclr.ssl", {
        "info_nce_batch(n[v], p[w], temperature)": "-dot(n[v], z[w])",
        "head    predictor = mlp(hidden, dim)\n": "",
        "p[v in views] = l2_normalize(predictor((f | projector)(v)))\n": "",
    }),
    _sound("MSN, as released", _MSN.replace(
        "softmax(l2_normalize(online(b)) @ prototypes.T / 0.025)",
        "sinkhorn(l2_normalize(online(b)) @ prototypes.T / 0.025, 3)",
    ) + "loss = mean(cross_entropy(s, t)) - entropy(m)\n"),
    # Rows leave the collapsed point at 3 times the target's least probability: 1/1600 of the
    # steepest slope, and less from some.
    _sound("MSN, no Sinkhorn", _MSN + "loss = mean(cross_entropy(s, t)) - entropy(m)\n"),
    _sound("MSN, entropy times 5", _MSN + "loss = mean(cross_entropy(s, t)) - 5 * entropy(m)\n"),
    _broken("MSN", "no mean entropy", _MSN + "loss = cross_entropy(s, t)\n"),
    _broken("MSN", "sign of the entropy", _MSN + "loss = mean(cross_entropy(s, t)) + entropy(m)\n"),
    _changed("SwAV", "no Sinkhorn", "specs/swav.ssl", {
        "stop_grad(sinkhorn(scores[v], rounds = 3)[-batch:])": "stop_grad(softmax(s[v] / epsilon))",
    }),
    _changed("SwAV", "codes softer than predictions", "specs/swav.ssl",
             {"param epsilon     = 0.05": "param epsilon     = 0.2"}),
    _changed("DINO", "no sharpening: the teacher's temperature is the student's",
             "specs/dino.ssl", {"teacher_tau = 0.04\n    mo": "teacher_tau = 0.1\n    mo"}),
    _changed("DINO", "teacher softer than the student",
             "specs/dino.ssl", {"teacher_tau = 0.04\n    mo": "teacher_tau = 0.2\n    mo"}),
    _changed("DINO", "the centre stays", "specs/dino.ssl",
             {"0.9 * center + 0.1 * mean": "1.0 * center + 0 * mean"}),
    _changed("DINO", "no centre", "specs/dino.ssl", {"(t[v] - center)": "t[v]"}),
    Form("DINO, centre of the batch", "", "sound", "", "specs/dino.ssl",
         {"t[v] - center": "t[v] - mean(concat(t), axis = 0)"}),
    # Written when all steps, rates and thresholds had been set, and judged as they stood.
    _sound("TWIST", _TWIST + "loss = agree + doubt - entropy(m)\n"),
    _broken("TWIST", "no mean entropy", _TWIST + "loss = agree + doubt\n"),
    _broken("TWIST", "sign of the mean entropy", _TWIST + "loss = agree + doubt + entropy(m)\n"),
    _sound("MSN, no Sinkhorn, a softer target", _MSN.replace("0.025", "0.05") + """
loss = mean(cross_entropy(s, t)) - entropy(m)
"""),
    _broken("MSN", "entropy of the cut target", _MSN.replace("mean(softmax(s)", "mean(t") + """
loss = mean(cross_entropy(s, t)) - entropy(m)
"""),
    _sound("MoCo, decoupled", QUEUE + """
loss = -dot(q, k) / 0.2 + log_sum_exp(q @ memory.T / 0.2, axis = 1)
"""),
    _broken("MoCo, decoupled", "negatives cut", QUEUE + """
loss = -dot(q, k) / 0.2 + stop_grad(log_sum_exp(q @ memory.T / 0.2, axis = 1))
"""),
    _sound("PIRL", _PIRL + """
drawn = draw_integers(64, below = dataset)
near = bank_info_nce(y, memory, index, drawn, 0.07)
loss = 0.5 * bank_info_nce(x, memory, index, drawn, 0.07) + 0.5 * near
"""),
    _broken("PIRL", "no negatives", _PIRL + """
loss = -dot(x, memory[index]) - dot(y, memory[index])
"""),
    _sound("hard negatives", _HARD + """
w = stop_grad(softmax(n - 100 * eye(batch)))
loss = -p + log(exp(p) + batch * sum(w * exp(n), axis = 1))
"""),
    _broken("hard negatives", "similarity cut", _HARD + """
cut = stop_grad(n)
w = softmax(cut - 100 * eye(batch))
loss = -p + log(exp(p) + batch * sum(w * exp(cut), axis = 1))
"""),
    _sound("triplets", """
x = l2_normalize(online(a))
y = l2_normalize(online(b))
far = roll(y, 1, axis = 0)
loss = mean(maximum(sum((x - y)**2, axis = 1) - sum((x - far)**2, axis = 1) + 0.5, 0))
"""),
    _broken("SimCLR", "attracted by all rows", """
x = l2_normalize(online(a))
y = l2_normalize(online(b))
loss = -dot(x, y) / 0.1 - 0.5 * log_sum_exp(x @ y.T / 0.1, axis = 1)
"""),
    _sound("ReSSL", QUEUE + """
loss = cross_entropy(q @ memory.T / 0.1, stop_grad(softmax(k @ memory.T / 0.04)))
"""),
    _sound("VICReg, target cut", _HALF + """
loss = 25 * mean((x - y)**2) + 25 * narrow(x) + redundancy(x)
"""),
    _broken("VICReg, target cut", "variance of the cut side", _HALF + """
loss = 25 * mean((x - y)**2) + 25 * narrow(y) + redundancy(y)
"""),
    # Written when the growth of a window had come to decide; DINO with Sinkhorn and the first
    # cross-correlation got a warning then; the form without eps and the two after it came later.
    _sound("spectral contrastive, target cut", _HALF + """
loss = -2 * mean(dot(x, y)) + mean((x @ y.T)**2)
"""),
    _broken("spectral contrastive, target cut", "repulsion of the cut side", _HALF + """
loss = -2 * mean(dot(l2_normalize(x), l2_normalize(y))) + mean((y @ y.T)**2)
"""),
    _sound("VICReg, target cut, variance times 0.1", _HALF + """
loss = 25 * mean((x - y)**2) + 0.1 * narrow(x) + redundancy(x)
"""),
    _sound("cross-correlation with a cut target", _HALF + """
fn even(z: [B, D]) = (z - mean(z, axis = 0)) / sqrt(variance(z, axis = 0) + 1e-5)
c = even(x).T @ stop_grad(even(y)) / batch
loss = sum(eye(32) * (c - 1)**2) + 5e-3 * sum(off_diagonal(c)**2)
"""),
    _sound("cross-correlation with a cut target, no eps", _HALF + """
fn even(z: [B, D]) = (z - mean(z, axis = 0)) / sqrt(variance(z, axis = 0))
c = even(x).T @ stop_grad(even(y)) / batch
loss = sum(eye(32) * (c - 1)**2) + 5e-3 * sum(off_diagonal(c)**2)
"""),
    _broken("cross-correlation with a cut target", "of the cut side with itself", _HALF + """
fn even(z: [B, D]) = (z - mean(z, axis = 0)) / sqrt(variance(z, axis = 0) + 1e-5)
c = even(y).T @ even(y) / batch
loss = mean((x - y)**2) + 5e-3 * sum(off_diagonal(c)**2)
"""),
    _broken("VICReg, target cut", "a hinge at a thousandth", _HALF + """
loss = 25 * mean((x - y)**2) + mean(maximum(1e-3 - sqrt(variance(x, axis = 0) + 1e-8), 0))
"""),
    _sound("uniformity times 1e-3, target cut", _UNIFORMITY + """
loss = mean(sum((x - stop_grad(y))**2, axis = 1)) + 1e-3 * uniformity(x, 2)
"""),
    _broken("uniformity times 1e-3, target cut", "its sign", _UNIFORMITY + """
loss = mean(sum((x - stop_grad(y))**2, axis = 1)) - 1e-3 * uniformity(x, 2)
"""),
    _sound("MoCo, longer rows cost", QUEUE + """
r = online(a)
loss = info_nce(q, k, memory, 0.2) + 1e-3 * sum(r**2, axis = 1)
"""),
    _broken("MoCo", "attraction by the queue, slowly", QUEUE + """
loss = -dot(q, k) - 2e-4 * log_sum_exp(q @ memory.T / 0.2, axis = 1)
"""),
    _broken("MoCo", "away from the queue's mean direction alone", QUEUE + """
far = stop_grad(l2_normalize(online(b)))
loss = -dot(q, k) + 0.1 * dot(far, stop_grad(q))
"""),
    _broken("regression", "longer rows pay", _HALF + """
loss = mean((x - y)**2) - 0.1 * mean(x**2)
"""),
    _broken("regression", "a mean that costs", _HALF + """
loss = mean((x - y)**2) + mean(mean(x, axis = 0)**2)
"""),
    _broken("regression", "repulsion by fixed anchors", _HALF + """
weight anchors[16, 32] = normal on unit_rows
q = l2_normalize(x)
loss = -dot(q, l2_normalize(y)) + 0.1 * log_sum_exp(q @ stop_grad(anchors).T / 0.2, axis = 1)
"""),
    _broken("regression", "rows are to be sharp", _HALF + """
loss = mean((x - y)**2) + mean(entropy(softmax(x)))
"""),
    _sound("DINO, Sinkhorn for its centre", _HALF + """
t = stop_grad(sinkhorn(y / 0.04, 3))
loss = cross_entropy(x / 0.1, t)
"""),
    _broken("DINO, Sinkhorn for its centre", "softmax for Sinkhorn", _HALF + """
t = stop_grad(softmax(y / 0.04))
loss = cross_entropy(x / 0.1, t)
"""),
    Form("regression", "rows differ in length alone", "narrow", """
x = online(a)
y = online(b)
apart = variance(sum(x**2, axis = 1), axis = 0)
loss = mean(sum((l2_normalize(x) - stop_grad(l2_normalize(y)))**2, axis = 1)) - log(apart + 1e-4)
"""),
)  # fmt: skip
