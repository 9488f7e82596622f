"""The command line: what it shows, what it writes, and one line for every mistake."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.conftest import Said
from typer.main import get_command

from thetastar import cli, registry, star
from thetastar.terminal import components
from thetastar.terminal.words import shipped

TINY = ["bars", "--model", "mlp", "model.widths=[8]", "engine.precision=float32", "engine.device=cpu", "--epochs", "2"]


def refused(said: Said, *parts: str) -> None:
    """One line on the error stream, nothing on the other, exit code 2."""
    assert said.code == 2, said
    assert said.out == ""
    assert said.err.startswith("theta: ")
    assert said.err.count("\n") == 1, said.err
    for part in parts:
        assert part in said.err, said.err


# --- help, lists, components ------------------------------------------------------------------------------------------


def test_help_and_lists_do_without_torch_and_training_without_what_it_does_not_use(tmp_path: Path) -> None:
    """A fresh process that has shown help and lists has imported neither torch nor the other large packages."""
    program = """
import sys
from thetastar.cli import main
codes = [main(words) for words in (["--help"], ["fit", "--help"], ["list"], ["list", "models", "--json"], [])]
heavy = {"torch", "sklearn", "scipy", "pandas", "numpy", "duckdb"} & set(sys.modules)
codes += [main(["fit", "bars", "--model", "softmax", "--epochs", "1", "--out", "run"])]
needless = {"sklearn", "duckdb", "jinja2"} & set(sys.modules)
sys.exit(f"{codes} {heavy} {needless}" if any(codes) or heavy or needless else 0)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(get_command(cli.app).commands))  # type: ignore[attr-defined]
def test_every_command_has_help_with_an_example(name: str, theta: Callable[..., Said]) -> None:
    said = theta(name, "--help")
    assert said.code == 0
    assert "Example" in said.out
    assert f"theta {name} " in said.out


def test_a_list_names_every_component(theta: Callable[..., Said]) -> None:
    found = json.loads(theta("list", "--json").out)
    for folder in registry.FOLDERS:
        assert {entry["name"] for entry in found[folder]} == set(registry.entries(folder))
    assert (
        {entry["name"] for entry in found["recipes"]}
        == set(shipped())
        >= {"digits", "optimisers", "vision/mnist", "vision/mnist/cnn"}
    )
    plain = theta("list", "models").out
    assert all(line.split()[0] in {"models", *registry.entries("models")} for line in plain.splitlines() if line)


def test_show_prints_equation_arguments_shapes_and_source(theta: Callable[..., Said]) -> None:
    said = theta("show", "cnn").out
    for part in (
        "conv 3×3",
        "dropout",
        "a number ≥ 0 and < 1",
        "0.0",
        "Shapes: (batch, channels",
        "LeCun",
        "models/cnn.py",
    ):
        assert part in said
    schema = json.loads(theta("show", "cnn", "--json").out)["schema"]["properties"]["dropout"]
    assert (schema["minimum"], schema["exclusiveMaximum"], schema["default"]) == (0, 1, 0.0)


def test_a_variant_is_shown_with_what_its_family_shares() -> None:
    shown = components.described("models", "vgg16")
    assert shown["equation"].startswith("VGG of thirteen")
    assert shown["more"].startswith("Stages of 3×3")
    assert "Simonyan" in shown["source"]
    assert shown["shapes"] == "(batch, channels, height, width) → (batch, outputs)."


