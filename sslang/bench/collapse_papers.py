"""Losses of papers, and broken ones, on which the tests for collapse are tried.

The first 16 were written and labelled by another hand than the tests were, before any was tried: 14
were judged right. A queue was then read in the order in which it was written, and a loss that
whitens by a value that normalises 0: both were mended.
"""

from __future__ import annotations

from sslang.bench.collapse_forms import QUEUE, Form

_ROWS = """
x = l2_normalize(online(a))
y = l2_normalize(online(b))
"""

_RATE = """
fn log_det(m: [D, D]) = 2 * sum(log(sum(eye(D) * cholesky(m), axis = 1)))
fn rate(c: [D, D], alpha) = log_det(eye(D) + alpha * c) / 2
"""

_SWAV = (
    "weight prototypes[16, 32] = normal on unit_rows"
    + _ROWS
    + "queue recent[128] = sphere(32)\nrecent <- stop_grad(y)\n"
)

_TEMI = """
s = softmax(online(a) / 0.1)
t = stop_grad(softmax(online(b) / 0.1))
"""


def _sound(method: str, body: str) -> Form:
    return Form(method, "", "sound", body)


def _broken(method: str, how: str, body: str) -> Form:
    return Form(method, how, "broken", body)


PAPERS: tuple[Form, ...] = (
    _sound("W-MSE (Ermolov et al., 2021)", """
x = l2_normalize(whiten(online(a)))
y = l2_normalize(whiten(online(b)))
loss = mean(sum((x - y)**2, axis = 1))
"""),
    _sound("ARB (Zhang et al., 2022)", """
x = online(a)
base = stop_grad(whiten(online(b)))
loss = mean((x - base)**2)
"""),
    _sound("SimDINO (Wu et al., 2025)", _RATE + """
branch target = ema(online, 0.99)
x = l2_normalize(online(a))
y = stop_grad(l2_normalize(target(b)))
loss = mean(sum((x - y)**2, axis = 1)) / 2 - rate(covariance(x), 32 / 0.25)
"""),
    _sound("MoCHi (Kalantidis et al., 2020)", QUEUE + """
hard = l2_normalize(0.5 * nearest(q, memory) + 0.5 * stop_grad(q))
s = concat([dot(q, k)[:, none], q @ memory.T, dot(q, hard)[:, none]], axis = -1)
loss = -log_softmax(s / 0.2)[:, 0]
"""),
    _sound("MMCR (Yerxa et al., 2023)", _ROWS + """
c = (x + y) / 2
loss = -sum(sqrt(singular_values(c.T @ c) + 1e-8)) / batch
"""),
    _sound("EMP-SSL (Tong et al., 2023)", _RATE + _ROWS + """
avg = stop_grad((x + y) / 2)
r = (rate(x.T @ x / batch, 32 / 0.2) + rate(y.T @ y / batch, 32 / 0.2)) / 2
loss = -r - 100 * mean(dot(x, avg) + dot(y, avg))
"""),
    _sound("CorInfoMax (Ozsoy et al., 2022)", _RATE + _ROWS + """
state rx[32, 32] = zeros
state ry[32, 32] = zeros
cx = 0.9 * rx + 0.1 * covariance(x)
cy = 0.9 * ry + 0.1 * covariance(y)
rx <- stop_grad(cx)
ry <- stop_grad(cy)
spread = log_det(cx + 1e-3 * eye(32)) + log_det(cy + 1e-3 * eye(32))
loss = 10 * mean(sum((x - y)**2, axis = 1)) - spread / 32
"""),
    _sound("TEMI (Adaloglou et al., 2023)", _TEMI + """
state marginal = mean(t, axis = 0)
now = 0.9 * marginal + 0.1 * mean(t, axis = 0)
marginal <- now
loss = -log(sum((s * t)**0.6 / now, axis = 1))
"""),
    _broken("W-MSE", "the whitening matrix and mean cut", """
x = online(a)
y = online(b)
l = stop_grad(cholesky(0.999 * covariance(x) + 0.001 * eye(32)))
m = stop_grad(mean(x, axis = 0))
loss = mean((solve_triangular(l, (x - m).T) - solve_triangular(l, (y - m).T))**2)
"""),
    _broken("ARB", "target centred, not whitened", """
x = online(a)
y = online(b)
base = stop_grad(y - mean(y, axis = 0))
loss = mean((x - base)**2)
"""),
    _broken("SimDINO", "coding rate of the mean row, not of the covariance", _RATE + """
branch target = ema(online, 0.99)
x = l2_normalize(online(a))
y = stop_grad(l2_normalize(target(b)))
m = mean(x, axis = 0, keep = true)
loss = mean(sum((x - y)**2, axis = 1)) / 2 - rate(m.T @ m, 32 / 0.25)
"""),
    _broken("MoCo", "off by one: the oldest row of the queue is the positive", QUEUE + """
loss = -log_softmax(concat([dot(q, k)[:, none], q @ memory.T], axis = -1) / 0.2)[:, 1]
"""),
    _broken("MMCR", "squares of the singular values", _ROWS + """
c = (x + y) / 2
loss = -sum(singular_values(c.T @ c)) / batch
"""),
    _broken("EMP-SSL", "averages over rows in place of views", _RATE + _ROWS + """
avg = mean(x + y, axis = 0) / 2
r = (rate(x.T @ x / batch, 32 / 0.2) + rate(y.T @ y / batch, 32 / 0.2)) / 2
loss = -r - 100 * mean(dot(x, avg) + dot(y, avg))
"""),
    _broken("SwAV with a queue", "codes of the queue's oldest rows: [:batch]", _SWAV + """
code = stop_grad(sinkhorn(concat([recent, y]) @ prototypes.T / 0.05, 3)[:batch])
loss = cross_entropy(x @ prototypes.T / 0.1, code)
"""),
    _broken("TEMI", "the marginal over the wrong axis", _TEMI + """
now = mean(t, axis = 1, keep = true)
loss = -log(sum((s * t)**0.6 / now, axis = 1))
"""),
    # Later, to see that what was mended is mended.
    _broken("W-MSE", "rows of any length, a large eps", """
loss = mean(sum((whiten(online(a)) - whiten(online(b)))**2, axis = 1))
"""),
    _sound("W-MSE, target cut", """
x = l2_normalize(whiten(online(a)))
loss = mean(sum((x - stop_grad(l2_normalize(whiten(online(b)))))**2, axis = 1))
"""),
    _broken("ARB", "the base of an older batch", """
queue recent[128] = sphere(32)
recent <- stop_grad(online(b))
loss = mean((online(a) - stop_grad(whiten(recent[:batch])))**2)
"""),
    _sound("cosine of centred rows", """
fn centred(z: [B, D]) = l2_normalize(z - mean(z, axis = 0))
loss = -mean(dot(centred(online(a)), centred(online(b))))
"""),
)  # fmt: skip
