"""Texts that grow: deep, long, endless, huge, or multiplying themselves."""

from __future__ import annotations

VIEWS = "view a, b = simclr_views(32)\nencoder f = resnet18()\n"


def _grown(first: str, rule: str, times: int = 40) -> str:
    """`first`, then `rule` for i = 1, 2, ... with j = i - 1: each line builds on the one before."""
    lines = [first, *(rule.format(i=i, j=i - 1) for i in range(1, times))]
    return "\n".join(lines) + "\n"


def _each(rule: str, times: int, between: str = "\n") -> str:
    """`rule` for i = 0, 1, ..."""
    return between.join(rule.format(i=i, j=i + 1) for i in range(times)) + between


GROWN = {
    "brackets": "loss = " + "(" * 100_000,
    "brackets within the limit": "loss = " + "(" * 59 + "1" + ")" * 59,
    "lists within the limit": "param a = " + "[" * 59 + "1" + "]" * 59 + "\nloss = a",
    "blocks": "recipe a {\n" * 9_000,
    "90 minus signs": "loss = " + "- " * 90 + "1",
    "100,000 minus signs": "loss = " + "- " * 100_000 + "1",
    "90 nots": "loss = " + "not " * 90 + "a",
    "5,000 nots": "loss = " + "not " * 5_000 + "a",
    "10,000 terms": "loss = a" + " + a" * 10_000,
    "4,000 terms": "loss = a" + " + a" * 4_000,
    "90 terms": "param a = 1\nloss = a" + " + a" * 90,
    "90 stages": VIEWS + "branch o = f" + " | l2_normalize" * 90 + "\nloss = mean(o(a))",
    "a list of 9,000": "loss = [" + "1, " * 9_000 + "]",
    "functions that double numbers": _grown("fn f0(x) = x + x", "fn f{i}(x) = f{j}(x) + f{j}(x)")
    + "loss = f34(1)",
    "functions that double tensors": VIEWS
    + _grown("fn f0(x) = x + x", "fn f{i}(x) = f{j}(x) * f{j}(x)")
    + "loss = f34(f(a))",
    "functions that double an unknown name": _grown(
        "fn f0(x) = none_such", "fn f{i}(x) = f{j}(x) + f{j}(x)"
    )
    + "loss = f34(1)",
    "2,000 params in a chain": _grown("param a0 = 1", "param a{i} = a{j} + 1", 2_000)
    + "loss = a1999",
    "40 params in a chain": _grown("param a0 = 1", "param a{i} = a{j}") + "loss = a39",
    "families that double": _grown("x0 = [1]", "x{i} = x{j} ++ x{j}") + "loss = x39",
    "families of families": _grown("x0 = [1]", "x{i} = [x{j}, x{j}]")
    + "loss = x39\nevaluate = x39",
    "selectors that double": _grown("s0 = bias", "s{i} = s{j} or s{j}")
    + "freeze = [s39]\nloss = 1",
    "schedules that double": VIEWS
    + _grown("param s0 = cosine(0 -> 1)", "param s{i} = s{j} * s{j}")
    + "branch t = ema(f, s39)\nloss = mean(t(a))",
    "schedules out of range": VIEWS
    + _grown("param s0 = cosine(0 -> 1e30)", "param s{i} = s{j} * s{j}", 7)
    + "branch t = ema(f, s6)\nloss = mean(t(a))",
    "schedules of large integers": VIEWS
    + _grown("param s0 = cosine(1 -> 100000000000000)", "param s{i} = s{j} * s{j}", 7)
    + "branch t = ema(f, s6 / s0)\nloss = mean(t(a))",
    "descriptions that double": VIEWS
    + _grown("param d0 = relu", "param d{i} = d{j} | d{j}")
    + "head h = d39\nloss = mean(h(f(a)))",
    "branches that double": VIEWS
    + _grown("branch d0 = f", "branch d{i} = d{j} | d{j}")
    + "loss = mean(d39(a))",
    "recipes in a ring": _grown("loss = 1\nrecipe r0 : r39 {}", "recipe r{i} : r{j} {{}}"),
    "2,000 recipes in a chain": _grown("loss = 1\nrecipe r0 {}", "recipe r{i} : r{j} {{}}", 2_000),
    "recipes that double": _grown("loss = 1\nrecipe r0 {}", "recipe r{i} : r{j}, r{j} {{}}", 28)
    + "recipe default : r27 {}",
    "times of times": "param a = " + "(" * 45 + "1" + " epochs)" * 45 + "\nloss = a",
    "a recipe that each costs much": _grown("fn f0(x) = x + x", "fn f{i}(x) = f{j}(x) + f{j}(x)")
    + "loss = f30(1)\n"
    + _each("recipe r{i} {{}}", 2_000),
    "recipes that each make much": VIEWS
    + "z = f(a)\nloss = mean(sum(z * i * j for i in 1..20 for j in 1..20))\n"
    + _each("recipe r{i} {{}}", 2_000),
    "phases times recipes": VIEWS
    + _each("phase p{i} {{ loss = mean(f(a)) }}", 300)
    + _each("recipe r{i} {{}}", 300),
    "phases that each cost much": VIEWS
    + "fn total(x) = sum(x * i for i in 1..1000)\n"
    + _each("phase p{i} {{ loss = mean(f(a)) + sum(total(i) for i in 1..7) }}", 300),
    "recipes on many recipes": "loss = 1\nrecipe r0 {}\n"
    + "".join(
        f"recipe r{i} : {', '.join(f'r{j}' for j in range(max(0, i - 25), i))} {{}}\n"
        for i in range(1, 350)
    ),
    "1,400 unknown names among as many": "loss = 1\n"
    + _each("param temperature_{i} = 1", 1_400)
    + "recipe default {\n"
    + _each("tempereture_{i} = 1", 1_400)
    + "}",
    "1,000 unknown keywords among 1,500": "fn g("
    + _each("d{i}", 1_500, ", ")
    + ") = d0\n"
    + _each("x{i} = g(d{i}x = 1)", 1_000)
    + f"loss = [{_each('x{i}', 1_000, ', ')}]",
    "1,000 unknown nets": "view a = simclr_views(32)\n"
    + _each("encoder f{i} = resnet200()", 1_000)
    + f"loss = [{_each('f{i}(a)', 1_000, ', ')}]",
    "2,500 writes of one queue": VIEWS
    + "queue q[64] = sphere(512)\n"
    + "q <- f(a)\n" * 2_500
    + "loss = mean(q)",
    "900 queues in a chain": VIEWS
    + _each("queue q{i}[64] = sphere(512)\nq{i} <- mean(q{j}) * f(a)", 900)
    + "queue q900[64] = sphere(512)\nq900 <- f(a)\nloss = mean(q0)",
    "a net on a large family, often": VIEWS
    + "y = f(a)\nz[i in 0..1000] = y * i\nhead g = linear(8)\nfn h(j) = g(z)[j]\n"
    + "loss = mean(sum(h(j) for j in 1..1000)) + mean(sum(h(j) for j in 1..900))",
    "70,000 allowed findings": "loss = 1 " + "# allow E404 " * 70_000,
    "a name of 400,000 letters": "loss = " + "x" * 400_000,
    "an open bracket at the very end": "loss = mean(\n",
    "400 heads with a loss each": VIEWS
    + _each("head g{i} = mlp(64, 32)\nl{i} = nt_xent(g{i}(f([a, b])), 0.5)", 400)
    + f"terms = [{_each('l{i}', 400, ', ')}]\nloss = sum(terms[i] for i in terms)",
    "900 params that a recipe makes dead": VIEWS
    + _each("param p{i} = {j}\nq{i} = p{i} * 2", 900)
    + f"terms = [{_each('q{i}', 900, ', ')}]\n"
    + "loss = nt_xent(f([a, b]), 0.5) + sum(terms[i] for i in terms)\nfeatures = f(a)\n"
    + "recipe default : laptop {}\nrecipe r : laptop {\n"
    + _each("p{i} = 7\nq{i} = 7", 900)
    + "}",
    "sizes that grow": VIEWS
    + "fn g(x: [B, D]) = B"
    + " * 100000000000000" * 3
    + "\nloss = g(f(a))",
    "5,000 digits": "loss = " + "9" * 5_000,
    "5,000 zeros": "loss = " + "0" * 5_000 + "1",
    "a long path": 'use a from "' + "x" * 5_000 + '"\nloss = 1',
    "a long comment": "#" * 900_000 + "\nloss = 1",
    "more than 1 MB": "#" * 1_100_000,
}