@pytest.mark.parametrize(("folder", "name"), [(f, n) for f in registry.FOLDERS for n in registry.entries(f)])
def test_every_component_can_be_shown(folder: str, name: str) -> None:
    described = components.described(folder, name)
    assert described["equation"]
    assert json.dumps(described)
    assert [a["name"] for a in described["arguments"]] == list(registry.arguments(registry.load(folder, name)))
    assert all(argument["meaning"] for argument in described["arguments"])


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["fitt", "digits"], ["fitt", "'fit'"]),
        (["fit", "digits", "--modle", "mlp"], ["--modle", "'--model'", "theta fit --help"]),
        (["show", "supervsed"], ["supervsed", "'supervised'"]),
        (["list", "modls"], ["modls", "'models'"]),
        (["fit", "digits", "--seeds", "many"], ["--seeds", "integer"]),
        (["test"], ["RUN"]),
        (["fit", "--recipe", "digit"], ["digit", "'digits'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_typos_get_the_nearest_word(words: list[str], parts: list[str], theta: Callable[..., Said]) -> None:
    refused(theta(*words), *parts)


# --- fit --------------------------------------------------------------------------------------------------------------


def test_a_printed_recipe_runs_unchanged(theta: Callable[..., Said], tmp_path: Path) -> None:
    first = theta("fit", *TINY, "--print", "algorithm.lr=0.02")
    Path("printed.yaml").write_text(first.out)
    assert yaml.safe_load(first.out)["algorithm"]["lr"] == 0.02
    assert theta("fit", "--recipe", "printed.yaml", "--print").out == first.out
    assert not Path("runs").exists()
    assert theta("fit", "--recipe", "printed.yaml").code == 0
    assert Path("runs/bars-mlp-1/recipe.yaml").read_text() == first.out
    # options and words overrule the file
    changed = yaml.safe_load(
        theta("fit", "--recipe", "printed.yaml", "--print", "--steps", "3", "model.widths=[4]").out
    )
    assert changed["budget"] == {"steps": 3}
    assert changed["model"]["widths"] == [4]


def test_fit_says_what_it_inferred_and_where_the_run_is(theta: Callable[..., Said]) -> None:
    said = theta("fit", *TINY)
    assert said.code == 0
    assert "classification into 4 classes, from the integer target" in said.err
    assert "theta test runs/bars-mlp-1" in said.out
    values = star.load("runs/bars-mlp-1").measures["valid"]
    assert f"{values['accuracy']:.4g}" in said.out
    assert theta("fit", *TINY).code == 0
    assert Path("runs/bars-mlp-2").is_dir()
    assert "\x1b" not in said.out + said.err


def test_json_is_all_there_is_on_the_output_stream(theta: Callable[..., Said]) -> None:
    told = json.loads(theta("fit", *TINY, "--json").out)
    loaded = star.load(told["run"])
    assert told["measures"] == loaded.measures
    assert told["parameters"] == loaded.parameters == 64 * 8 + 8 + 8 * 4 + 4


def test_seeds_are_runs_with_a_mean_and_an_interval(theta: Callable[..., Said]) -> None:
    told = json.loads(theta("fit", *TINY, "--seeds", "3", "--seed", "5", "--out", "many", "--json").out)
    losses = [star.load(f"many/seed-{seed}").measures["valid"]["nll"] for seed in (5, 6, 7)]
    assert len(set(losses)) == 3
    half = (
        4.302652729696142 * np.std(losses, ddof=1) / np.sqrt(3)
    )  # t quantile for two degrees of freedom, from a table
    assert told["intervals"]["nll"]["mean"] == pytest.approx(np.mean(losses))
    assert told["intervals"]["nll"]["half_width"] == pytest.approx(half)
    refused(theta("test", "many"), "3 runs", "many/seed-5")
    digests = [sha(Path(f"many/seed-{seed}")) for seed in (5, 6, 7)]
    assert theta("fit", "--resume", "many").code == 0
    assert [sha(Path(f"many/seed-{seed}")) for seed in (5, 6, 7)] == digests


def sha(run: Path) -> str:
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


OWN = '''
"""A method of one's own."""
import os, signal
from pathlib import Path
import torch
from thetastar.methods.supervised import supervised
from thetastar.protocols import Aux, Objective

__all__ = ["own"]


class own(Objective):
    """R(θ) = mean ℓ(f(x), y), interrupted once by its user.

    Args:
        marker: a file; where it is not, it is made and the process interrupted.
    """

    def __init__(self, *, marker: str = "") -> None:
        super().__init__()
        self.inner, self.marker = supervised(), marker

    def attach(self, f, schema):
        self.inner.attach(f, schema)

    def loss(self, f, batch, t):
        if self.marker and t.step == 4 and not Path(self.marker).exists():
            Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGINT)
        return self.inner.loss(f, batch, t)

    def predict(self, f, batch, wants, t):
        return self.inner.predict(f, batch, wants, t)
'''


# a loss that writes state: every evaluation of it is another function
COUNTING = (
    OWN.replace("own", "bad")
    .replace("super().__init__()", "super().__init__(); self.count = 0")
    .replace("return self.inner.loss(f, batch, t)", "return self.counted(*self.inner.loss(f, batch, t))")
    + """
    def counted(self, value, aux):
        self.count += 1
        return value * self.count, aux
"""
)


def test_an_interruption_keeps_the_run_and_resume_finishes_it(theta: Callable[..., Said]) -> None:
    Path("own.py").write_text(OWN)
    words = ["fit", *TINY, "--with", "own.py", "--method", "own", "model.dropout=0.3", "method.marker=stop"]
    stopped = theta(*words, "--out", "broken")
    assert stopped.code == 130
    assert "interrupted after" in stopped.err
    assert "theta fit --resume broken" in stopped.err
    assert list(Path("broken/state").glob("step-*"))  # the step was finished and kept
    assert theta("test", "broken", "--with", "own.py").code == 2
    assert theta("fit", "--resume", "broken", "--with", "own.py").code == 0
    assert theta(*words, "--out", "whole").code == 0  # the marker is there: nothing interrupts
    assert sha(Path("broken")) == sha(Path("whole"))


def test_check_holds_own_components_to_the_contract(theta: Callable[..., Said]) -> None:
    Path("own.py").write_text(OWN)
    good = theta("check", "own.py")
    assert good.code == 0, good.out
    Path("bad.py").write_text(COUNTING)
    bad = theta("check", "bad.py", "--json")
    assert bad.code == 1
    assert "broken" in {finding["outcome"] for finding in json.loads(bad.out)}


# --- test, predict, runs, report --------------------------------------------------------------------------------------


def test_every_opening_of_the_test_split_is_recorded(theta: Callable[..., Said]) -> None:
    theta("fit", *TINY, "--out", "run")
    assert "test" not in star.load("run").measures
    first = json.loads(theta("test", "run", "--json").out)
    assert first["opened_before"] == 0
    assert "once" in theta("test", "run").out
    loaded = star.load("run")
    assert len(loaded.facts["test_openings"]) == 2
    assert loaded.measures["test"] == first["measures"]["test"]
    assert np.load("run/columns/test.accuracy.npy").mean() == pytest.approx(loaded.measures["test"]["accuracy"])


def test_predictions_are_those_of_the_star(theta: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.normal(size=80), "b": random.normal(size=80), "c": random.choice(["x", "y"], 80)})
    frame["label"] = np.where(frame["a"] > 0, "up", "down")
    frame.to_csv("train.csv", index=False)
    frame.drop(columns="label").to_csv("new.csv", index=False)
    words = ["train.csv", "--target", "label", "--model", "mlp", "algorithm.lr=0.05", "--epochs", "20", "--out", "run"]
    assert theta("fit", *words).code == 0
    loaded = star.load("run")
    said = theta("predict", "run", "new.csv", "--proba")
    lines = [line.split(",") for line in said.out.splitlines()]
    assert lines[0] == ["prediction", "p(down)", "p(up)"]
    expected = loaded.predict_proba(frame.drop(columns="label"))
    assert np.array([line[1:] for line in lines[1:]], dtype=float) == pytest.approx(expected, abs=1e-6)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("new.csv").read_bytes())))
    assert theta("predict", "run", "-", "--proba").out == said.out
    assert [line[0] for line in lines[1:]] == list(loaded.predict(frame.drop(columns="label")))
    assert np.mean(np.array([line[0] for line in lines[1:]]) == frame["label"]) > 0.9


