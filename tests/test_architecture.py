"""Layers: each folder imports only from those before it; heavy libraries stay in their places."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.conftest import ROOT

PACKAGE = ROOT / "sslang"
# The Python API stands on top, and the CLI is written on it.
FACADE = {"__init__", "__main__", "api"}
FILES = sorted(PACKAGE.rglob("*.py"))


def _layers() -> tuple[str, ...]:
    """Read the layers from the contract that import-linter holds, the lowest first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return tuple(layer.removeprefix("sslang.") for layer in reversed(layers))


LAYERS = _layers()


def _layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def _imports(path: Path) -> tuple[tuple[str, bool], ...]:
    """List every module that a file imports, and whether it does so when it is itself imported."""
    return tuple(_found_imports(path))


def _found_imports(path: Path) -> Iterator[tuple[str, bool]]:
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


def test_a_file_imports_only_from_layers_before_it() -> None:
    upward = []
    for path in FILES:
        if _layer(path) in FACADE:
            continue
        own = LAYERS.index(_layer(path))
        for name, _ in _imports(path):
            parts = name.split(".")
            if parts[0] == "sslang" and len(parts) > 1 and parts[1] in LAYERS[own + 1 :]:
                upward.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert upward == []


def test_what_every_layer_may_import_imports_none() -> None:
    assert LAYERS[0] == "records"
    names = [name for name, _ in _imports(PACKAGE / "records.py")]
    assert not [name for name in names if name.startswith("sslang")]


def test_torch_is_imported_from_processes_on() -> None:
    before = LAYERS[: LAYERS.index("processes")]
    for path in FILES:
        if _layer(path) in before:
            at_import = {n.split(".")[0] for n, early in _imports(path) if early}
            assert not at_import & {"torch", "torchvision", "timm", "kornia"}, path


def test_mlflow_and_pydantic_have_one_place_each() -> None:
    assert [p for p in FILES if _uses(p, "mlflow")] == [PACKAGE / "track" / "mlflow_client.py"]
    assert {_layer(p) for p in FILES if _uses(p, "pydantic")} == {"model"}


def test_what_an_import_does_not_bring_in() -> None:
    """One process imports one module after the other, those that bring in least first."""
    cases = (
        ("sslang.diagnostics", ("torch", "lark", "pydantic")),
        ("sslang.syntax.formatter", ("torch", "lark", "pydantic")),
        ("sslang.ir.build", ("torch", "numpy", "mlflow")),
        ("sslang.checks", ("torch", "numpy", "mlflow")),
    )
    code = f"""
import importlib, sys
for module, absent in {cases!r}:
    importlib.import_module(module)
    print(*(f"{{module}} brings in {{name}}" for name in absent if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
