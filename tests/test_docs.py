"""What the pages show is what comes out: every example runs, from top to bottom of its page, in an empty folder."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

from thetastar import cli

DOCS = Path(__file__).parents[1] / "docs"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


examples = loaded("examples")


@pytest.mark.parametrize("path", examples.PAGES, ids=lambda path: path.stem)
def test_a_page_says_what_comes_out(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this fails after a change of the product: python docs/examples.py, then read what changed."""
    monkeypatch.chdir(tmp_path)
    with examples.settings():
        ran = examples.run(path.read_text(encoding="utf-8"))
    assert ran
    differences = [found for one in ran if (found := examples.difference(one.block.text, one.text))]
    assert not differences, "\n".join(differences)


def commands() -> list[str]:
    """Every line that begins with theta in the unexecuted shell blocks of README and of the pages."""
    pages = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]
    shell = [
        block.text
        for path in pages
        for block in examples.blocks(path.read_text(encoding="utf-8"))
        if block.language == "bash"
    ]
    return [line for text in shell for line in text.splitlines() if line.startswith("theta ")]


@pytest.mark.parametrize("line", commands())
def test_a_command_that_is_only_shown_has_words_that_are_understood(line: str) -> None:
    name, *words = shlex.split(line)[1:]
    get_command(cli.app).commands[name].make_context(name, words)  # type: ignore[attr-defined]


def test_every_verb_has_a_page_and_every_page_a_verb() -> None:
    pages = {path.stem for path in (DOCS / "verbs").glob("*.md")} - {"index"}
    assert pages == set(get_command(cli.app).commands)  # type: ignore[attr-defined]


def test_a_changed_word_a_far_number_and_a_missing_line_are_differences() -> None:
    """The comparison itself: what it forgives, and what not."""
    written = "│ k-NN │ 95.6% (81.7–99.0) │ 0.0033 s │ 2 MiB │\nrun: runs/compare-iris-b7b67f"
    forgiven = "│ k-NN  │ 97.0% (80.1–99.2) │ 1.20 s │ 3 MiB │\nrun:\nruns/compare-iris-a1a1a1"
    assert examples.difference(written, forgiven) == ""
    assert "MLP" in examples.difference(written, written.replace("k-NN", "MLP"))
    assert "71.0%" in examples.difference(written, written.replace("95.6%", "71.0%"))
    assert examples.difference(written, written.partition("\n")[0])


def test_a_page_is_rewritten_in_place_and_marks_are_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (
        "<!-- file: one.txt -->\n```text\n1\n```\n\n```python\nx = int(open('one.txt').read()) + 1\nprint(x)\n```\n\n"
        "```text\nold\n```\n<!-- not run: takes a day -->\n```console\n$ theta compare mnist\nold\n```\n"
        "```console\n$ theta show nothing\nold\n$ echo $?\n$ cat one.txt\n```\n"
    )
    with examples.settings():
        made = examples.rewritten(page, examples.run(page))
    assert "```text\n2\n```" in made
    assert "$ theta compare mnist\nold\n" in made
    assert "$ theta show nothing\ntheta: nothing is called 'nothing'" in made
    assert "$ echo $?\n2\n$ cat one.txt\n1\n```" in made