def test_an_image_is_predicted_like_its_pixels(theta: Callable[..., Said]) -> None:
    from PIL import Image

    theta("fit", *TINY, "--out", "run")
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save("one.png")
    Path("one.csv").write_text(",".join(str(value) for value in (pixels / 255.0).ravel()) + "\n")
    from_image = json.loads(theta("predict", "run", "one.png", "--proba", "--json").out)
    from_table = json.loads(theta("predict", "run", "one.csv", "--proba", "--json").out)
    assert from_image.pop("file") == "one.png"
    for name, value in from_image.items():
        assert from_table[name] == pytest.approx(value, abs=1e-6)
    Image.fromarray(pixels[:4]).save("small.png")
    assert "1 of 1 images resized to 8×8" in theta("predict", "run", "small.png").err
    refused(theta("predict", "run", "nothing.csv"), "nothing.csv")
    for text in ("", "a,b\n", "1,2\n3\n", "1,word\n"):
        Path("bad.csv").write_text(text)
        refused(theta("predict", "run", "bad.csv"), "bad.csv")


def test_runs_are_filtered_and_sorted_by_sql_on_the_files(theta: Callable[..., Said]) -> None:
    for count in ("1", "3", "2"):
        theta("fit", *TINY, "--epochs", count, "--out", f"runs/e{count}")
    theta("fit", "blobs", "--model", "softmax", "--epochs", "1", "--out", "runs/deep/other")
    rows = json.loads(theta("runs", "--sort", "facts.steps desc", "--where", "data = 'bars'", "--json").out)
    assert [row["run"] for row in rows] == ["runs/e3", "runs/e2", "runs/e1"]
    for row in rows:
        assert row["valid"] == star.load(row["run"]).measures["valid"]
    assert [row["model"] for row in json.loads(theta("runs", "--where", "model = 'softmax'", "--json").out)] == [
        "softmax"
    ]
    Path("runs/e1/measures.json").write_text('{"valid": {"accur')
    states = {row["run"]: row["status"] for row in json.loads(theta("runs", "--json").out)}
    assert states == {"runs/e1": "damaged", "runs/e2": "finished", "runs/e3": "finished", "runs/deep/other": "finished"}
    refused(theta("runs", "--where", "valid.acuracy > 0"), "acuracy")
    refused(theta("runs", "nowhere"), "nowhere")


