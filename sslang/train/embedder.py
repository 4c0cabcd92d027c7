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
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslang.api import load
from sslang.data.batches import all_images
from sslang.data.source import Split
from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.emit.method import Method
from sslang.ir.graph import APPLY, WEIGHT
from sslang.track.files import write_atomic
from sslang.track.run_folder import EXAMPLE, open_run

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

    `nets` are the whole tensors of its nets, `images` some for an example, [N, H, W, 3]. Also False
    where processes share a state that `features` reads, for no one of them has it. Raises OSError.
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


def embedder_of(run: Path) -> Path:
    """Return the folder of the embedder of a run, or that folder itself.

    Raises DiagnosticError E715 for what is no run, E607 for a run that has none yet.
    """
    if (run / FACTS).is_file():
        return run
    folder = open_run(run)
    made = [path.parent for path in folder.embedders.glob(f"*/{FACTS}")]
    if not made:
        message = f"{run} has no features to give: it has not finished a phase that has `features`"
        raise DiagnosticError(Diagnostic("E607", message))
    return max(made, key=lambda path: (path / FACTS).stat().st_mtime)


@dataclass(frozen=True)
class Embedded:
    """Features [N, width] of the images of a data set, with what is known of each."""

    name: str
    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    paths: NDArray[np.str_]
    classes: tuple[str, ...]
    skipped: int

    def write(self, path: Path) -> None:
        """Write them as .npz, .npy or .parquet. Raises OSError."""
        beside = path.with_name(f".{path.name}.tmp")
        try:
            with beside.open("wb") as file:
                self._write(file, path.suffix)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def _write(self, file: BinaryIO, kind: str) -> None:
        if kind == ".npy":
            np.save(file, self.features)
        elif kind == ".npz":
            np.savez(file, features=self.features, labels=self.labels, paths=self.paths,
                     classes=np.array(self.classes, dtype=np.str_))  # fmt: skip
        else:
            import pyarrow
            from pyarrow import parquet

            columns = {"path": self.paths.tolist(), "label": self.labels,
                       "features": list(self.features)}  # fmt: skip
            parquet.write_table(pyarrow.table(columns), file)


def features_of(
    folder: Path, overrides: Sequence[str], split: Split, device: str, workers: int
) -> Embedded:
    """Return the features of a split of the data of a run, or of other data by `overrides`.

    Images that cannot be read are left out. Raises DiagnosticError.
    """
    from rich.console import Console
    from rich.progress import track

    from sslang.train.data import open_data

    embedder = read_embedder(folder, device, overrides)
    data = open_data(embedder.method.program)
    source = data.test if split == "test" else data.train
    batches = all_images(source, embedder.batch, device, workers)
    shown = Console(stderr=True)
    steps = track(batches, "features", total=-(-len(source) // embedder.batch), console=shown,
                  disable=not shown.is_terminal)  # fmt: skip
    parts = [embedder.method.features(b.pixels, b.sizes).float().cpu().numpy() for b in steps]
    listed = source.listing()
    paths = listed.paths if listed is not None else [str(number) for number in range(len(source))]
    bad = {str(skipped.path) for skipped in source.skipped}
    kept = np.array(
        [not any(b.endswith(f"/{p}") or b == p for b in bad) for p in paths], dtype=bool
    )
    labels = np.array([source.label(number) for number in range(len(source))], dtype=np.int64)
    features = np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)
    return Embedded(
        source.name, features[kept], labels[kept], np.array(paths, dtype=np.str_)[kept],
        source.classes or (), len(bad),
    )  # fmt: skip


def read_embedder(folder: Path, device: str = "cpu", overrides: Sequence[str] = ()) -> Embedder:
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
    program = next(p for p in load(folder / SPEC, None, overrides).phases if p.phase == phase)
    method = Method(program, 0, dims=dims, device=device)
    method.load_state_dict(tensors, strict=False)
    method.eval()
    return Embedder(method, torch.device(device))


def _load_pyfunc(data_path: str) -> Embedder:
    """Return the embedder in a folder: what MLflow calls to load a model of this flavour."""
    return read_embedder(Path(data_path), "cuda" if torch.cuda.is_available() else "cpu")
