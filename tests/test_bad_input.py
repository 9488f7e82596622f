"""Bad input to every command: one line, exit code 2, nothing lost and nothing left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.conftest import Said

from thetastar import cli

TINY = ["--model", "softmax", "--epochs", "1"]
SMALL = ["--models", "softmax", "--seeds", "1", "--epochs", "1"]
LABEL = ["--target", "label"]


def content(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, byte for byte."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


def refused(theta: Callable[..., Said], words: list[str], parts: list[str]) -> None:
    """One line that says what was got, what was expected or what to do; and the folder is as it was."""
    before = content(Path())
    said = theta(*words)
    assert said.code == 2, said
    assert said.out == ""
    assert said.err.startswith("theta: ")
    assert said.err.count("\n") == 1, said.err
    assert "; " in said.err, "says what was got only"
    assert "Traceback" not in said.err
    for part in parts:
        assert part in said.err, said.err
    assert content(Path()) == before


# --- data -------------------------------------------------------------------------------------------------------------


def good() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": random.normal(size=60),
            "b": random.normal(size=60),
            "when": pd.date_range("2020-01-01", periods=60).astype(str),
            "who": np.repeat(np.arange(12), 5),
            "one": "x",
            "part": ["train"] * 40 + ["valid"] * 10 + ["test"] * 10,
            "label": random.choice(["u", "v"], 60),
        }
    )


def lines(extra: str) -> str:
    rows = [json.dumps({"a": float(number), "label": "uv"[number % 2]}) for number in range(30)]
    return "\n".join([*rows[:10], extra, *rows[10:]])


def tables(folder: Path) -> None:
    """Tables with one thing wrong in each."""
    whole = good()
    whole.to_csv(folder / "good.csv", index=False)
    for rows, name in ((0, "zero"), (1, "one"), (2, "two")):
        whole.head(rows).to_csv(folder / f"{name}.csv", index=False)
    whole[["label"]].to_csv(folder / "target.csv", index=False)
    whole.assign(label=whole["label"].where(whole.index < 2)).to_csv(folder / "gap.csv", index=False)
    whole.assign(part=whole["part"].where(whole.index > 0, "trian")).to_csv(folder / "word.csv", index=False)
    whole.assign(part="test").to_csv(folder / "untrained.csv", index=False)
    whole.to_parquet(folder / "cut.parquet")
    (folder / "cut.parquet").write_bytes((folder / "cut.parquet").read_bytes()[:500])
    for name, text in {
        "empty.csv": "",
        "blank.csv": "\n\n",
        "long.csv": "a,label\n" + "1,u\n2,v\n" * 5 + "3,u,9\n" + "1,u\n" * 5,
        "longer.csv": "a,label\n" + "1,2,u\n2,3,v\n" * 10,
        "quote.csv": 'a,label\n1,u\n"2,v\n' + "1,u\n" * 9,
        "broken.jsonl": lines('{"a": 1, "lab'),
        "odd.jsonl": lines("[1, 2]"),
        "nested.jsonl": lines('{"a": {"x": 1}, "label": "u"}'),
        "array.json": '[{"a": 1,\n"label": "u"},\n{"a": 2 "label": "v"}]',
        "torn.yaml": "data: [digits\n",
        "unknown.yaml": "data: digits\nmodl: mlp\n",
        "deep.yaml": "data: digits\nmodel: {name: mlp, wdths: [3]}\n",
        "budget.yaml": "data: digits\nbudget: 3\n",
        "engine.yaml": "data: digits\nengine: [1]\n",
        "measures.yaml": "data: digits\nmeasures: 3\n",
        "format.yaml": "data: digits\nformat: new\n",
        "code.yaml": "data: !!python/object/apply:os.system [ls]\n",
        "afile": "keep",
        "exits.py": "import sys\nsys.exit(0)\n",
        "raises.py": "1 / 0\n",
        "unnamed.py": "__all__ = ['nothing']\n",
    }.items():
        (folder / name).write_text(text)
    for name in ("binary.csv", "binary.py"):
        (folder / name).write_bytes(bytes(range(256)) * 20)
    (folder / "zeros.csv").write_bytes(b"a,label\n" + b"\0" * 100 + b",u\n1,v\n2,u\n")
    (folder / "broken.arrow").write_bytes(b"ARROW1" + bytes(300))
    for name in ("nothing", "other"):
        (folder / name).mkdir()
        (folder / name / "precious.txt").write_text("keep")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    tables(folder)
    return folder


FILES: list[tuple[str, list[str]]] = [
    ("zero.csv", ["no rows", "at least one row"]),
    ("empty.csv", ["is empty", "column names"]),
    ("blank.csv", ["blank.csv", "mend the file"]),
    ("binary.csv", ["not UTF-8", "Parquet"]),
    ("zeros.csv", ["zero bytes"]),
    ("nothing", ["neither tables nor folders", "check the path"]),
    ("nowhere.csv", ["does not exist", "check the path"]),
    ("nowhere-*.csv", ["no file matches", "pattern"]),
    ("goood", ["unknown data set 'goood'", "theta list data"]),
    ("torn.yaml", ["no data set that is read", ".csv"]),
    ("cut.parquet", ["cut.parquet", "mend the file"]),
    ("broken.arrow", ["broken.arrow", "mend the file"]),
    ("broken.jsonl", ["line 11", "mend the file"]),
    ("odd.jsonl", ["[1, 2]", "no object"]),
    ("nested.jsonl", ["'a'", "dict", "drop"]),
    ("array.json", ["line 3", "mend the file"]),
    ("long.csv", ["line 12", "saw 3"]),
    ("longer.csv", ["line 2", "2 names"]),
    ("quote.csv", ["quote.csv", "EOF inside string"]),
]


@pytest.mark.parametrize("verb", ["fit", "compare", "look"])
@pytest.mark.parametrize(("name", "parts"), FILES, ids=[name for name, _ in FILES])
def test_unreadable_data(
    verb: str, name: str, parts: list[str], theta: Callable[..., Said], bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bad)
    terms = {"fit": TINY, "compare": SMALL, "look": []}[verb]
    refused(theta, [verb, name, *LABEL, *terms], parts)


ASKED: list[tuple[str, str, list[str]]] = [
    ("good.csv", "--target labl", ["'labl'", "did you mean 'label'"]),
    ("good.csv", "--target label --task regresion", ["regresion", "did you mean 'regression'"]),
    ("good.csv", "--target label data.drp=[a]", ["drp", "did you mean 'drop'"]),
    ("good.csv", "--target label data.drop=[q]", ["'q'", "choose from: a, b"]),
    ("good.csv", "--target label data.valid=2", ["data.valid", "got 2", "< 1"]),
    ("good.csv", "--target label data.valid=0.6 data.test=0.6", ["data.valid=0.6", "lower them"]),
]


@pytest.mark.parametrize("verb", ["fit", "compare", "look"])
@pytest.mark.parametrize(("name", "options", "parts"), ASKED, ids=[options for _, options, _ in ASKED])
def test_what_the_data_do_not_have(
    verb: str,
    name: str,
    options: str,
    parts: list[str],
    theta: Callable[..., Said],
    bad: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(bad)
    terms = {"fit": TINY, "compare": SMALL, "look": []}[verb]
    refused(theta, [verb, name, *options.split(), *terms], parts)


UNFIT: list[tuple[str, str, list[str]]] = [
    ("good.csv", "", ["no target given", "--target"]),
    ("one.csv", "--target label", ["1 row", "at least 3"]),
    ("two.csv", "--target label", ["2 rows", "at least 3"]),
    ("target.csv", "--target label", ["no column beside the target"]),
    ("gap.csv", "--target label", ["'label'", "58 of 60 rows", "choose another target"]),
    ("good.csv", "--target label --group hwo", ["'hwo'", "did you mean 'who'"]),
    ("good.csv", "--target label --group one", ["1 group for 3 splits", "choose another column"]),
    ("good.csv", "--target label --time one", ["'one'", "dates or numbers"]),
    ("good.csv", "--target label --time wen", ["'wen'", "did you mean 'when'"]),
    ("good.csv", "--target label --time when --group who", ["group and time", "leave one out"]),
    ("good.csv", "--target label --split-column prt", ["'prt'", "did you mean 'part'"]),
    ("word.csv", "--target label --split-column part", ["'trian'", "did you mean 'train'"]),
    ("untrained.csv", "--target label --split-column part", ["no rows to train on"]),
    ("good.csv", "--target label algorithm.lr=-1", ["algorithm.lr", "-1", "> 0"]),
    ("good.csv", "--target label algorithm.lr=.inf", ["algorithm.lr", "inf", "finite"]),
    ("good.csv", "--target label algorithm.lr=fast", ["algorithm.lr", "'fast'", "a number > 0"]),
    ("good.csv", "--target label algorithm.schedul=cosine", ["schedul", "did you mean 'schedule'"]),
    ("good.csv", "--target label algorithm.lr={", ["algorithm.lr={", "YAML"]),
    ("good.csv", "--target label measures=[acuracy]", ["acuracy", "did you mean 'accuracy'"]),
    ("good.csv", "--target label measures=3", ["measures", "a list of names"]),
    ("good.csv", "--target label engine=3", ["engine: got 3", "a mapping"]),
    ("good.csv", "--target label engine.monitor=acuracy", ["acuracy", "did you mean 'accuracy'"]),
    ("good.csv", "--target label budget=3", ["budget", "3"]),
    ("good.csv", "--target label data.augment=[flip]", ["flip", "images", "data.augment"]),
    ("good.csv", "--target label --epochs 0", ["epochs", "> 0"]),
    ("good.csv", "--target label --epochs inf", ["epochs", "finite"]),
    ("good.csv", "--target label --epochs many", ["--epochs", "number", "--help"]),
    ("good.csv", "--target label --seeds 0", ["--seeds", "--help"]),
    ("good.csv", "--target label --tagret label", ["--tagret", "did you mean '--target'"]),
    ("good.csv", "--target label --with exits.py", ["exits.py does not import", "mend the file"]),
    ("good.csv", "--target label --with raises.py", ["ZeroDivisionError"]),
    ("good.csv", "--target label --with binary.py", ["binary.py does not import"]),
    ("good.csv", "--target label --with unnamed.py", ["'nothing' is no component"]),
    ("good.csv", "--target label --out afile", ["afile", "--out"]),
    ("good.csv", "--target label --out afile/run", ["afile/run", "--out"]),
    ("good.csv", "--target label --out other", ["not empty", "--out"]),
    ("good.csv", "--target label --out /proc/run", ["/proc/run"]),
    ("good.csv", f"--target label --out {'x' * 300}", ["too long", "choose a shorter path"]),
]


@pytest.mark.parametrize("verb", ["fit", "compare"])
@pytest.mark.parametrize(("name", "options", "parts"), UNFIT, ids=[f"{n} {options[:60]}" for n, options, _ in UNFIT])
def test_what_cannot_be_learnt(
    verb: str,
    name: str,
    options: str,
    parts: list[str],
    theta: Callable[..., Said],
    bad: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(bad)
    terms = {"fit": TINY[:2], "compare": SMALL[:2]}[verb]
    words = [verb, name, *options.split(), *terms]
    if verb == "compare" and "--seeds" not in words:
        words += ["--seeds", "1"]
    if "--epochs" not in words and "budget=3" not in words:
        words += ["--epochs", "1"]
    refused(theta, words, parts)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["fit", "good.csv", *LABEL, "--model", "sofmax"], ["did you mean 'softmax'"]),
        (["fit", "good.csv", *LABEL, "--method", "supervise"], ["did you mean 'supervised'"]),
        (["compare", "good.csv", *LABEL, "--models", "sofmax"], ["did you mean 'softmax'"]),
        (["compare", "good.csv", *LABEL, "--methods", "supervise"], ["did you mean 'supervised'"]),
        (["compare", "good.csv", *LABEL, "--trials", "-1"], ["--trials", "--help"]),
        (["compare", "good.csv", *LABEL, *SMALL, "measures=[]"], ["measures=[]"]),
        (["compare", "good.csv", *LABEL, *SMALL, "--recipes", "engine.yaml"], ["engine", "a mapping"]),
        (["fit", "--recipe", "torn.yaml"], ["torn.yaml is no YAML", "line 2", "mend the file"]),
        (["fit", "--recipe", "unknown.yaml"], ["'modl'", "did you mean 'model'"]),
        (["fit", "--recipe", "deep.yaml"], ["'wdths'", "did you mean 'widths'"]),
        (["fit", "--recipe", "budget.yaml"], ["budget: got 3", "a mapping"]),
        (["fit", "--recipe", "engine.yaml"], ["engine: got [1]", "a mapping"]),
        (["fit", "--recipe", "measures.yaml"], ["measures: got 3", "a list"]),
        (["fit", "--recipe", "format.yaml"], ["format 'new'", "update thetastar"]),
        (["fit", "--recipe", "code.yaml"], ["os.system", "mend the file"]),
        (["fit", "--recipe", "nowhere.yaml"], ["nowhere.yaml", "check the path"]),
        (["fit", "good.csv", *LABEL, *TINY, "--method", "population", "--algorithm", "lbfgs"], ["line search"]),
        (["list", "modls"], ["did you mean 'models'"]),
        (["list", "--with", "exits.py"], ["does not import"]),
        (["show", "mpl"], ["did you mean 'mlp'"]),
        (["show", ""], ["nothing is called ''"]),
        (["show"], ["missing argument", "--help"]),
        (["check", "exits.py"], ["does not import", "mend the file"]),
        (["check", "unnamed.py"], ["is no component"]),
        (["check", "good.csv"], ["no Python file"]),
        (["check", "other"], ["no file other", "check the path"]),
        (["runs", "afile"], ["no folder afile"]),
        (["runs", "--wher", "x"], ["did you mean '--where'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_slips_of_the_pen(
    words: list[str], parts: list[str], theta: Callable[..., Said], bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bad)
    refused(theta, words, parts)


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run and a comparison."""
    place = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(place)
        assert cli.main(["fit", "bars", *TINY, "--out", "run"]) == 0
        assert cli.main(["compare", "bars", *SMALL, "--out", "comparison"]) == 0
    return place


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