def test_compare_prints_a_verdict_and_goes_on_where_it_was(theta: Callable[..., Said]) -> None:
    words = ["compare", "blobs", "--models", "softmax,mlp", "--seeds", "2", "--epochs", "1", "data.rows=1500"]
    said = theta(*words, "--json")
    assert said.code == 0, said.err
    verdict = json.loads(said.out)
    assert {row["name"] for row in verdict["rows"]} == {"softmax", "mlp"}
    assert verdict["sentences"]
    place = Path(verdict["report"]).parent
    assert "<html" in Path(verdict["report"]).read_text().lower()
    before = {path: path.read_bytes() for path in place.glob("runs/**/model.safetensors")}
    assert len(before) == 4
    again = json.loads(theta(*words, "--json").out)
    assert again["openings"]  # the second look is said
    assert {path: path.read_bytes() for path in place.glob("runs/**/model.safetensors")} == before
    told = theta("report", place)
    assert told.code == 0
    assert all(sentence in told.out for sentence in again["sentences"])
    # a damaged file costs one learner or one line, and never changes a verdict unnoticed
    column = place / "runs/mlp/seed-1/columns/test.accuracy.npy"
    intact = column.read_bytes()
    column.write_bytes(intact[:-1] + bytes([intact[-1] ^ 4]))
    rows = {row["name"]: row for row in json.loads(theta(*words, "--json").out)["rows"]}
    assert (rows["mlp"]["state"], rows["softmax"]["state"]) == ("failed", "finished")
    assert "damaged" in rows["mlp"]["reason"]
    assert theta("test", place / "runs/mlp/seed-1").code == 0
    assert column.read_bytes() == intact
    (place / "verdict.json").write_text('{"question":')
    refused(theta("report", place), "verdict.json is damaged")
    assert json.loads(theta(*words, "--json").out)["rows"] == again["rows"]
    (place / "compare.json").write_text("")
    refused(theta(*words), "compare.json is damaged")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as at a prompt: a shell starts what runs in its background deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_comparison_keeps_what_is_done_and_the_same_command_finishes_it(
    theta: Callable[..., Said],
) -> None:
    """The second learner is interrupted in its first seed; what was finished is judged, kept and not trained again."""
    Path("own.py").write_text(OWN.replace("t.step == 4", "t.step == 4 and t.steps == 6"))  # not in the probe before it
    learners = ["softmax", "mlp"]
    for name in learners:
        recipe = {"data": "blobs", "model": name}
        if name == "mlp":
            recipe["method"] = {"name": "own", "marker": str(Path("stop").resolve())}
        Path(f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    files = ",".join(f"{name}.yaml" for name in learners)
    words = ["compare", "blobs", "--recipes", files, "--with", "own.py", "--seeds", "2", "--steps", "6", "--no-resplit"]
    stopped = theta(*words, "--json")
    assert stopped.code == 130
    assert stopped.err.splitlines()[-1] == "theta: interrupted; the same command goes on from here"
    verdict = json.loads(stopped.out)
    assert verdict["partial"]
    assert [(row["state"], row["seeds"]) for row in verdict["rows"]] == [("unfinished", [0]), ("unfinished", [])]
    assert any("softmax 1, MLP 0" in sentence for sentence in verdict["sentences"])
    kept = {path: path.read_bytes() for path in Path("runs").rglob("model.safetensors")}
    assert len(kept) == 1
    whole = json.loads(theta(*words, "--json").out)
    assert not whole["partial"]
    assert [(row["state"], row["seeds"]) for row in whole["rows"]] == [("finished", [0, 1])] * 2
    assert {path: path.read_bytes() for path in kept} == kept


# --- mistakes ---------------------------------------------------------------------------------------------------------


def frames(folder: Path) -> None:
    """Tables with one thing wrong in each."""
    random = np.random.default_rng(0)
    good = pd.DataFrame(
        {"a": random.normal(size=60), "b": random.normal(size=60), "label": random.choice(["u", "v"], 60)}
    )
    good.to_csv(folder / "good.csv", index=False)
    good.assign(label="u").to_csv(folder / "constant.csv", index=False)
    single = good.copy()
    single.loc[3, "label"] = "w"
    single.to_csv(folder / "single.csv", index=False)
    (folder / "empty.csv").write_text("")
    (folder / "binary.csv").write_bytes(bytes(range(256)))
    (folder / "list.yaml").write_text("- a\n")
    (folder / "torn.yaml").write_text("data: [digits\n")
    (folder / "syntax.py").write_text("def broken(:\n")
    (folder / "nothing.py").write_text("x = 1\n")


MISTAKES: list[tuple[list[str], list[str]]] = [
    (["nowhere.csv", "--target", "y"], ["nowhere.csv", "path"]),
    (["digts"], ["digts", "'digits'"]),
    ([], ["no data"]),
    (["good.csv"], ["no target", "--target"]),
    (["good.csv", "--target", "lable"], ["lable", "'label'"]),
    (["constant.csv", "--target", "label"], ["constant"]),
    (["single.csv", "--target", "label"], ["'w'", "single"]),
    (["empty.csv", "--target", "y"], ["empty"]),
    (["binary.csv", "--target", "y"], ["binary.csv"]),
    (["good.csv", "--target", "label", "--task", "regression"], ["label", "words"]),
    (["good.csv", "--target", "label", "algorithm.lr=-1"], ["algorithm.lr", "-1", "> 0"]),
    (["good.csv", "--target", "label", "--model", "mpl"], ["mpl", "'mlp'"]),
    (["good.csv", "--target", "label", "--model", "cnn"], ["cnn", "images"]),
    (["digits", "model.widths=big", "--model", "mlp"], ["model.widths", "big", "list"]),
    (["digits", "model.chanels=[1,2]"], ["chanels", "'channels'"]),
    (["digits", "algoritm.lr=1"], ["algoritm", "'algorithm'"]),
    (["digits", "mlp"], ["mlp", "--model mlp"]),
    (["digits", "data.batch_size=0"], ["batch_size", "≥ 1"]),
    (["digits", "--epochs", "1", "--steps", "2"], ["--epochs", "--steps"]),
    (["digits", "--steps", "0"], ["steps", "≥ 1"]),
    (["digits", "--seed", "-1"], ["seed"]),
    (["digits", "--target", "x"], ["target", "digits"]),
    (["digits", "engine.precision=fp8"], ["engine.precision", "fp8", "bf16"]),
    (["digits", "engine.device=gpu"], ["gpu"]),
    (["digits", "measures=[acuracy]"], ["acuracy", "'accuracy'"]),
    (["digits", "algorithm.schedule=cosin"], ["cosin", "'cosine'"]),
    (["--recipe", "nowhere.yaml"], ["nowhere.yaml"]),
    (["--recipe", "binary.csv"], ["binary.csv"]),
    (["--recipe", "list.yaml"], ["list.yaml", "mapping"]),
    (["--recipe", "torn.yaml"], ["torn.yaml", "YAML"]),
    (["digits", "--with", "nowhere.py"], ["nowhere.py"]),
    (["digits", "--with", "good.csv"], ["good.csv", ".py"]),
    (["digits", "--with", "syntax.py"], ["syntax.py"]),
    (["digits", "--with", "nothing.py"], ["nothing.py", "__all__"]),
    (["digits", "--out", "good.csv/run"], ["good.csv/run", "--out"]),
    (["digits", "--out", "."], ["not empty", "--out"]),
    (["--resume", "nowhere"], ["nowhere"]),
    (["--resume", "."], ["provenance.json"]),
    (["digits", "--resume", "run"], ["--resume"]),
    (["--resume", "run", "--epochs", "3"], ["--resume"]),
    (["--resume", "run", "--out", "else"], ["--resume"]),
    (["digits", "--budget", "20"], ["--budget", "'20'", "epochs, steps or s"]),
    (["digits", "--budget", "1.5 steps"], ["steps", "1.5", "integer"]),
    (["digits", "--budget", "0 s"], ["seconds", "> 0"]),
    (["digits", "--budget", "1 s", "--epochs", "1"], ["--budget", "--epochs"]),
    (["digits", "--epochs", "1", "budget.epochs=2"], ["--epochs 1", "budget.epochs=2"]),
    (["digits", "--model", "cnn", "model=mlp"], ["--model cnn", "model=mlp"]),
    (["digits", "--seed", "1", "seed=2"], ["--seed 1", "seed=2"]),
    (["good.csv", "--target", "label", "data.target=a"], ["--target label", "data.target=a"]),
]


@pytest.mark.parametrize(("words", "parts"), MISTAKES, ids=lambda value: " ".join(value))
def test_a_mistake_is_one_line_and_leaves_no_run_behind(
    words: list[str], parts: list[str], theta: Callable[..., Said], tmp_path: Path
) -> None:
    frames(tmp_path)
    before = set(tmp_path.rglob("*"))
    refused(theta("fit", *words), *parts)
    assert {path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts} == before


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["nowhere.csv"], ["nowhere.csv"]),
        ([], ["no data"]),
        (["blobs", "--models", "mpl"], ["'mlp'"]),
        (["blobs", "--models", ""], ["--models"]),
        (["blobs", "model=mlp"], ["model=mlp", "--models"]),
        (["blobs", "method.name=pgd"], ["--methods"]),
        (["blobs", "data=digits"], ["data=digits", "one data set"]),
        (["blobs", "seed=3"], ["seed=3", "--seeds"]),
        (["blobs", "--budget", "2 epochs", "budget.steps=3"], ["--budget 2 epochs", "budget.steps=3"]),
        (["blobs", "--seeds", "1", "--resplit"], ["--seeds"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_compare_refuses_like_fit(
    words: list[str], parts: list[str], theta: Callable[..., Said], tmp_path: Path
) -> None:
    refused(theta("compare", *words), *parts)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("20 epochs", {"epochs": 20}),
        ("1 epoch", {"epochs": 1}),
        ("2.5 Epochs", {"epochs": 2.5}),
        ("1,000 steps", {"steps": 1000}),
        ("60 s", {"seconds": 60}),
        ("60s", {"seconds": 60}),
        (" .5  seconds ", {"seconds": 0.5}),
    ],
)
def test_a_budget_is_a_number_and_a_unit(text: str, budget: dict[str, float], theta: Callable[..., Said]) -> None:
    found = json.loads(theta("fit", "bars", "--budget", text, "--print", "--json").out)
    assert found["budget"] == budget


