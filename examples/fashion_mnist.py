"""SimCLR, MoCo v2 and BYOL on 10,000 images of Fashion-MNIST, beside the same methods in lightly.

    python examples/fashion_mnist.py [--methods simclr mocov2 byol] [--seeds 3] [--threads 1]

Both sides have the same images, backbone, heads, augmentation, batch, epochs, optimizer and
schedule; nearest neighbours on the whole test split judge both. Ours is the spec with the
overrides below, lightly's the loop of its documentation. Runs that are done are skipped.
The images are those of Debian's package dataset-fashion-mnist.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

import lightly
import torch
from lightly.loss import NegativeCosineSimilarity, NTXentLoss
from lightly.models import ResNetGenerator, utils
from lightly.models.modules import heads
from lightly.transforms import MoCoV2Transform
from lightly.transforms.utils import IMAGENET_NORMALIZE
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

import sslang
from sslang.data.source import Source
from sslang.data.sources import open_source
from sslang.evaluate.knn import knn_top1

SPECS = Path(__file__).parent.parent / "specs"
OUT = Path("runs/fashion_mnist")
DATA = "/usr/share/datasets/fashion-mnist"
IMAGES, SIZE, BATCH, EPOCHS, RATE, DECAY, MOMENTUM = 10_000, 28, 128, 5, 1e-3, 1e-4, 0.99
K, T = 20, 0.07
SETTINGS = [str(s) for s in (IMAGES, SIZE, BATCH, EPOCHS, RATE, DECAY, MOMENTUM, K, T)]

# The order of lightly's transforms, and their bilinear crop.
CHAIN = (
    "random_resized_crop(size, scale = 0.2..1) | horizontal_flip @ 0.5"
    " | color_jitter(0.4, 0.4, 0.4, 0.1) @ 0.8 | grayscale @ 0.2 | imagenet_normalize"
)
EVERY = [
    f'data=fashion_mnist(path = "{DATA}", images = {IMAGES})', f"size={SIZE}", "crop=1",
    "backbone=resnet18(width = 0.25, stem = small)", f"evaluate=knn(k = {K}, temperature = {T})",
    f"optimizer=adamw(lr = cosine({RATE} -> 0), weight_decay = {DECAY})",
    f"batch={BATCH}", "last_batch=drop", f"length={EPOCHS} epochs",
]  # fmt: skip
# Overrides of the specs: heads as lightly has them, views that pass the net one by one (the batch
# norm of SimCLR's spec sees both at once), and a target that begins as a copy.
OURS = {
    "simclr": [
        *EVERY, f"a={CHAIN}", f"b={CHAIN}", "hidden=256", "dim=128", "temperature=0.5",
        "g=mlp(hidden, dim, bias = false, last_bias = false) | batch_norm",
        "z=[online(a), online(b)]",
    ],
    "mocov2": [
        *EVERY, f"query={CHAIN}", f"key={CHAIN}", "hidden=256", "dim=128", "temperature=0.2",
        "memory=4096", f"momentum={MOMENTUM}",
    ],
    "byol": [
        *EVERY, f"a={CHAIN}", f"b={CHAIN}", "hidden=512", "dim=256", f"momentum={MOMENTUM}",
        "projector=mlp(hidden, dim, bias = false)", "predictor=mlp(hidden, dim, bias = false)",
        "target=ema(online, momentum)", "groups=[]",
    ],
}  # fmt: skip


class Rival(nn.Module):
    """A method of lightly: a thin ResNet-18 and a head, and the average of both if it has one."""

    def __init__(self, head: nn.Module, criterion: nn.Module, splits: int = 0) -> None:
        super().__init__()
        net = ResNetGenerator("resnet-18", width=0.25, num_splits=splits)
        for module in net.modules():  # as torchvision and we draw them
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        stages = (net.layer1, net.layer2, net.layer3, net.layer4)
        pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.backbone = nn.Sequential(net.conv1, net.bn1, nn.ReLU(inplace=True), *stages, *pool)
        self.online = nn.Sequential(self.backbone, head)
        self.target = copy.deepcopy(self.online)
        utils.deactivate_requires_grad(self.target)
        self.criterion = criterion


class SimCLR(Rival):
    def __init__(self) -> None:
        super().__init__(heads.SimCLRProjectionHead(128, 256, 128), NTXentLoss(temperature=0.5))

    def forward(self, x0: Tensor, x1: Tensor) -> Tensor:
        return self.criterion(self.online(x0), self.online(x1))


class MoCo(Rival):
    def __init__(self) -> None:
        criterion = NTXentLoss(temperature=0.2, memory_bank_size=(4096, 128))
        super().__init__(heads.MoCoProjectionHead(128, 256, 128), criterion, splits=BATCH // 32)

    def forward(self, x0: Tensor, x1: Tensor) -> Tensor:
        utils.update_momentum(self.online, self.target, m=MOMENTUM)
        shuffled, order = utils.batch_shuffle(x1)
        key = utils.batch_unshuffle(self.target(shuffled), order)
        return self.criterion(self.online(x0), key)


class BYOL(Rival):
    def __init__(self) -> None:
        super().__init__(heads.BYOLProjectionHead(128, 512, 256), NegativeCosineSimilarity())
        self.prediction_head = heads.BYOLPredictionHead(256, 512, 256)

    def forward(self, x0: Tensor, x1: Tensor) -> Tensor:
        utils.update_momentum(self.online, self.target, m=MOMENTUM)
        p0, p1 = (self.prediction_head(self.online(x)) for x in (x0, x1))
        z0, z1 = self.target(x0), self.target(x1)
        return 0.5 * (self.criterion(p0, z1) + self.criterion(p1, z0))


LIGHTLY: dict[str, Callable[[], Rival]] = {"simclr": SimCLR, "mocov2": MoCo, "byol": BYOL}


def run_lightly(method: str, seed: int) -> dict[str, float]:
    """Top-1 of the neighbours as initialised and after training."""
    train = open_source("fashion_mnist", "train", path=DATA, images=IMAGES)
    test = open_source("fashion_mnist", "test", path=DATA)
    torch.manual_seed(seed)
    model = LIGHTLY[method]()
    before = neighbours(model.backbone, train, test)
    transform = MoCoV2Transform(input_size=SIZE, gaussian_blur=0.0)
    loader = DataLoader(
        [Image.fromarray(train.read(i)) for i in range(len(train))],
        BATCH, shuffle=True, drop_last=True,
        collate_fn=lambda batch: default_collate([transform(image) for image in batch]),
    )  # fmt: skip
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * len(loader))
    for _ in range(EPOCHS):
        for x0, x1 in loader:
            loss = model(x0, x1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return {"before": before, "after": neighbours(model.backbone, train, test)}


@torch.no_grad()
def neighbours(net: nn.Module, train: Source, test: Source) -> float:
    """What our `evaluate` measures, on the features of lightly's backbone."""
    shift, scale = (torch.tensor(IMAGENET_NORMALIZE[k])[:, None, None] for k in ("mean", "std"))
    net.eval()
    data = []
    for source in (train, test):
        pixels = torch.from_numpy(source.array()).permute(0, 3, 1, 2)
        data.append(torch.cat([net((part / 255 - shift) / scale) for part in pixels.split(256)]))
        data.append(torch.tensor([source.label(i) for i in range(len(source))]))
    net.train()
    return knn_top1(*data, k=K, temperature=T)


