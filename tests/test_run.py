"""The run folder: killed at any moment it resumes to the same bits; what is damaged, half written or full is said."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from thetastar import cli, star
from thetastar.data.table import table
from thetastar.errors import UserError
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.watch import Watch

# dropout, batch norm, augmentation, a ragged last batch, several epochs, the best weights kept: all that must come back
RECIPE = Recipe(
    data={"name": "bars", "rows": 90, "batch_size": 16, "augment": ["crop", "noise"]},
    model={"name": "mlp", "widths": [12], "dropout": 0.4, "norm": "batch"},
    algorithm={"name": "adamw", "lr": 0.01},
    budget={"epochs": 5},
    engine={"precision": "float32", "device": "cpu", "keep": "best", "checkpoint": 1e-9},
    seed=3,
)


def sha(run: Path) -> str:
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undisturbed run."""
    place = tmp_path_factory.mktemp("runs") / "whole"
    star.train(RECIPE, place)
    return place


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many files an undisturbed run writes, checkpoints included."""
    with counted(lambda count: None) as counter:
        star.train(RECIPE, tmp_path_factory.mktemp("runs") / "counted")
    return counter[0]


@contextlib.contextmanager
def counted(hear: Callable[[int], None]) -> Iterator[list[int]]:
    """Tell how many files were put in their place, just before each of them."""
    counter, plain = [0], Path.replace

    def replace(self: Path, target: Path) -> Path:
        counter[0] += 1
        hear(counter[0])
        return plain(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        yield counter


Killer = Callable[..., bool]


@pytest.fixture(scope="module")
def kill() -> Iterator[Killer]:
    """Trains in a process of its own, killed at the given file; whether it was."""
    script = Path(__file__).with_name("killing.py")
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def order(place: Path, moment: int, after: bool = False) -> bool:
            words = {"recipe": RECIPE.to_yaml(), "place": str(place), "moment": moment, "after": after}
            print(json.dumps(words), file=server.stdin, flush=True)
            return int(server.stdout.readline()) == signal.SIGKILL

        yield order
        server.stdin.close()


# the first checkpoints, some in the middle drawn once, and everything that a finished run writes, from the last back
MOMENTS = [3, 4, 5, 7, 17, 36, 41, 55, *range(-11, 1)]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_any_file_resumes_to_the_same_bits(
    moment: int, after: bool, whole: Path, files: int, kill: Killer, tmp_path: Path
) -> None:
    """Files 1 and 2 are recipe and provenance, without which there is no run; then three a checkpoint."""
    place = tmp_path / "run"
    assert kill(place, moment if moment > 0 else files + moment, after)
    assert Run.open(place).finished == (moment == 0 and after)
    star.train(RECIPE, place)
    assert sha(place) == sha(whole)
    assert Run.open(place).measures["valid"] == Run.open(whole).measures["valid"]
    assert rows(place) == rows(whole)
    assert not list(place.glob("**/*.part"))


def rows(place: Path) -> list[dict[str, object]]:
    """The trace without its times."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in Run.open(place).trace()]


def test_a_run_killed_before_it_is_one_leaves_a_place_to_start_anew(whole: Path, kill: Killer, tmp_path: Path) -> None:
    place = tmp_path / "run"
    for moment in (1, 2):
        assert kill(place, moment)
        with pytest.raises(UserError, match="no run folder"):
            Run.open(place)
    star.train(RECIPE, place)
    assert sha(place) == sha(whole)


MORTAL = '''
"""A perceptron that is killed once."""
import os, signal
from pathlib import Path
from thetastar.models.mlp import mlp
from thetastar.protocols import Model

__all__ = ["mortal"]


class mortal(Model):
    """f(x) of a perceptron with dropout, killed once in the middle of a step.

    Args:
        marker: a file; where it is not, it is made and the process killed.
        step: after so many forward passes.
    """

    def __init__(self, schema, *, marker: str, step: int = 7):
        super().__init__()
        self.inner = mlp(schema, widths=(12,), dropout=0.4)
        self.head, self.width = self.inner.head, self.inner.width
        self.marker, self.left = Path(marker), step

    def features(self, x):
        self.left -= self.training
        if self.left == 0 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.inner.features(x)
'''


