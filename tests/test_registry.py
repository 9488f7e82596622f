"""Listing without importing, configuration from signatures, helpful errors, new files with no edit."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import thetastar
from thetastar import registry
from thetastar.errors import UserError, nearest

METHOD = '''
"""A method dropped into the folder."""

from __future__ import annotations

from torch import Tensor

from thetastar.functional.predictions import from_output
from thetastar.protocols import Aux, Batch, Clock, Model, Objective
from thetastar.registry import Positive

__all__ = ["cubic"]


class cubic(Objective):
    """R(θ) = mean |softmax f(x) − onehot(y)|³ · scale.

    Args:
        scale: factor in front, > 0.
    """

    def __init__(self, *, scale: Positive = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def loss(self, f: Model, batch: Batch, t: Clock) -> tuple[Tensor, Aux]:
        p = f(batch["input"]).float().softmax(-1)
        y = p.new_zeros(p.shape).scatter(1, batch["target"][:, None], 1.0)
        return self.scale * (p - y).abs().pow(3).sum(-1).mean(), Aux()

    def predict(self, f: Model, batch: Batch, wants: frozenset[str], t: Clock) -> dict[str, Tensor]:
        return from_output(f, batch, wants, "category")
'''


def test_a_method_dropped_into_a_copy_of_the_tree_is_listed_checked_and_runs(tmp_path: Path) -> None:
    copy = tmp_path / "thetastar"
    shutil.copytree(Path(thetastar.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "methods" / "cubic.py").write_text(METHOD)
    (copy / "methods" / "broken.py").write_text("def (")
    script = textwrap.dedent("""
        import thetastar, pathlib
        from thetastar import contract, registry
        assert pathlib.Path(thetastar.__file__).parent == pathlib.Path(%r)
        assert "cubic" in registry.entries("methods") and "supervised" in registry.entries("methods")
        found = contract.check("methods", "cubic")
        assert {f.outcome for f in found} == {"ok"}, found
        star = thetastar.fit("bars", model="mlp", method={"name": "cubic", "scale": 2.0}, epochs=10)
        assert star.measures["valid"]["accuracy"] > 0.8, star.measures
    """)
    done = subprocess.run(
        [sys.executable, "-c", script % str(copy)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_file_from_outside_is_included_by_its_base_class(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(METHOD.replace("cubic", "cubic_outside"))
    assert [entry.folder for entry in registry.include(file)] == ["methods"]
    assert registry.build("methods", {"name": "cubic_outside", "scale": 3.0}).scale == 3.0


@pytest.mark.parametrize(
    ("text", "words"),
    [("x = 1", "__all__"), ("__all__ = ['f']\nf = 3", "no component"), ("import nothing_like_it", "does not import")],
)
def test_a_file_without_components_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / f"bad_{len(text)}.py"
    file.write_text(text)
    with pytest.raises(UserError, match=words):
        registry.include(file)


def test_another_package_offers_components_by_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are listed without importing their package, and imported as its modules when they are built."""
    package = tmp_path / "elsewhere" / "learning"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("import torch")
    (package / "__init__.py").write_text("")
    (package / "power.py").write_text("POWER = 3")
    text = METHOD.replace("cubic", "cubic_elsewhere").replace("pow(3)", "pow(POWER)")
    (package / "cubic.py").write_text(text.replace("\n__all__", "\nfrom .power import POWER\n\n__all__"))
    about = tmp_path / "elsewhere-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    points = [
        "methods.cubic = elsewhere.learning.cubic",
        "methods.gone = elsewhere.learning.gone",
        "models.x = nowhere.x",
    ]
    (about / "entry_points.txt").write_text("\n".join(["[thetastar]", *points, ""]))
    script = (
        "import sys; from thetastar.cli import main; code = main(['list', 'methods']); "
        "sys.exit(code or ('elsewhere' in sys.modules) or ('torch' in sys.modules))"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "cubic_elsewhere" in done.stdout
    monkeypatch.syspath_prepend(tmp_path)
    for cached in (registry.entries, registry._installed):
        cached.cache_clear()
    try:
        assert registry.build("methods", {"name": "cubic_elsewhere", "scale": 2.0}).scale == 2.0
        assert registry.load("methods", "cubic_elsewhere").__module__ == "elsewhere.learning.cubic"
        (package / "power.py").unlink()
        for name in [name for name in sys.modules if name.startswith("elsewhere")]:
            del sys.modules[name]
        shutil.rmtree(package / "__pycache__", ignore_errors=True)
        importlib.invalidate_caches()
        with pytest.raises(UserError, match=r"cubic\.py does not import"):
            registry.load("methods", "cubic_elsewhere")
    finally:
        monkeypatch.undo()
        for cached in (registry.entries, registry._installed):
            cached.cache_clear()


def test_listing_imports_neither_torch_nor_the_components() -> None:
    script = (
        "import sys; from thetastar import registry; "
        "names = [n for f in registry.FOLDERS for n in registry.entries(f)]; "
        "assert 'mlp' in names and 'sgd' in names; assert 'torch' not in sys.modules and 'pydantic' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_default_is_filled_in_and_nested_components_too() -> None:
    full = registry.complete("algorithms", {"name": "sgd", "schedule": {"name": "cosine", "final": 0.1}})
    assert full["lr"] == 0.1
    assert full["schedule"] == {"name": "cosine", "warmup": 0.05, "final": 0.1, "cycles": 1, "stretch": 1.0}
    assert registry.complete("algorithms", full) == full


@pytest.mark.parametrize(
    ("folder", "spec", "words"),
    [
        ("models", "mpl", "did you mean 'mlp'"),
        ("models", {"name": "mlp", "width": [3]}, "did you mean 'widths'"),
        ("models", {"name": "mlp", "widths": [0]}, "≥ 1"),
        ("models", {"name": "mlp", "dropout": 1.0}, "< 1"),
        ("models", {"name": "mlp", "activation": "rellu"}, "'relu'"),
        ("algorithms", {"name": "sgd", "lr": "fast"}, "a number > 0"),
        ("algorithms", {"name": "sgd", "schedule": {"name": "cosinus"}}, "cosine"),
        ("models", 3, "a name"),
    ],
)
def test_mistakes_are_answered_with_what_is_valid(folder: str, spec, words: str) -> None:
    with pytest.raises(UserError) as caught:
        registry.complete(folder, spec)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_json_schema_carries_types_ranges_and_defaults() -> None:
    schema = registry.schema_of("algorithms", "sgd")
    assert schema["properties"]["lr"] == {"default": 0.1, "exclusiveMinimum": 0, "title": "Lr", "type": "number"}


def test_nearest_folds_case_and_hyphens() -> None:
    assert nearest("Breast-Cancer", ["breast_cancer", "wine"]) == "did you mean 'breast_cancer'?"
