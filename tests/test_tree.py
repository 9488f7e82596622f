"""The rules that keep the tree readable: who may import whom, how long files and functions are, what is never used."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import thetastar

ROOT = Path(thetastar.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
FIVE = ("data", "measures", "methods", "models", "algorithms")
ABOVE = ("outer", "look", "explain", "doctor", "claims", "report", "studio", "serve", "cli", "terminal")
SHARED = ("layers", "functional")


def _imports(path: Path) -> set[str]:
    """Modules of the package that a file imports anywhere, as 'folder' or 'file' below thetastar."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""] + [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("thetastar.") and name.count(".")}
    return found


def _folder(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_folders_of_the_equation_do_not_import_one_another(path: Path) -> None:
    folder = _folder(path)
    imports = _imports(path)
    if folder in FIVE:
        allowed = {folder, "protocols", "schema", "registry", "errors", *SHARED}
        assert imports <= allowed, f"imports {imports - allowed}"
    elif folder in SHARED:
        assert not imports & {*FIVE, *ABOVE}
    elif folder not in (*ABOVE, "__init__", "__main__"):
        assert not imports & set(ABOVE), "the kernel imports a layer above"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= (200 if path.name == "equation.py" else 400)
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{node.name} is longer than 60 lines"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_executes_what_it_loads(path: Path) -> None:
    assert path.stem not in ("utils", "helpers", "misc", "common")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").split(".")[0]}
        else:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), f"line {node.lineno}"
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"line {node.lineno}: bare except"
            continue
        assert not names & {"pickle", "cloudpickle", "dill", "joblib", "torchvision", "torchaudio"}
