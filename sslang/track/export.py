"""The trained encoder as files that need no sslang.

model.safetensors   the parameters and buffers, under torchvision's or timm's keys
config.json         what the net is, and which library builds it
README.md           the lines of Python that load it
build.py            the net in plain torch, where neither library has it
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.track.files import write_atomic

if TYPE_CHECKING:
    from torch import Tensor

_RESNET = {"width": 1.0, "stem": "imagenet", "channels": 3}
# What a ResNet of torchvision's form has; another one is built by sslang alone.
_RESNET_FORM = {
    "norm": "batch", "weight_standardized": False, "stages": 4, "preactivation": False,
}  # fmt: skip
_VIT = {"mlp_ratio": 4.0, "channels": 3}
_TORCHVISION_DEPTHS = (18, 34, 50, 101, 152)

_LOAD_TORCHVISION = """\
import torch, torchvision
from safetensors.torch import load_file

encoder = torchvision.models.{model}()
encoder.fc = torch.nn.Identity()
encoder.load_state_dict(load_file("model.safetensors"))
encoder.eval()
"""
_LOAD_TIMM = """\
import json
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer

encoder = VisionTransformer(**json.load(open("config.json"))["model_arguments"])
encoder.load_state_dict(load_file("model.safetensors"))
encoder.eval()
"""
_LOAD_SSLANG = """\
import json
from safetensors.torch import load_file
from sslang.emit.nets.{module} import {name}

encoder = {name}(**json.load(open("config.json"))["arguments"])
encoder.load_state_dict(load_file("model.safetensors"))
encoder.eval()
"""
_LOAD_BUILD = """\
from build import build

encoder = build()
"""


def export_encoder(
    folder: Path, state_dict: Mapping[str, Tensor], config: Mapping[str, Any]
) -> list[Path]:
    """Write the encoder into `folder`; the files written.

    `config["architecture"]` is the dotted path of a builder in `sslang.emit.nets` and
    `config["arguments"]` holds its keyword arguments; whatever else `config` holds (JSON values)
    is kept as it is. A net that neither torchvision nor timm nor a page of plain torch builds is
    built by sslang. `state_dict` is that of the built net, without a prefix.
    Raises DiagnosticError E716 where the files cannot be written.
    """
    from safetensors.torch import save

    how = _loading(config["architecture"], config["arguments"])
    weights = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in state_dict.items()
    }
    content: dict[str, str | bytes] = {
        "model.safetensors": save(weights, metadata={"format": "pt"}),
        "config.json": json.dumps({**config, **how.config}, indent=2) + "\n",
        "README.md": _readme(how.code),
    }
    if how.code == _LOAD_BUILD:
        content["build.py"] = Path(__file__).with_name("standalone_resnet.py").read_bytes()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in content.items():
            write_atomic(folder / name, data)
    except OSError as error:
        raise DiagnosticError(
            Diagnostic(
                code="E716",
                message=f"the encoder cannot be written to {folder}: {error.strerror}",
                hint="make room on the disk; the checkpoint still holds the encoder",
            )
        ) from error
    return [folder / name for name in content]


@dataclass(frozen=True)
class _Loading:
    """The Python that loads the files, and entries for config.json."""

    code: str
    config: Mapping[str, object]


def _loading(path: str, arguments: Mapping[str, Any]) -> _Loading:
    name = path.rpartition(".")[2]
    known = _ARCHITECTURES.get(name)
    if known is not None:
        found = known(arguments)
        if found is not None:
            return found
    module = path.removeprefix("sslang.emit.nets.").rpartition(".")[0]
    config = {"arguments": dict(arguments), "library": "sslang", "model": path}
    return _Loading(_LOAD_SSLANG.format(module=module, name=name), config)


def _resnet(given: Mapping[str, Any]) -> _Loading | None:
    if given.get("stem") == "patch" or any(given.get(k, v) != v for k, v in _RESNET_FORM.items()):
        return None
    arguments = {**_RESNET, **given}
    model = f"resnet{arguments['depth']}"
    plain = all(arguments[name] == value for name, value in _RESNET.items())
    if plain and arguments["depth"] in _TORCHVISION_DEPTHS:
        code = _LOAD_TORCHVISION.format(model=model)
        return _Loading(code, {"arguments": arguments, "library": "torchvision", "model": model})
    config = {"arguments": arguments, "library": "build.py", "model": "build.ResNet"}
    return _Loading(_LOAD_BUILD, config)


def _vit(given: Mapping[str, Any]) -> _Loading:
    arguments = {**_VIT, **given}
    names = {
        "resolution": "img_size",
        "patch": "patch_size",
        "channels": "in_chans",
        "width": "embed_dim",
        "depth": "depth",
        "heads": "num_heads",
        "mlp_ratio": "mlp_ratio",
    }
    model_arguments = {timm: arguments[ours] for ours, timm in names.items()}
    config = {
        "arguments": arguments,
        "library": "timm",
        "model": "timm.models.vision_transformer.VisionTransformer",
        "model_arguments": {**model_arguments, "num_classes": 0, "global_pool": "token"},
    }
    return _Loading(_LOAD_TIMM, config)


_ARCHITECTURES: dict[str, Callable[[Mapping[str, Any]], _Loading | None]] = {
    "resnet": _resnet,
    "vit": _vit,
}


def _readme(code: str) -> str:
    return f"# A trained encoder\n\nIn this folder:\n\n```python\n{code}```\n"
