"""Texts made to break a front end: deep, long, endless, huge, empty, self-referring, ill-typed."""

from __future__ import annotations

from tests.grown import GROWN, VIEWS

METHOD = 'method "x"\n'


_SMALL = {
    "an index doubled 30 times": (
        VIEWS
        + "i0 = arange(batch)\n"
        + "".join(f"i{at + 1} = concat([i{at}, i{at}])\n" for at in range(30))
        + "loss = mean(f(a)[i30])"
    ),
    "no value where one is due": VIEWS + "loss = mean(stop_grad(none))",
    "no values where some are due": VIEWS + "loss = mean(concat([none, f(a)]))",
    "a loss of 2,500 terms": (
        VIEWS + "y = f(a)\nz[i in 0..2500] = y * i\nhead g = linear(8)\n"
        "loss = mean(sum(g(z)[j] for j in 1..2500))"
    ),
    "fnrec": "fn f(x) = f(x) + f(x)\nloss = f(1)",
    "fam 1e9": "x[i in 1..1000000000] = i\nloss = x[1]",
    "nume": "loss = 1e999999",
    "nume-": "loss = 1e-999999",
    "wide": "view a, b = simclr_views(32)\nencoder f = resnet18(width=1e9)\nloss = mean(f(a))",
    "vit": (
        "view a = simclr_views(32)\n"
        "encoder f = vit(patch=4,width=1000000000000,depth=1,heads=1)\n"
        "loss = mean(f(a))"
    ),
    "vit0": (
        "view a = simclr_views(32)\n"
        "encoder f = vit(patch=4,width=0,depth=1,heads=1)\n"
        "loss = mean(f(a))"
    ),
    "queue": "queue q[1000000000000] = sphere(3)\nloss = mean(q)",
    "queue2": "queue q[100000000] = sphere(1000000)\nloss = mean(q)",
    "arange": "loss = mean(arange(1000000000000))",
    "eye": "loss = mean(eye(1000000))",
    "arange-": "loss = mean(arange(0 - 3))",
    "slice": (
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "loss = mean(f(a)[100000000000000:, -100000000000:3])"
    ),
    "slice2": (
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "fn g(x: [B,D]) = mean(x[B:0])\n"
        "loss=g(f(a))"
    ),
    "slice3": "view a, b = simclr_views(32)\nencoder f = resnet18()\nx = [a,b]\nloss = x[batch:]",
    "idx": "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(f(a)[true])",
    "idx2": "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(f(a)[..., ..., 0])",
    "idx3": "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(f(a)[0,0,0])",
    "idxnone": (
        "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss=mean(f(a)[:, none, ..., none])"
    ),
    "axis": "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(f(a), axis=7)",
    "axis2": "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(f(a), axis=[0,1])",
    "axis3": (
        "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(f(a), axis=[0,[1]])"
    ),
    "stack ax": (
        "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(stack([f(a)], axis=99))"
    ),
    "concat 0": "loss = concat([1,2])",
    "concat w": "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = concat([1, f(a)])",
    "flatten": (
        "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(flatten(f(a), axis=0))"
    ),
    "roll": (
        "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss=mean(roll(f(a), batch, axis=9))"
    ),
    "roll2": "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss=mean(roll(f(a), f))",
    "blur": (
        "view a, b = random_resized_crop(32) | gaussian_blur(kernel=999999999)\n"
        "encoder f = resnet18()\n"
        "loss = mean(f(a))"
    ),
    "norm": (
        "view a = random_resized_crop(32) | normalize(mean=[], std=[])\n"
        "encoder f = resnet18()\n"
        "loss=mean(f(a))"
    ),
    "norm2": (
        "view a = random_resized_crop(32) | normalize(mean=[1,2,3], std=[[1],2,3])\n"
        "encoder f = resnet18()\n"
        "loss=mean(f(a))"
    ),
    "crop": "view a = random_crop(32, padding=-999999999)\nencoder f = resnet18()\nloss=mean(f(a))",
    "view0": "view a[0] = simclr_views(32)\nloss=1",
    "view65": "view a[65] = simclr_views(32)\nloss=1",
    "view1.5": "view a[1.5] = simclr_views(32)\nloss=1",
    "viewe": "view a[x in 1..2] = simclr_views(32)\nloss = a",
    "enc[]": "encoder f[3] = resnet18()\nloss = f",
    "brn[]": "encoder f = resnet18()\nbranch b[3] = f\nloss = b",
    "param[]": "param p[3] = 1\nloss=p",
    "ema self": "encoder f = resnet18()\nbranch t = ema(t, 0.9)\nloss = t",
    "ema ema": (
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "branch t = ema(f,0.9)\n"
        "branch u = ema(t,0.9)\n"
        "loss=mean(u(a))"
    ),
    "ramps": "optimizer = sgd(lr = cosine(0.1 -> cosine(0 -> 1)))\nloss=1",
    "piece": "param p = piecewise([], at = [] epochs)\nloss = p",
    "then": "param p = linear(0 -> 1, over = 3 epochs) then 5 then 7\nloss = p",
    "batch": "batch = batch\nloss = 1",
    "batch3": (
        "batch = 1e30\nlength = 1e30 epochs\ndata=embedded()\noptimizer=sgd(lr=batch)\nloss=1"
    ),
    "selfparam": "fn f(x = x) = x\nloss = f()",
    "fnlocal": "fn f(x) {\n a = b\n b = a\n return a\n}\nloss=f(1)",
    "noret": "fn f(x) {}\nloss=f(1)",
    "fndup": "fn f(x, x) = x\nloss=f(1,2)",
    "capdup": (
        "fn f(x: [B, B]) = x\n"
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "loss=mean(f(f(a)))"
    ),
    "pat...": (
        "fn g(x: [..., ..., D]) = x\n"
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "loss=mean(g(f(a)))"
    ),
    "patexpr": (
        "fn g(x: [B+1, f(3)]) = x\n"
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "loss=mean(g(f(a)))"
    ),
    "patm": (
        "fn g(x: [B, D][0]) = x\n"
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "loss=mean(g([]))"
    ),
    "patm2": (
        "fn g(x: [B, D][1..3]) = x\n"
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "loss=mean(g([]))"
    ),
    "data dup": "data = [embedded(), embedded()]\nloss=1",
    "crop field": "crop = [1]\nloss=1",
    "freeze": "freeze = 3\nloss=1",
    "groups": "groups = 3\nloss=1",
    "eval": "evaluate = sgd(lr=1)\nloss=1",
    "knn": "evaluate = knn(k=1e30)\nloss=1",
    "folder": 'data = image_folder("\x00")\nloss=1',
    "sgd": 'optimizer = sgd(lr = "x", momentum = 7)\nloss = 1',
    "group": "groups = [group(3)]\nloss = 1",
    "use loop": 'use a from "fuzz.ssl"\nloss=1',
    "use up": 'use a from "../x"\nloss=1',
    "use abs": 'use a from "/etc/passwd"\nloss=1',
    "use dir": 'use a from "."\nloss=1',
    "use nul": 'use a from "\x00"\nloss=1',
    "use empty": 'use a from ""\nloss=1',
    "method2": "loss=1",
    "compr top": "loss = [1] for x in [2]",
    "compr arg": "loss = exp(x for x in 1..3)",
    "compr arg2": "loss = mean(x for x in [])",
    "sum fam": "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = sum([f(a), f(b)])",
    "word": "loss = bicubic",
    "wordargs": "loss = mean(bicubic)",
    "fnval": "loss = mean",
    "tail comma": "loss = mean([1,2,],)",
    "empty": "",
    "cr": "loss = 1\rx = 2",
    "tabs": "\tloss\t=\t1",
    "ff": "loss = \x0c1",
    "uni": "loıss = 1",
    "sup": "loss = 1²",
    "arab": "loss = ١",
    "emoji": 'loss = "😀" # 😀',
    "view pipe": (
        "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(f(a | grayscale))"
    ),
    "pipe num": "loss = 3 | 4",
    "pipe str": 'loss = "a" | "b"',
    "at": "loss = 3 @ 4",
    "atw": "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = a @ 0.5",
    "T": "loss = 3.T",
    "T2": "loss = batch.T",
    "attr": "loss = 3 .foo",
    "call num": "loss = 3(4)",
    "kwdup": (
        "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(f(a), axis=0, axis=1)"
    ),
    "where": (
        "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(where(f(a) > 0, 1, 0))"
    ),
    "where2": "loss = where(true, 1, 2)",
    "where3": (
        "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(f(a), where = f(b) > 0)"
    ),
    "where4": "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(f(a), where = 3)",
    "where5": (
        "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = mean(f(a), where = [f(a)])"
    ),
    "maxlen": "loss = max(true)",
    "sumnum": "loss = sum(3)",
    "boolmath": "loss = true + true",
    "fold where": ' loss = where(3, "a", 2)',
    "str cmp": 'loss = "a" == "b"',
    "none": "loss = none + 1",
    "if": "loss = 1 if bias else 2",
    "if2": 'loss = 1 if "a" == "a" else 2',
    "epochs": "length = [1,2] epochs\nloss=1",
    "epochs2": "param x = (1 epochs) epochs\nloss=x",
    "epochsB": "param x = batch epochs\nloss = x",
    "0 epochs": "length = 0 epochs\nloss=1",
    "-1": "length = (0-1) epochs\nloss=1",
    "member attr": "view a, b = simclr_views(32)\nencoder f = resnet18()\nx=[a,b]\nloss = x.f",
    "part": "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = f.layer1(a)",
    "sl net": "view a, b = simclr_views(32)\nencoder f = resnet18()\nloss = f[1:](a)",
    "fresh": (
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "branch t = ema(f, 0.9, init = 3)\n"
        "loss=mean(t(a))"
    ),
    "with": (
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "branch t = f with (batch_norm = 3, foo = 1)\n"
        "loss=mean(t(a))"
    ),
    "with2": (
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "branch t = f with (3)\n"
        "loss=mean(t(a))"
    ),
    "with3": "param x = 3 with (a = 1)\nloss=x",
    "shuffle0": (
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "branch t = f with (batch_norm = shuffle(0))\n"
        "loss=mean(t(a))"
    ),
    "writes": (
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "queue q[64] = sphere(512)\n"
        "q <- f(a)\n"
        "q <- f(b)\n"
        "z <- 3\n"
        "f <- f(a)\n"
        "q[3] <- f(a)\n"
        "loss=mean(f(a))"
    ),
    "writes sc": (
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "queue q[64] = sphere(512)\n"
        "q <- 3\n"
        "loss=mean(f(a))"
    ),
    "writes self": (
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "queue q[64] = sphere(512)\n"
        "q <- q\n"
        "loss=mean(f(a))"
    ),
    "qinit": "queue q[64] = 3\nloss = mean(q)",
    "qinit2": "queue q[64] = sphere(0 - 1)\nloss = mean(q)",
    "qrows": "queue q[batch] = sphere(3)\nloss=mean(q)",
    "q2": "queue q[4, 5] = sphere(3)\nloss=mean(q)",
    "q0": "queue q = sphere(3)\nloss=mean(q)",
    "interp": "view a = random_resized_crop(32, interpolation = bicubic(3))\nloss=1\nfeatures=a",
    "nested recipes": "loss=1\nrecipe r { s { x = 1 } }",
    "recipe stmts": (
        'loss=1\nrecipe r {\n fn f(x) = x\n param y = 1\n return 1\n use a from "b"\n}\nreturn 3'
    ),
    "braces": "{}{}{}",
    "phase": "phase p { loss = 1 }",
    "weight": (
        "weight w[3] = zeros(3) on unit_rows\n"
        "bank m[dataset] = zeros(3)\n"
        "state s[3] = zeros\n"
        "loss = mean(w) + mean(m) + mean(s)"
    ),
    "gen 1e9": "loss = sum(i for i in 1..1000000000)",
    "gen nest": "loss = sum(1 for i in 1..1000 for j in 1..1000 for k in 1..1000 if i > 5000)",
    "gen nest2": (
        "loss = sum(f(a) for i in 1..1000)\nview a, b = simclr_views(32)\nencoder f = resnet18()\n"
    ),
    "gen tensors": (
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "z = f(a)\n"
        "loss = mean(sum(z * i * j for i in 1..30 for j in 1..30))"
    ),
    "pow": "loss = 2**999999",
    "pow2": "loss = 2**64**64**64",
    "pow3": "loss = (2**64)**64",
    "pow4": "loss = 0**-1",
    "pow5": "loss = (0 - 8)**0.5",
    "dim product": (
        "fn g(x: [B, D]) = B * B * B\n"
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "loss = g(f(a))"
    ),
    "eye of less than nothing": (
        "view a, b = simclr_views(32)\n"
        "encoder f = resnet18()\n"
        "fn g(x: [B, D]) = eye(B - 2 * B)\n"
        "loss = mean(g(f(a)))"
    ),
    "batch of batch": (
        "batch = 2 * batch\n"
        "length = 3 epochs\n"
        "data = embedded\n"
        "optimizer = sgd(lr = batch)\n"
        "loss = 1"
    ),
}

_WITHOUT_METHOD = {
    "method args": 'method "x" (paper = 3, foo = bar, paper = "y", labels = true, 3)\nloss = 1',
    "nothing": "",
    "nul": "\x00",
    "sur": 'method "\ud800"\nloss=1',
    "bom": '\ufeffmethod "x"\n',
}

HOSTILE = {name: METHOD + text for name, text in {**GROWN, **_SMALL}.items()} | _WITHOUT_METHOD