DAMAGE: list[tuple[str, bytes | None, list[str]]] = [
    ("model.safetensors", b"half", ["model.safetensors is damaged", "restore"]),
    ("model.safetensors", None, ["has lost model.safetensors", "restore"]),
    ("schema.json", b'{"schema":', ["schema.json is damaged", "restore"]),
    ("schema.json", None, ["has lost schema.json", "restore"]),
    ("recipe.yaml", b"data: [", ["recipe.yaml is damaged", "restore"]),
    ("measures.json", b'{"valid": {"acc', ["measures.json is damaged", "restore"]),
    ("measures.json", b'{"valid": 3}', ["measures.json is damaged", "restore"]),
    ("measures.json", None, ["has lost measures.json", "restore"]),
    ("provenance.json", b'{"format"', ["provenance.json is damaged", "restore"]),
    ("provenance.json", b"{}", ["provenance.json is damaged", "restore"]),
    ("provenance.json", b"\xff\xfe", ["provenance.json is damaged", "restore"]),
    ("provenance.json", None, ["no run folder", "theta fit"]),
]


@pytest.mark.parametrize(("file", "data", "parts"), DAMAGE, ids=[f"{file} {data!r}" for file, data, _ in DAMAGE])
def test_damaged_runs(file: str, data: bytes | None, parts: list[str], theta: Callable[..., Said], here: Path) -> None:
    path = here / "run" / file
    path.unlink() if data is None else path.write_bytes(data)
    for words in (["test", "run"], ["report", "run"], ["fit", "--resume", "run"]):
        refused(theta, words, parts)