def test_a_budget_among_the_words_is_that_of_the_comparison(theta: Callable[..., Said]) -> None:
    words = ["blobs", "--models", "softmax", "--seeds", "1", "--json"]
    for given in (["budget.steps=2"], ["--budget", "2 steps"]):
        told = json.loads(theta("compare", *words, *given).out)
        assert told["question"]["budget"] == {"steps": 2}
        assert yaml.safe_load(told["rows"][0]["recipe"])["budget"] == {"steps": 2}


def test_without_any_learner_there_is_a_reason_and_no_verdict(theta: Callable[..., Said]) -> None:
    said = theta("compare", "blobs", "--models", "cnn", "--seeds", "1")
    assert said.code == 1
    assert "expected images" in said.out
    assert said.err.splitlines()[-1].startswith("theta: no learner finished")


def test_our_own_mistakes_keep_their_traceback(monkeypatch: pytest.MonkeyPatch, theta: Callable[..., Said]) -> None:
    def broken(kind: str | None) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(components, "listing", broken)
    with pytest.raises(KeyError, match="a bug"):
        theta("list")


def test_of_several_processes_the_first_one_speaks(theta: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["fit", *TINY, "--out", "run"]
    monkeypatch.setenv("RANK", "1")
    for more in ([], ["--json"], ["--print"]):
        assert theta(*words, *more) == Said(0, "", "")
    refused(theta("list", "modls"), "modls")
    monkeypatch.setenv("RANK", "0")
    assert json.loads(theta(*words, "--json").out)["measures"]


def test_a_closed_pipe_ends_the_command_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "thetastar.cli", "list"], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode in (141, -signal.SIGPIPE)


def test_a_mistake_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "thetastar.cli", "list", "modls"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    refused(Said(done.returncode, done.stdout, done.stderr), "modls")