def run_ours(method: str, seed: int) -> dict[str, float]:
    """The same of our spec, by the command line."""
    command = [sys.executable, "-m", "sslang.cli", "run", str(SPECS / f"{method}.ssl"),
               *OURS[method], "--seed", str(seed), "--out", str(OUT / "ours"),
               "--device", "cpu", "--tracking", "off", "--json"]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    results = json.loads(done.stdout)["results"]
    return {"before": results["eval/knn_top1_at_init"], "after": results["eval/knn_top1"]}


def record(side: str, method: str, seed: int) -> dict[str, float]:
    """What a run reached; it is run where there is no record with these very settings."""
    if side == "ours":
        settings = [sslang.load(SPECS / f"{method}.ssl", overrides=OURS[method]).spec.text]
    else:
        parts = (Rival, LIGHTLY[method], run_lightly)
        settings = [lightly.__version__, *SETTINGS, *(inspect.getsource(part) for part in parts)]
    settings.append(torch.__version__)
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:12]
    path = OUT / f"{method}-{side}-{seed}-{key}.json"
    if not path.exists():
        print(f"running {method}, {side}, seed {seed}", file=sys.stderr, flush=True)
        found = (run_ours if side == "ours" else run_lightly)(method, seed)
        path.write_text(json.dumps({**found, "settings": settings}, indent=1))
    return json.loads(path.read_text())


def row(method: str, seeds: int) -> str:
    """Means and deviations, and whether ours is not below by more than the larger deviation."""
    ours, theirs = ([record(side, method, seed) for seed in range(seeds)]
                    for side in ("ours", "lightly"))  # fmt: skip
    before = mean(run["before"] for run in ours + theirs)
    a, b = ([run["after"] for run in side] for side in (ours, theirs))
    difference = mean(a) - mean(b)
    reached = "yes" if difference >= -max(stdev(a), stdev(b)) else "no"
    figures = " | ".join(f"{mean(x):.4f} ± {stdev(x):.4f}" for x in (a, b))
    return f"| {method} | {before:.4f} | {figures} | {difference:+.4f} | {reached} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Our methods and lightly's on Fashion-MNIST.")
    parser.add_argument("--methods", nargs="+", choices=list(OURS), default=list(OURS))
    parser.add_argument("--seeds", type=int, default=3, help="2 or more")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    os.environ["OMP_NUM_THREADS"] = str(given.threads)  # for the processes of our runs
    OUT.mkdir(parents=True, exist_ok=True)
    rows = [row(method, given.seeds) for method in given.methods]
    print("| method | as initialised | ours | lightly | difference | not below by the spread |")
    print("|---|---|---|---|---|---|", *rows, sep="\n")
