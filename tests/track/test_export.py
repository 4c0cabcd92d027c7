from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from sslang.emit.nets.resnet import resnet
from sslang.emit.nets.vit import vit
from sslang.track.export import export_encoder

# One process for all of them: it takes seconds to import the libraries.
_RUN = """
import os, sys, torch
for folder in sys.argv[1:]:
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.modules.pop("build", None)
    names = {}
    exec(open("README.md").read().split("```python")[1].split("```")[0], names)
    with torch.no_grad():
        torch.save(names["encoder"](torch.load("x.pt")), "y.pt")
assert not any(name.split(".")[0] == "sslang" for name in sys.modules)
"""

_ENCODERS: list[tuple[str, dict[str, Any], int, str]] = [
    ("resnet", {"depth": 18, "width": 0.25, "stem": "small"}, 32, "build.py"),
    ("resnet", {"depth": 50, "width": 0.125}, 64, "build.py"),
    ("resnet", {"depth": 10, "channels": 1, "stem": "small"}, 32, "build.py"),
    ("resnet", {"depth": 18, "width": 1.0, "stem": "imagenet"}, 64, "torchvision"),
    ("vit", {"resolution": 32, "patch": 4, "width": 48, "depth": 2, "heads": 3}, 32, "timm"),
]


def _build(architecture: str, arguments: dict[str, Any]) -> torch.nn.Module:
    net = (resnet if architecture == "resnet" else vit)(**arguments)
    with torch.no_grad():
        for name, buffer in net.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(0.1)
            elif name.endswith("running_var"):
                buffer.mul_(1.3)
    return net.eval()


def _input(arguments: dict[str, Any], size: int) -> torch.Tensor:
    channels = arguments.get("channels", 3)
    count = 2 * channels * size * size
    return torch.linspace(-1, 1, count).reshape(2, channels, size, size).sin()


def test_the_readme_loads_the_same_net_without_sslang(tmp_path: Path) -> None:
    expected = {}
    for number, (architecture, arguments, size, library) in enumerate(_ENCODERS):
        folder = tmp_path / str(number)
        net = _build(architecture, arguments)
        config = {"architecture": architecture, "arguments": arguments, "mean": [0.5, 0.5, 0.5]}
        written = export_encoder(folder, net.state_dict(), config)
        assert sorted(written) == sorted(folder.iterdir())
        assert (folder / "build.py").exists() == (library == "build.py")
        stored = json.loads((folder / "config.json").read_text())
        assert stored["library"] == library
        assert stored["mean"] == [0.5, 0.5, 0.5]
        x = _input(arguments, size)
        torch.save(x, folder / "x.pt")
        with torch.no_grad():
            expected[folder] = net(x)
    subprocess.run([sys.executable, "-P", "-c", _RUN, *map(str, expected)], check=True)
    for folder, y in expected.items():
        torch.testing.assert_close(torch.load(folder / "y.pt"), y, atol=1e-5, rtol=1e-5)


def test_shared_and_strided_tensors(tmp_path: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    config = {"architecture": "resnet", "arguments": {"depth": 18}}
    export_encoder(tmp_path, {"a": weight, "b": weight, "c": weight.T}, config)
    from safetensors.torch import load_file

    loaded = load_file(tmp_path / "model.safetensors")
    assert torch.equal(loaded["b"], weight)
    assert torch.equal(loaded["c"], weight.T)
