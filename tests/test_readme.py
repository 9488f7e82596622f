"""What README says is what works."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from typer.main import get_command

from thetastar import cli, registry

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block(marker: str) -> str:
    """The code block under a marker."""
    found = re.search(rf"<!-- {re.escape(marker)} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, marker
    return found[1]


def test_the_method_in_one_file_is_checked_shown_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("focal.py").write_text(block("example: focal.py"))
    assert cli.main(["check", "focal.py"]) == 0
    assert "resumes" in capfd.readouterr().out
    assert cli.main(["show", "focal", "--with", "focal.py"]) == 0
    assert "a number ≥ 0" in capfd.readouterr().out
    words = ["--models", "mlp", "--methods", "supervised,focal", "--seeds", "1", "--epochs", "1"]
    assert cli.main(["compare", "bars", "--with", "focal.py", *words]) == 0
    assert "mlp+focal" in capfd.readouterr().out.lower().replace(" ", "")


def test_focal_loss_with_gamma_0_is_cross_entropy_and_more_is_the_formula(tmp_path: Path) -> None:
    """The example teaches a right loss: hand-computed on one batch."""
    import torch
    from torch import nn

    from thetastar.protocols import Clock

    path = tmp_path / "focal_by_hand.py"
    path.write_text(block("example: focal.py"))
    registry.include(path)
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
    batch = {"input": logits, "target": torch.tensor([0, 1])}
    p = torch.softmax(logits.double(), -1)[[0, 1], [0, 1]]
    for gamma in (0.0, 2.0):
        value, _ = registry.build("methods", {"name": "focal", "gamma": gamma}).loss(nn.Identity(), batch, Clock(0))
        assert value.item() == pytest.approx((-((1 - p) ** gamma) * p.log()).mean().item(), rel=1e-6)


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In a minute's worth less: one epoch, one seed."""
    monkeypatch.chdir(tmp_path)
    text = block("example: python").replace("epochs=3", "epochs=1, engine={'device': 'cpu'}")
    exec(compile(ast.parse(text), "README.md", "exec"), {})
    said = capfd.readouterr().out
    assert 0 < float(said.splitlines()[0]) <= 1
    assert (tmp_path / "digits-star/model.safetensors").is_file()


def test_every_command_in_the_table_exists() -> None:
    named = {match[1] for match in re.finditer(r"`theta (\w+)", README)}
    assert named == set(get_command(cli.app).commands)  # type: ignore[attr-defined]