def test_an_unfinished_run_names_the_way_on(theta: Callable[..., Said], here: Path) -> None:
    about = json.loads((here / "run/provenance.json").read_text())
    (here / "run/provenance.json").write_text(json.dumps({**about, "status": "started"}))
    (here / "run/model.safetensors").unlink()
    for verb in ("test", "report"):
        refused(theta, [verb, "run"], ["theta fit --resume run"])


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": 1', b"\xff\xfe"])
def test_damaged_comparisons(data: bytes, theta: Callable[..., Said], here: Path) -> None:
    (here / "comparison/verdict.json").write_bytes(data)
    refused(theta, ["report", "comparison"], ["verdict.json is damaged"])
    (here / "comparison/compare.json").write_bytes(data)
    refused(theta, ["compare", "bars", *SMALL, "--out", "comparison"], ["compare.json is damaged", "--out"])


def test_places_that_are_no_run(theta: Callable[..., Said], here: Path) -> None:
    (here / "empty").mkdir()
    for verb in ("test", "report"):
        refused(theta, [verb, "nowhere"], ["no run folder nowhere", "theta runs"])
        refused(theta, [verb, "empty"], ["no run folder"])
    refused(theta, ["test", "comparison"], ["is a comparison", "comparison/runs/softmax/seed-0"])
    refused(theta, ["compare", "bars", *SMALL, "--out", "run"], ["not empty", "--out"])
    refused(theta, ["fit", "bars", *TINY, "--out", "comparison"], ["not empty", "--out"])
    refused(theta, ["fit", "blobs", *TINY, "--out", "run"], ["another recipe", "--out"])


