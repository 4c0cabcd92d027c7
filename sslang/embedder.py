"""What a run has learned, as a function of images: the `features` of its spec.

A folder of its own holds all that is needed, and loads where the run, its data and its checkpoints
are not:

    resolved.ssl          the spec, with every value in place
    tensors.safetensors   the nets and states that `features` reads
    embedder.json         the phase, and the sizes that the data had
    example.npz           some images, and what features they have
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslang.api import load
from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.emit.method import Method
from sslang.ir.graph import APPLY, WEIGHT
from sslang.track.files import write_atomic
from sslang.track.run_folder import EXAMPLE

if TYPE_CHECKING:
    from sslang.ir.program import Program

Images = NDArray[np.uint8]

_NETS = "nets."  # what the names of the tensors of nets begin with in a method
SPEC, TENSORS, FACTS = "resolved.ssl", "tensors.safetensors", "embedder.json"


@dataclass
class Embedder:
    """Gives the features of images."""

    method: Method
    device: torch.device
    batch: int = 256

    def embed(self, images: Images | Sequence[Images]) -> NDArray[np.float32]:
        """Return the features of RGB images, uint8 [H, W, 3] each, of any sizes: [N, width].

        They are resized and cut as in the evaluation of the run.
        """
        parts = [self._of_batch(part) for part in _batched(images, self.batch)]
        return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)

    def _of_batch(self, images: Sequence[Images]) -> NDArray[np.float32]:
        sizes = np.array([image.shape[:2] for image in images], dtype=np.int64)
        canvas = np.zeros((len(images), *sizes.max(0), 3), dtype=np.uint8)
        for place, image in zip(canvas, images, strict=True):
            place[: image.shape[0], : image.shape[1]] = image
        pixels = torch.from_numpy(canvas).permute(0, 3, 1, 2).to(self.device)
        return self.method.features(pixels, sizes).float().cpu().numpy()

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return the features, as MLflow asks for them: of an array [N, H, W, 3] of uint8."""
        return self.embed(np.asarray(model_input, dtype=np.uint8))


def _batched(images: Images | Sequence[Images], size: int) -> Iterator[Sequence[Images]]:
    """Return the images, so many at a time. Raises ValueError for what is none."""
    for start in range(0, len(images), size):
        part = list(images[start : start + size])
        for image in part:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(f"an image is uint8 [H, W, 3], not {image.dtype} {image.shape}")
        yield part


def write_embedder(
    folder: Path, method: Method, nets: Mapping[str, Tensor], images: Images
) -> bool:
    """Write what gives the features of `method`; False where the spec has none.

    `nets` are the whole tensors of its nets, `images` some for an example, [N, H, W, 3]. Also False where processes share a state that
    `features` reads, for no one of them has it. Raises OSError.
    """
    from safetensors.torch import save

    program = method.program
    if program.features is None or method.feature_code is None:
        return False
    read = [name for _, name in method.feature_code[1].states]
    if any(name in method.shared for name in read):
        return False
    tensors = {f"{_NETS}{name}": value for name, value in nets.items()
               if name.startswith(_prefixes(program))}  # fmt: skip
    tensors |= method.buffers_of(read)
    ready = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    dims = method.dims if read else {**method.dims, "dataset": 1}  # no bank need be as large
    facts = {"phase": program.phase, "dims": dims}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / TENSORS, save(ready, metadata={"format": "pt"}))
    write_atomic(folder / SPEC, program.spec.text)
    write_atomic(folder / FACTS, json.dumps(facts, indent=1) + "\n")
    example = read_embedder(folder).embed(images)
    buffer = io.BytesIO()
    np.savez(buffer, images=images, features=example)
    write_atomic(folder / EXAMPLE, buffer.getvalue())
    return True


def _prefixes(program: Program) -> tuple[str, ...]:
    """What the names of the tensors begin with that `features` reads."""
    assert program.features is not None
    used = {node.setting("net") for node in program.features.nodes if node.op in (APPLY, WEIGHT)}
    return tuple(f"{name}." for name in sorted(used))


def read_embedder(folder: Path, device: str = "cpu") -> Embedder:
    """Return the embedder that `write_embedder` has left. Raises DiagnosticError E607."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        tensors = load_file(folder / TENSORS)
        phase, dims = facts["phase"], facts["dims"]
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        message = f"{folder} holds no embedder: {str(error).partition(chr(10))[0]}"
        raise DiagnosticError(Diagnostic("E607", message)) from None
    program = next(p for p in load(folder / SPEC).phases if p.phase == phase)
    method = Method(program, 0, dims=dims, device=device)
    method.load_state_dict(tensors, strict=False)
    method.eval()
    return Embedder(method, torch.device(device))


def _load_pyfunc(data_path: str) -> Embedder:
    """Return the embedder in a folder: what MLflow calls to load a model of this flavour."""
    return read_embedder(Path(data_path), "cuda" if torch.cuda.is_available() else "cpu")
