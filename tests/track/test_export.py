from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sslang.emit.nets.resnet import resnet
from sslang.emit.nets.vit import vit
from sslang.track.export import export_encoder

_RUN = """
import sys, torch
exec(sys.argv[1])
x = torch.load("x.pt")
with torch.no_grad():
    torch.save(encoder(x), "y.pt")
assert not any(name.split(".")[0] == "sslang" for name in sys.modules)
"""

_ENCODERS: list[tuple[str, dict[str, Any], int, str]] = [
    ("resnet", {"depth": 18, "width": 0.25, "stem": "small"}, 32, "build.py"),
    ("resnet", {"depth": 50, "width": 0.125}, 64, "build.py"),
    ("resnet", {"depth": 10, "channels": 1, "stem": "small"}, 32, "build.py"),
    ("resnet", {"depth": 18, "width": 1.0, "stem": "imagenet"}, 64, "torchvision"),
    ("vit", {"resolution": 32, "patch": 4, "width": 48, "depth": 2, "heads": 3}, 32, "timm"),
]


def _build(architecture: str, arguments: dict[str, Any], size: int) -> torch.nn.Module:
    net = (resnet if architecture == "resnet" else vit)(**arguments)
    with torch.no_grad():
        for name, buffer in net.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(0.1)
            elif name.endswith("running_var"):
                buffer.mul_(1.3)
    return net.eval()


@pytest.mark.parametrize(("architecture", "arguments", "size", "library"), _ENCODERS)
def test_the_readme_loads_the_same_net(
    tmp_path: Path, architecture: str, arguments: dict[str, Any], size: int, library: str
) -> None:
    net = _build(architecture, arguments, size)
    config = {"architecture": architecture, "arguments": arguments, "mean": [0.5, 0.5, 0.5]}
    written = export_encoder(tmp_path, net.state_dict(), config)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["library"] == library
    assert stored["mean"] == [0.5, 0.5, 0.5]
    assert (tmp_path / "build.py").exists() == (library == "build.py")
    assert sorted(written) == sorted(tmp_path.iterdir())

    x = torch.linspace(-1, 1, 2 * 3 * size * size).reshape(2, 3, size, size).sin()
    x = x[:, : arguments.get("channels", 3)]
    torch.save(x, tmp_path / "x.pt")
    code = (tmp_path / "README.md").read_text().split("```python\n")[1].split("```")[0]
    # "python -c" puts the working folder first, so that `build` is the file in it
    subprocess.run([sys.executable, "-c", _RUN, code], cwd=tmp_path, check=True)
    with torch.no_grad():
        torch.testing.assert_close(torch.load(tmp_path / "y.pt"), net(x), atol=1e-5, rtol=1e-5)


def test_shared_and_strided_tensors(tmp_path: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    config = {"architecture": "resnet", "arguments": {"depth": 18}}
    export_encoder(tmp_path, {"a": weight, "b": weight, "c": weight.T}, config)
    from safetensors.torch import load_file

    loaded = load_file(tmp_path / "model.safetensors")
    assert torch.equal(loaded["b"], weight)
    assert torch.equal(loaded["c"], weight.T)
