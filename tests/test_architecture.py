"""Layers: each folder imports only from those before it; heavy libraries stay in their places."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "sslang"
LAYERS = (
    "diagnostics", "syntax", "types", "ops", "std", "model", "ir", "checks", "passes",
    "processes", "emit", "data", "evaluate", "track", "train", "bench", "cli",
)  # fmt: skip
# The Python API stands on top, and the CLI is written on it.
FACADE = {"__init__.py", "__main__.py", "api.py"}
BASE = "records.py"  # what every layer may import
FILES = sorted(PACKAGE.rglob("*.py"))


def _layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def _imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports, and whether it does so when it is itself imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _for_types(node)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) not in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from ((name, id(node) not in late) for name in names)


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _uses(path: Path, library: str) -> bool:
    return any(name.split(".")[0] == library for name, _ in _imports(path))


def test_every_folder_is_a_layer() -> None:
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders <= set(LAYERS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_from_layers_before_it(path: Path) -> None:
    if _layer(path) in FACADE:
        return
    if _layer(path) == BASE:
        assert not [name for name, _ in _imports(path) if name.startswith("sslang")]
        return
    own = LAYERS.index(_layer(path))
    for name, _ in _imports(path):
        parts = name.split(".")
        if parts[0] == "sslang" and len(parts) > 1 and parts[1] in LAYERS:
            assert LAYERS.index(parts[1]) <= own, f"{_layer(path)} imports {name}"


def test_torch_is_imported_from_processes_on() -> None:
    before = LAYERS[: LAYERS.index("processes")]
    for path in FILES:
        if _layer(path) in before:
            at_import = {n.split(".")[0] for n, early in _imports(path) if early}
            assert not at_import & {"torch", "torchvision", "timm", "kornia"}, path


def test_mlflow_and_pydantic_have_one_place_each() -> None:
    assert [p for p in FILES if _uses(p, "mlflow")] == [PACKAGE / "track" / "mlflow_client.py"]
    assert {_layer(p) for p in FILES if _uses(p, "pydantic")} == {"model"}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("sslang.ir.build", ("torch", "numpy", "mlflow")),
        ("sslang.checks", ("torch", "numpy", "mlflow")),
        ("sslang.syntax.formatter", ("torch", "lark", "pydantic")),
        ("sslang.diagnostics", ("torch", "lark", "pydantic")),
    ],
)
def test_what_an_import_does_not_bring_in(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*(m for m in {absent!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
