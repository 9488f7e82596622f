"""Two processes take the step that one takes on both halves of the batch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from thetastar import equation, registry, resume
from thetastar.defaults import completed, open_stream
from thetastar.distribution import World
from thetastar.errors import UserError
from thetastar.functional.keys import keyed, reseed
from thetastar.protocols import Aux, Clock, Program, Stream
from thetastar.recipe import Recipe
from thetastar.snapshot import load_checkpoint, load_tensors, save_checkpoint, save_tensors
from thetastar.star import load, train
from thetastar.watch import Watch

SGD = {"name": "sgd", "lr": 0.05, "momentum": 0.9, "schedule": None}
PLAIN = {"precision": "float32", "device": "cpu"}


def recipe_of(**parts: Any) -> Recipe:
    given = {"algorithm": SGD, "budget": {"steps": 12}, "engine": PLAIN, "seed": 4, **parts}
    return Recipe(**given)


# batches of 25 leave a last one of 20: halves of 13 and 12, of different weights too
MLP = {"name": "mlp", "widths": [16]}
BARS = {"name": "bars", "rows": 150, "batch_size": 25, "valid": 0.2}
WEIGHED = recipe_of(
    data={**BARS, "test": 0.0},
    model=MLP,
    method={"name": "supervised", "class_weights": "balanced"},
    algorithm={**SGD, "clip": 0.5, "ema": 0.8, "weight_decay": 0.01},
)
KEPT = WEIGHED.replace(engine={**PLAIN, "checkpoint": 1e-3})
RANDOM = {
    "dropout": recipe_of(data=BARS, model={**MLP, "dropout": 0.3}, method="supervised"),
    "population": recipe_of(data=BARS, model={**MLP, "dropout": 0.3}, method={"name": "population", "members": 2}),
    "gan": recipe_of(
        data={"name": "blobs", "rows": 100, "batch_size": 25},
        model=MLP,
        method={"name": "gan", "generator": {"name": "mlp", "widths": [16]}, "latent": 4, "critic_steps": 2},
        algorithm={**SGD, "lr": 0.01},
        measures=[],
    ),
    "moco": recipe_of(
        data={"name": "views", "source": {"name": "bars", "rows": 150}, "batch_size": 25},
        model=MLP,
        method={"name": "moco", "queue": 40, "hidden": 16, "outputs": 8, "momentum": 0.9},
        measures=[],
    ),
}


# --- what each process does -----------------------------------------------------------------------------------------


def started(recipe: Recipe) -> equation.Training:
    stream = open_stream(recipe.data)
    recipe = completed(recipe, stream)
    training = equation.Training(recipe, stream, equation.assemble(recipe, stream.schema), None, Watch())
    training.begin()
    return training


def go(training: equation.Training, to: int) -> equation.Training:
    """Steps on this rank's parts of the run's batches."""
    for t, batch in batches(training.stream, training.recipe.seed, to, training.step):
        training.one_step([training.world.part(batch)])
        assert training.clock().step == t.step + 1
    return training


def batches(stream: Stream, seed: int, steps: int, first: int = 0):
    for step in range(first, steps):
        epoch, number = divmod(step, stream.length("train"))
        t = Clock(seed, step, steps, epoch)
        yield t, next(stream.batches("train", t, number))


def tensors(training: equation.Training) -> dict[str, Tensor]:
    return training.world.collect(training.program, training.whole).state_dict()


def poisoned(recipe: Recipe, world: World) -> dict[str, Tensor]:
    """A step whose second half alone is not finite, between two good ones."""
    training = started(recipe)
    for t, batch in batches(training.stream, recipe.seed, 3):
        if t.step == 1:
            batch["input"][-1] = torch.nan
        training.one_step([world.part(batch)])
    return tensors(training) | {"taken": torch.stack(training.trace.columns["finite"])}


def work(rank: int, folder: Path) -> None:
    """All cases, one after the other; what comes out goes to files."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    world = World.current()
    save = lambda name, found: save_tensors(folder / f"{name}.{rank}.safetensors", found)  # noqa: E731
    for name, recipe in RANDOM.items():
        save(name, tensors(go(started(recipe), 12)))
    outcome = equation.fit(WEIGHED)
    save("weighed", outcome.program.state_dict() | {"accuracy": torch.tensor(outcome.values["accuracy"])})
    windows = WEIGHED.replace(engine={**PLAIN, "accumulate": 3})
    save("windows", equation.fit(windows).program.state_dict())
    save("poisoned", poisoned(WEIGHED, world))
    part = go(started(WEIGHED), 5)
    tree = resume.state(part)
    save_checkpoint(folder / f"state{rank}", "step-000000005", tree)
    again = started(WEIGHED)
    resume.restore(again, load_checkpoint(folder / f"state{rank}" / "step-000000005"))
    save("resumed", tensors(go(again, 12)))
    save("whole", tensors(go(started(WEIGHED), 12)))
    star = train(KEPT, folder / "run")
    save("star", star.program.state_dict())
    World.weigh = lambda self, said, batch: said  # type: ignore[method-assign]
    save("unweighed", equation.fit(WEIGHED).program.state_dict())
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    work(int(sys.argv[1]), Path(sys.argv[2]))
    sys.exit()