@pytest.mark.parametrize("condition", ["acuracy > 0", "valid.acuracy > 0", "(", "'", "seed = 'a'", "true; select 1"])
def test_conditions_that_are_no_sql(condition: str, theta: Callable[..., Said], here: Path) -> None:
    refused(theta, ["runs", ".", "--where", condition], ["--where", "; "])
    refused(theta, ["runs", ".", "--sort", f"seed; {condition}"], ["--sort"])


def test_one_damaged_run_does_not_hide_the_others(theta: Callable[..., Said], here: Path) -> None:
    shutil.copytree("run", "second")
    (here / "run/provenance.json").write_bytes(b"\xff\xfe")
    shutil.copytree("second", "third")
    (here / "third/provenance.json").write_text("{}")
    found = {row["run"]: row["status"] for row in json.loads(theta("runs", ".", "--json").out)}
    assert {name: found[name] for name in ("run", "second", "third")} == {
        "run": "damaged",
        "second": "finished",
        "third": "damaged",
    }


# --- what is odd, but works ------------------------------------------------------------------------------------------


def test_short_rows_are_named(theta: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quoted ends of lines are no rows, blank lines neither; what is short is said with its line."""
    monkeypatch.chdir(tmp_path)
    rows = [f"u,{number},1" if number % 2 else f"v,{number},2" for number in range(30)]
    rows[20], rows[25] = "u,1", "v"
    Path("short.csv").write_text("\n".join(["label,a,b", '"u",1,"x\ny"', "", *rows]))
    said = theta("fit", "short.csv", *LABEL, *TINY)
    assert said.code == 0, said.err
    assert "2 rows have fewer values than there are names, line 25 first" in said.err


def test_ten_thousand_columns(theta: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    wide = pd.DataFrame(random.normal(size=(20, 10_000)).astype(np.float32)).add_prefix("x")
    wide.assign(label=["u", "v"] * 10).to_parquet("wide.parquet")
    said = theta("fit", "wide.parquet", *LABEL, *TINY)
    assert said.code == 0, said.err
    assert "20,002 parameters" in said.out


# --- seeing inside, and searching -----------------------------------------------------------------------------------


@pytest.fixture
def inside(theta: Callable[..., Said], here: Path) -> Path:
    """A run of an mlp, one of a learner without steps, a comparison, and files that are read as models."""
    for name, text in {
        "empty.py": "",
        "code.py": "import os\nos.system('touch hack')\n",
        "torn.py": "nn.Sequential(nn.Linear(3, 3)",
        "layer.py": "nn.Sequential(nn.Conv2dd(3, 32, 3))",
        "misfit.py": "nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 6))",
        "huge.py": "nn.Sequential(nn.Linear(10**9, 10**9))",
        "good.py": "nn.Sequential(nn.Conv2d(3, 8, 3))",
    }.items():
        (here / name).write_text(text)
    (here / "binary.py").write_bytes(bytes(range(256)))
    (here / "folder").mkdir()
    assert theta("fit", "iris", "--model", "knn", "--out", "absorbed").code == 0
    return here


@pytest.mark.shows("X1")
def test_models_that_cannot_be_explained(theta: Callable[..., Said], inside: Path) -> None:
    for words, parts in (
        (["empty.py"], ["holds no Sequential"]),
        (["binary.py"], ["is no text"]),
        (["code.py"], ["line 1: import of os", "never run"]),
        (["torn.py"], ["line 1: '(' was never closed"]),
        (["layer.py"], ["did you mean 'Conv2d'"]),
        (["misfit.py"], ["write in_features=4"]),
        (["huge.py"], ["make it smaller"]),
        (["nowhere.py"], ["does not exist", "check the path"]),
        (["folder"], ["no run folder"]),
        (["comparison"], ["is a comparison", "comparison/runs/softmax/seed-0"]),
        (["cn"], ["did you mean 'cnn'"]),
        (["good.py", "width=3"], ["change it in the file"]),
        (["good.py", "--shape", "1,8,8"], ["write in_channels=1"]),
        (["cnn", "--shape", "0,3,3"], ["whole numbers ≥ 1"]),
        (["cnn", "--shape", "3,99999999999,3"], ["make it smaller"]),
        (["cnn", "--data", "digts"], ["did you mean 'digits'"]),
        (["cnn", "--target", "x"], ["--target without --data"]),
        (["cnn", "--batch", "9" * 20], ["--batch", "1073741824"]),
        (["cnn", "channels=[8]"], ["model.channels", "a list of 2, each an integer ≥ 1"]),
        (["cnn", "chanels=[8,8]"], ["did you mean 'channels'"]),
        (["run", "--shape", "3,3,3"], ["the run alone"]),
        (["random_forest"], ["theta fit DATA --model random_forest"]),
    ):
        refused(theta, ["explain", "model", *words], parts)


@pytest.mark.shows("F9")
def test_topics_that_cannot_be_explained(theta: Callable[..., Said], inside: Path) -> None:
    for words, parts in (
        (["backprp"], ["did you mean 'backprop'"]),
        (["../run"], ["unknown topic"]),
        (["backprop", "activation=rlu"], ["did you mean 'relu'"]),
        (["backprop", "activation=relu", "activation=tanh"], ["2 times", "once"]),
        (["backprop", "penalty=nan"], ["a number from 0 to 10"]),
        (["backprop", "absorbed"], ["a run with one loss"]),
        (["backprop", "comparison"], ["is a comparison"]),
        (["optimiser-step", "comparison"], ["is a comparison"]),
        (["optimiser-step", "folder"], ["no run folder"]),
        (["activations", "rlu"], ["unknown activation 'rlu'"]),
        (["jacobian", "sofmax"], ["did you mean 'softmax'"]),
        (["einsum", "ij,jk->iz"], ["'z' is in the output alone"]),
        (["einsum", "ij,jk->ik", "2,3", "4,5"], ["'j' is 3 and 4"]),
        (["einsum", "a" * 40], ["an operand of", "fewer letters"]),
        (["einsum", ",".join("abcdefghijklmnopqrstuvw")], ["products", "fewer letters"]),
        (["backprop", "--out", "x.pdf"], [".svg, .png, .html"]),
        (["backprop", "--out", "nowhere/x.svg"], ["no folder nowhere"]),
        (["einsum", "ij->ji", "--out", "x.svg"], ["an explanation with a drawing"]),
    ):
        refused(theta, ["explain", "topic", *words], parts)


@pytest.mark.shows("O6")
def test_runs_that_cannot_be_explained(theta: Callable[..., Said], inside: Path) -> None:
    (inside / "lost").mkdir()
    shutil.copytree("run", "lost", dirs_exist_ok=True)
    (inside / "lost" / "model.safetensors").unlink()
    for what in ("critical", "landscape"):
        for run, parts in (
            ("nowhere", ["no run folder nowhere", "theta runs"]),
            ("folder", ["no run folder"]),
            ("good.py", ["no run folder"]),
            ("lost", ["has lost model.safetensors", "restore"]),
            ("comparison", ["is a comparison"]),
            ("absorbed", ["a run with one loss"]),
        ):
            refused(theta, ["explain", "run", run, what], parts)
    for words, parts in (
        (["criticl"], ["did you mean 'critical'"]),
        (["critical", "run"], ["one run"]),
        (["critical", "--grid", "5"], ["--grid with critical"]),
        (["landscape", "run"], ["run twice"]),
        (["landscape", "--grid", "99999"], ["--grid", "501"]),
        (["landscape", "--examples", "0"], ["--examples", "2"]),
        (["landscape", "--out", "folder"], [".svg, .png, .html"]),
        (["landscape", "--out", "nowhere/x.svg"], ["no folder nowhere"]),
    ):
        refused(theta, ["explain", "run", "run", *words], parts)


def test_places_that_no_page_can_take(theta: Callable[..., Said], inside: Path) -> None:
    for place, parts in (
        ("folder", ["is a folder"]),
        ("empty.py/x.html", ["empty.py is no folder"]),
        ("", ["is a folder"]),
    ):
        refused(theta, ["look", "bars", "--out", place], parts)
    refused(theta, ["report", "run", "--out", "folder"], ["Is a directory"])


@pytest.mark.shows("O10")
@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        (["--augment", "flop"], ["did you mean 'flip'"]),
        (["--augment", ""], ["--augment crop,flip"]),
        (["--augment", "{name: flip, q: 2}"], ["no argument 'q'"]),
        (["--augment", "{name: flip, p: 2}"], ["got 2", "≤ 1"]),
        (["--augment", "{name: rotate, degrees: .nan}"], ["got nan", "finite"]),
        (["--augment", "3"], ["got 3", "a name"]),
        (["--augment", "[flip"], ["a YAML value"]),
        (["data.augment=3"], ["data.augment: got 3", "a name"]),
    ],
    ids=" ".join,
)
def test_changes_that_no_image_knows(
    asked: list[str], parts: list[str], theta: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(theta, ["look", "bars", *asked], parts)


SEARCHED: list[tuple[list[str], list[str]]] = [
    (["nowhere.csv"], ["does not exist", "check the path"]),
    (["empty.csv", *LABEL], ["is empty"]),
    (["binary.csv", *LABEL], ["not UTF-8"]),
    (["good.csv", "--target", "labl"], ["did you mean 'label'"]),
    (["good.csv", *LABEL, "--model", "sofmax"], ["did you mean 'softmax'"]),
    (["good.csv", *LABEL, "--model", "mlp", "--out", "other"], ["not empty", "--out"]),
    (["good.csv", *LABEL, "--model", "mlp", "--out", "afile"], ["afile", "--out"]),
    (["--recipe", "torn.yaml"], ["torn.yaml is no YAML", "mend the file"]),
    (["--recipe", "unknown.yaml"], ["did you mean 'model'"]),
    (["--recipe", "code.yaml"], ["os.system", "mend the file"]),
    (["--recipe", "nothing"], ["nothing holds no recipes"]),
]


@pytest.mark.parametrize(("words", "parts"), SEARCHED, ids=[" ".join(words) for words, _ in SEARCHED])
def test_what_cannot_be_tuned(
    words: list[str], parts: list[str], theta: Callable[..., Said], bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bad)
    refused(theta, ["tune", *words, "--trials", "2", "--epochs", "1"], parts)
