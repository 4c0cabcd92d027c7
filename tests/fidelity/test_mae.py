"""MAE (He et al., 2022) against its formulas; masks and what they leave undefined."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sslang
from sslang.checks import check_file
from sslang.diagnostics import Source
from sslang.emit import draws
from sslang.emit.nets.masks import scattered
from sslang.emit.nets.vit import vit
from tests.conftest import ROOT
from tests.fidelity.formulas import Nets, Sgd, Vit
from tests.fidelity.test_banks import Trained, pictures, sgd_of, views_of

ROWS, SIDE, PATCH, WIDTH, DECODER = 12, 4, 4, 16, 8
TOKENS = SIDE * SIDE
SHOWN = TOKENS // 4


class Shown(Vit):
    """The encoder: only the patches of which the mask is true are embedded with their positions."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        patches = self.patch_embed["proj"](x).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]
        kept = torch.stack([patches[i][mask[i]] for i in range(len(x))])
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        return self.norm(self.blocked(torch.cat([first, kept], dim=1)))[:, 1:]

    def blocked(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + self._attention(block["attn"], block["norm1"](x))
            hidden = nn.functional.gelu(block["mlp"]["fc1"](block["norm2"](x)))
            x = x + block["mlp"]["fc2"](hidden)
        return x


class Blocks(Shown):
    """The decoder's blocks: positions, blocks, a norm."""

    def __init__(self) -> None:
        super().__init__(1, DECODER, 1, 2, 0)
        del self.cls_token, self.patch_embed, self.pos_embed
        self.register_buffer("positions", torch.zeros(1, TOKENS, DECODER))

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.norm(self.blocked(x + self.positions))


class Blank(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(DECODER))


def test_mae() -> None:
    """The encoder sees a quarter; the loss is of the rest, of pixels normalised by patch."""
    backbone = f"backbone=vit({PATCH}, width = {WIDTH}, depth = 2, heads = 2, init = mae)"
    program = sslang.load(
        ROOT / "examples" / "mae.ssl",
        "default",
        ["size=16", f"patch={PATCH}", f"width={DECODER}", "depth=1", "heads=2", backbone,
         f"batch={ROWS}", sgd_of(1e-4), "length=40 steps", "evaluate=knn()"],
    )  # fmt: skip
    learner = sslang.compile(program, images=640, seed=3, dtype=torch.float64)
    modules = {
        "f": Shown(PATCH, WIDTH, 2, 2, TOKENS),
        "widen": nn.Linear(WIDTH, DECODER),
        "decoder": nn.Sequential(Blocks(), nn.Linear(DECODER, 3 * PATCH * PATCH)),
        "blank": Blank(),
    }
    prefixes = {"f": "f.0.", "widen": "widen.0.", "decoder": "decoder.", "blank": "blank."}
    nets = Nets(modules, prefixes)
    reference = Trained(learner, nets, tuple(modules), Sgd(0.9, 1e-4))
    for step in range(4):
        pixels = pictures(ROWS, step)
        x, _ = views_of(learner, pixels)
        report = learner.train_step(pixels)
        drawn = draws.uniform(draws.stream_key(3, "pretrain", "visible.draw"), step, ROWS, TOKENS)
        order = torch.from_numpy(drawn).sort(1).indices
        mask = torch.zeros(ROWS, TOKENS, dtype=torch.bool)
        for i in range(ROWS):
            mask[i, order[i, :SHOWN]] = True
        code = modules["widen"](modules["f"](x, mask))
        tokens = modules["blank"].value.expand(ROWS, TOKENS, DECODER).clone()
        tokens = tokens.masked_scatter(mask[..., None], code)
        painted = modules["decoder"](tokens)
        loss = (painted - _target(x)).square().mean(-1)[~mask].mean()
        reference.finish(step, report.loss, loss)
        nets.compare(learner)


def _target(x: Tensor) -> Tensor:
    cut = x.reshape(ROWS, 3, SIDE, PATCH, SIDE, PATCH).permute(0, 2, 4, 3, 5, 1)
    cut = cut.reshape(ROWS, TOKENS, 3 * PATCH * PATCH)
    return (cut - cut.mean(-1, keepdim=True)) / (cut.var(-1, keepdim=True) + 1e-6).sqrt()


@pytest.mark.parametrize("counts", [[5, 5, 5], [0, 3, 16], [16, 16, 16]])
def test_what_is_shown_is_as_if_it_were_all(counts: list[int]) -> None:
    """Rows that are shown different numbers of patches: each as the row alone, without the rest."""
    net = vit(resolution=16, patch=4, width=16, depth=2, heads=2).double().eval()
    x = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    keep = torch.stack([torch.randperm(TOKENS) < count for count in counts])
    record = net.record(x, keep=keep)
    tokens = net._tokens(x)
    for i in range(3):
        row = torch.cat([torch.tensor([True]), keep[i]])
        alone = net.norm(net.blocks(tokens[i : i + 1, row]))
        torch.testing.assert_close(record["cls"][i], alone[0, 0])
        torch.testing.assert_close(record["patches"][i][keep[i]], alone[0, 1:])
        assert not record["patches"][i][~keep[i]].any()
        if counts[i]:
            torch.testing.assert_close(record["pooled"][i], alone[0, 1:].mean(0))


def test_only_what_is_shown_is_computed() -> None:
    seen: list[int] = []

    def blocks(x: Tensor, mask: Tensor | None) -> Tensor:
        seen.append(x.shape[1])
        assert mask is None
        return x

    keep = torch.arange(TOKENS).expand(2, -1) < SHOWN
    scattered(blocks, torch.randn(2, 1 + TOKENS, 8), keep)
    assert seen == [1 + SHOWN]


SPEC = """method "x"
view a, b = simclr_views(16)
encoder f = vit(patch = 4, width = 16, depth = 1, heads = 2)
encoder conv_net = resnet18(width = 0.125, stem = small)
head g = mlp(16, 8)
head wide = linear(16) | layer_norm | relu
head mixed = linear(16) | batch_norm
head blocks = transformer(depth = 1, heads = 2)
weight blank[16] = normal
assume no_collapse "these cases are about other things"
mask = rank(draw_uniform(16)) < 4
other = rank(draw_uniform(16)) < 4
p = f(a, keep = mask).patches
every = mean(g(f(b))) + 0 * mean(wide(f(b))) + 0 * mean(mixed(f(b))) + 0 * mean(conv_net(b))
      + 0 * mean(blocks(where(mask[..., none], p, blank))) + 0 * mean(other)
loss = every + {}
"""


@pytest.mark.parametrize(
    "text",
    [
        "mean(where(mask[..., none], p, blank))",
        "mean(where(mask[..., none], wide(p * 2), 0))",
        "mean(p, where = mask[..., none])",
        "mean(sum(p * p, axis = -1), where = mask)",
        "mean(l2_normalize(p), where = mask[..., none])",
        "mean(f(a, keep = mask).cls) + mean(f(a, keep = mask).pooled)",
        "mean(concat(where(mask[..., none], t[v].patches, 0) for v in [a, b]))"
        "\nt = f([a, b], keep = mask)",
    ],
)
def test_what_goes_token_by_token_is_allowed(text: str) -> None:
    assert check_file(Source("x.ssl", SPEC.format(text))) == []


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("mean(p)", "E313", "`mean` mixes tokens"),
        ("mean(where(mask[:, none], p, blank))", "E313", "`mean` mixes tokens"),
        ("mean(p, axis = 1)[0, 0]", "E313", "`mean` mixes tokens"),
        ("mean(p @ p.T)", "E313", "mixes tokens"),
        ("mean(flatten(p, 0, 1))", "E313", "`flatten` mixes tokens"),
        ("mean(mixed(p))", "E313", "`batch_norm` of `mixed` mixes tokens"),
        ("mean(blocks(p))", "E313", "`transformer` of `blocks` mixes tokens"),
        ("mean(where(other[..., none], p, blank))", "E313", "`mean` mixes tokens"),
        ("mean(f(a, keep = mask).grid)", "E313", "a grid of which patches are missing"),
        ("mean(p + f(a, keep = other).patches)", "E313", "two masks"),
        ("mean(f(a, keep = 3))", "E301", "`keep` is a mask"),
        ("mean(conv_net(a, keep = mask))", "E303", "takes no `keep`"),
        ("mean(f(a, keep = rank(draw_uniform(9)) < 4))", "E302", "does not fit the patches"),
    ],
)
def test_what_mixes_tokens_is_refused(text: str, code: str, words: str) -> None:
    found = [d for d in check_file(Source("x.ssl", SPEC.format(text))) if d.code != "E207"]
    assert [d.code for d in found] == [code], found
    assert words in found[0].message