# --- what must come of it -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left; they meet over a file, so no port is taken."""
    path = tmp_path_factory.mktemp("world")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    commands = [[sys.executable, __file__, str(rank), str(path)] for rank in range(2)]
    running = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for command in commands
    ]
    try:
        said = [process.communicate(timeout=120)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], "\n".join(said)[-4000:]
    return path


@pytest.fixture
def found(folder: Path) -> Callable[[str], dict[str, Tensor]]:
    """What a case left on the first rank, once both ranks are seen to agree to the bit."""

    def of(name: str) -> dict[str, Tensor]:
        first, second = (load_tensors(folder / f"{name}.{rank}.safetensors") for rank in range(2))
        assert all(torch.equal(value, second[key]) for key, value in first.items())
        return first

    return of


def close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=2e-5, rtol=1e-4)


def both_halves(recipe: Recipe, steps: int = 12) -> dict[str, Tensor]:
    """One process, torch's SGD by hand: each half with the key of its rank, gradients weighed by examples."""
    stream = open_stream(recipe.data)
    recipe = completed(recipe, stream)
    program = equation.assemble(recipe, stream.schema).train()
    moves = program.method.moves(program.f)
    optimisers = {
        m.name: torch.optim.SGD(m.parameters.values(), lr=recipe.algorithm["lr"], momentum=0.9) for m in moves
    }
    for t, batch in batches(stream, recipe.seed, steps):
        said = {}
        for move in moves:
            if t.step % move.every:
                continue
            optimisers[move.name].zero_grad()
            carries = [half_step(program, move.name, batch, t, rank) for rank in range(2)]
            optimisers[move.name].step()
            said[move.name] = Aux(carry={name: torch.cat([c[name] for c in carries]) for name in carries[0]})
        program.method.observe(program.f, said, t)
    return program.state_dict()


def half_step(program: Program, move: str, batch: Any, t: Clock, rank: int) -> dict[str, Tensor]:
    half, here = World(rank, 2).part(batch), t.at(0, rank)
    key = here.key(move, 0)
    reseed(key)
    with keyed(torch.tensor(key)):
        value, aux = program(move, half, here)
    (value * len(half["input"]) / len(batch["input"])).backward()
    return aux.carry


@pytest.mark.parametrize("name", list(RANDOM))
def test_two_processes_are_one_with_both_halves(name: str, found: Callable[[str], dict[str, Tensor]]) -> None:
    close(both_halves(RANDOM[name]), found(name))