def test_kill_and_resume_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "mortal.py").write_text(MORTAL)
    words = (
        "bars --with mortal.py --model mortal model.marker=gone data.augment=[noise] --steps 12 engine.checkpoint=1e-9"
    )

    command = [sys.executable, "-m", "thetastar.cli", "fit", *words.split(), "--out", "run"]
    killed = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert cli.main(["fit", "--resume", "run", "--with", "mortal.py"]) == 0
        assert cli.main(["fit", *words.split(), "--out", "whole"]) == 0
    assert sha(tmp_path / "run") == sha(tmp_path / "whole")


def test_a_budget_in_seconds_is_planned_once(tmp_path: Path) -> None:
    """A resume keeps the number of steps that the first part of the run settled on."""
    recipe = RECIPE.replace(budget={"seconds": 0.3})

    class Leave(Watch):
        def step(self, step: int, steps: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        star.train(recipe, tmp_path / "run", watch=Leave())
    (saved,) = (tmp_path / "run/state").glob("step-*")
    planned = json.loads((saved / "rest.json").read_text())["facts"]["planned_steps"]
    made = star.train(recipe, tmp_path / "run")
    assert made.facts["planned_steps"] == planned
    assert made.recipe.budget == {"seconds": 0.3}


# --- what is damaged or half written -------------------------------------------------------------------------------


def refused(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that the command line says, with exit code 2."""
    capfd.readouterr()
    assert cli.main(list(words)) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("theta: ")
    assert said.err.count("\n") == 1, said.err
    return said.err


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


@pytest.fixture
def begun(kill: Killer, tmp_path: Path) -> Path:
    """A run that was killed in the middle."""
    assert kill(tmp_path / "begun", 40, after=True)
    return tmp_path / "begun"


@pytest.mark.parametrize(
    "name", ["recipe.yaml", "schema.json", "measures.json", "provenance.json", "model.safetensors"]
)
def test_a_half_written_run_is_one_line(name: str, copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (copy / name).unlink()
    assert name in refused(capfd, "test", str(copy))


def test_an_unfinished_run_says_how_to_go_on(begun: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert f"theta fit --resume {begun}" in refused(capfd, "test", str(begun))
    assert f"theta fit --resume {begun}" in refused(capfd, "predict", str(begun), __file__)


@pytest.mark.parametrize("name", ["recipe.yaml", "schema.json", "model.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_flipped_bit_in_a_finished_run_is_noticed(
    name: str, share: float, copy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flip(copy / name, share)
    line = refused(capfd, "test", str(copy))
    assert name in line
    assert "damaged" in line


@pytest.mark.parametrize("name", ["tensors.safetensors", "rest.json", "seal.json"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_flipped_bit_in_a_checkpoint_is_noticed(
    name: str, share: float, begun: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (saved,) = (begun / "state").glob("step-*")
    flip(saved / name, share)
    assert str(saved) in refused(capfd, "fit", "--resume", str(begun))
    shutil.rmtree(saved)  # as the line advises: from the start, to the same bits
    assert cli.main(["fit", "--resume", str(begun)]) == 0


def flip(path: Path, share: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(share * (len(data) - 1))] ^= 4
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 99}', '{"status": "finished"}', "\x00\x01"])
def test_provenance_that_says_nothing_is_one_line(text: str, copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (copy / "provenance.json").write_text(text)
    assert str(copy) in refused(capfd, "test", str(copy))


def test_other_data_than_before_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table.csv"
    table.write_text("a,b\n" + "\n".join(f"{i},{i % 7}" for i in range(60)))
    recipe = Recipe(data={"name": str(table), "target": "b", "task": "regression"}, model="linear")
    star.train(recipe, tmp_path / "run")
    table.write_text(table.read_text().replace("9,2", "9,5"))
    assert "changed" in refused(capfd, "test", str(tmp_path / "run"))


def test_another_recipe_does_not_pass_for_this_one(whole: Path) -> None:
    with pytest.raises(UserError, match="another recipe"):
        star.train(RECIPE.replace(seed=4), whole)


# --- full disks and closed doors -----------------------------------------------------------------------------------


def failing(number: int) -> Callable[[int], None]:
    def hear(count: int) -> None:
        if count >= 20:
            raise OSError(number, os.strerror(number), "state/tensors.safetensors.part")

    return hear


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_a_disk_that_fills_up_is_one_line_and_keeps_what_was_done(
    number: int, whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE.to_yaml())
    place = tmp_path / "run"
    with counted(failing(number)):
        assert cli.main(["fit", "--recipe", str(tmp_path / "recipe.yaml"), "--out", str(place)]) == 2
    said = capfd.readouterr().err
    assert said.splitlines()[-1].startswith(f"theta: {os.strerror(number)}")
    assert "Traceback" not in said
    assert len(list((place / "state").glob("step-*"))) == 1
    star.train(RECIPE, place)
    assert sha(place) == sha(whole)


def test_a_limit_on_file_sizes_is_one_line(tmp_path: Path) -> None:
    """The system itself refuses to write more: no file of the run folder is torn."""

    program = """
import resource, sys
from thetastar.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
sys.exit(main(["fit", "bars", "--model", "mlp", "--epochs", "1", "--out", "run"]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("theta: File too large")
    assert not list((tmp_path / "run").glob("**/*.safetensors"))


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    assert "--out" in refused(capfd, "fit", "bars", "--epochs", "1", "--out", str(tmp_path / "file/run"))

    def mkdir(self: Path, *args: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    assert "Permission denied" in refused(capfd, "fit", "bars", "--epochs", "1", "--out", str(tmp_path / "run"))


def test_values_that_json_cannot_say_are_null(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    run.write_json("measures.json", {"valid": {"nll": float("nan"), "accuracy": 0.5}})
    assert json.loads((run.path / "measures.json").read_text(), parse_constant=pytest.fail) == {
        "valid": {"nll": None, "accuracy": 0.5}
    }


def test_a_finished_run_is_not_the_answer_to_other_data(tmp_path: Path) -> None:
    """Arrays have no name, and a file may be another one by now: the content decides."""
    x = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    first, second = (x[:, 0] > 0).astype(int), (x[:, 1] > 0).astype(int)
    trained = star.fit((x, first), "softmax", epochs=1, out=tmp_path / "run")
    again = star.fit((x, first), "softmax", epochs=1, out=tmp_path / "run")
    assert torch.equal(trained.program.f.head.weight, again.program.f.head.weight)
    assert again.test().keys() == trained.measures["valid"].keys(), "its data are at hand"
    with pytest.raises(UserError, match="data have changed"):
        star.fit((x, second), "softmax", epochs=1, out=tmp_path / "run")
    complete = trained.recipe
    with pytest.raises(UserError, match="data have changed"):
        star.train(
            complete.replace(data={**complete.data, "source": {**complete.data["source"], "targets": second}}),
            tmp_path / "run",
        )


def test_a_run_whose_state_another_version_wrote_is_refused_in_one_line(tmp_path, monkeypatch):
    frame = pd.DataFrame({"x": range(30), "y": ["u", "v", "v"] * 10, "z": [1.5, 2.5, 0.5] * 10})
    made = star.fit(frame, target="y", model="softmax", epochs=1)
    monkeypatch.setattr(table, "state", lambda self: {"title": "of old", "columns": []})
    made.save(tmp_path / "old")
    with pytest.raises(UserError, match=r"schema\.json has no entry 'target': another version of thetastar wrote it"):
        star.load(tmp_path / "old")


def test_a_run_folder_is_no_data(tmp_path):
    star.fit("bars", model="softmax", steps=1).save(tmp_path / "run")
    with pytest.raises(UserError, match="run is a run folder; expected data; give its data"):
        star.fit(str(tmp_path / "run"))


def test_a_star_says_what_it_is():
    made = star.fit("bars", model="softmax", steps=1)
    assert repr(made) == f"<θ* softmax · supervised · adamw: {made.parameters:,} parameters>"