def test_nothing_random_nothing_differs_from_one_process(found: Callable[[str], dict[str, Tensor]]) -> None:
    """Weighted means over ragged halves, clipping, decay and averaged weights: the run of a single process."""
    alone = equation.fit(WEIGHED)
    close(alone.program.state_dict() | {"accuracy": torch.tensor(alone.values["accuracy"])}, found("weighed"))


def test_plain_means_over_ranks_are_another_risk(found: Callable[[str], dict[str, Tensor]]) -> None:
    """Without their weights, halves that weigh differently count the same."""
    weighed, unweighed = found("weighed"), found("unweighed")
    assert max((weighed[name] - value).abs().max() for name, value in unweighed.items()) > 1e-3


def test_accumulated_parts_keep_their_weights(found: Callable[[str], dict[str, Tensor]]) -> None:
    close(equation.fit(WEIGHED.replace(engine={**PLAIN, "accumulate": 3})).program.state_dict(), found("windows"))


def test_all_ranks_refuse_a_step_that_one_cannot_take(found: Callable[[str], dict[str, Tensor]]) -> None:
    left = found("poisoned")
    assert left.pop("taken").tolist() == [True, False, True]
    assert all(value.isfinite().all() for value in left.values() if value.is_floating_point())


def test_an_interrupted_run_resumes_to_the_same_bits(found: Callable[[str], dict[str, Tensor]]) -> None:
    whole, resumed = found("whole"), found("resumed")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_the_run_folder_is_that_of_a_single_process(
    folder: Path, tmp_path: Path, found: Callable[[str], dict[str, Tensor]]
) -> None:
    """Written once; its trace says the loss over all examples."""
    star, alone = load(folder / "run"), train(KEPT, tmp_path / "alone")
    close(star.program.state_dict(), found("star"))
    assert star.measures["valid"]["nll"] == pytest.approx(alone.measures["valid"]["nll"], abs=1e-4)
    assert star.run
    assert alone.run
    rows, expected = star.run.trace(), alone.run.trace()
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in expected], abs=1e-5)
    assert [row["gradient_norm"] for row in rows] == pytest.approx([row["gradient_norm"] for row in expected], abs=1e-4)
    assert len(list((folder / "run" / "state").iterdir())) == 1
    x = alone.stream.sample("valid", 10)["input"]
    assert (star.predict(x) == alone.predict(x)).all()


# --- what is refused ------------------------------------------------------------------------------------------------


def test_parts_are_the_batch_cut_in_order() -> None:
    batch = {"input": torch.arange(7), "inner": {"input": torch.arange(4) * 10}, "scale": torch.tensor(2.0)}
    parts = [World(rank, 3).part(batch) for rank in range(3)]
    assert torch.equal(torch.cat([part["input"] for part in parts]), batch["input"])
    assert [len(part["input"]) for part in parts] == [3, 2, 2]
    assert torch.equal(torch.cat([part["inner"]["input"] for part in parts]), batch["inner"]["input"])
    assert all(part["scale"] == 2 for part in parts)


def test_a_batch_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(UserError, match="2 examples for 3 processes"):
        World(0, 3).part({"input": torch.zeros(2)})
    with pytest.raises(UserError, match="'edges' has 9 rows"):
        World(0, 2).part({"input": torch.zeros(4), "edges": torch.zeros(9, 2)})


@pytest.mark.parametrize(
    ("model", "method", "reason"),
    [({**MLP, "norm": "batch"}, "supervised", "batch norm on a CPU"), (MLP, "byol", "couples the examples")],
)
def test_what_halves_would_change_is_refused(model: Any, method: str, reason: str) -> None:
    stream = open_stream(BARS)
    recipe = completed(recipe_of(data=BARS, model=model, method=method, measures=[]), stream)
    with pytest.raises(UserError, match=reason):
        World(0, 2).shard(equation.assemble(recipe, stream.schema))


def test_nothing_to_train_is_refused() -> None:
    program = Program(nn.Identity(), registry.build("methods", "supervised"))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="without parameters"):
        World(0, 2).shard(program)
