"""How steps are carried out: in parts, after memory ran out, in which precision, compiled; a resume keeps to it."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thetastar import cli, compiling, equation, star
from thetastar.algorithms.sgd import sgd
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.functional.nested import cut, divisible
from thetastar.methods.supervised import supervised
from thetastar.recipe import Recipe
from thetastar.run import Run
from thetastar.watch import Watch

DATA = {"name": "resident", "source": {"name": "bars", "rows": 90}, "batch_size": 32, "valid": 0.0, "test": 0.0}


def recipe(**changes: Any) -> Recipe:
    base = Recipe(
        data=DATA,
        model={"name": "mlp", "widths": [16]},
        algorithm={"name": "sgd", "lr": 0.05},
        measures=[],
        budget={"epochs": 2},
        seed=3,
    )
    engine = {"precision": "float32", "device": "cpu", **changes.pop("engine", {})}
    return base.replace(engine=engine, **changes)


def weights(outcome: equation.Outcome) -> dict[str, torch.Tensor]:
    return outcome.program.state_dict()


def close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    for key in one:
        torch.testing.assert_close(one[key], other[key], rtol=1e-4, atol=1e-6)


def same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


class Ear(Watch):
    def __init__(self, stop: int | None = None) -> None:
        self.said: list[str] = []
        self.stop = stop

    def say(self, line: str) -> None:
        self.said.append(line)

    def step(self, step: int, steps: int) -> None:
        if step == self.stop:
            raise KeyboardInterrupt


# --- parts -----------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 20), parts=st.integers(1, 25))
def test_the_parts_of_a_batch_are_even_and_in_order(rows: int, parts: int) -> None:
    batch = {"input": {"table": torch.arange(rows), "image": torch.rand(rows, 2)}, "scale": torch.tensor(2.0)}
    pieces = cut(batch, parts)
    sizes = [len(piece["input"]["table"]) for piece in pieces]
    assert len(pieces) == min(parts, rows)
    assert max(sizes) - min(sizes) <= 1
    assert torch.cat([piece["input"]["table"] for piece in pieces]).equal(torch.arange(rows))
    assert torch.cat([piece["input"]["image"] for piece in pieces]).equal(batch["input"]["image"])
    assert all(piece["scale"] is batch["scale"] for piece in pieces)
    assert divisible(batch)
    assert not divisible({**batch, "unlabelled": torch.rand(rows + 1, 2)})


@settings(max_examples=8, deadline=None)
@given(micro=st.integers(2, 40), accumulate=st.integers(1, 3), balanced=st.booleans())
def test_a_step_in_parts_is_the_step_of_the_whole(micro: int, accumulate: int, balanced: bool) -> None:
    """With class weights parts count by their weights; 90 rows in batches of 32 leave a ragged one."""
    method = {"name": "supervised", "class_weights": "balanced" if balanced else "none"}
    whole = equation.fit(recipe(method=method, engine={"accumulate": accumulate}))
    parts = equation.fit(recipe(method=method, engine={"accumulate": accumulate, "micro": micro}))
    assert parts.facts["micro"] == micro
    close(weights(whole), weights(parts))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": {"name": "mlp", "widths": [16], "norm": "batch"}}, "batch norm"),
        ({"data": {"name": "views", "source": "bars"}, "method": "byol"}, "byol, whose loss couples"),
        ({"method": {"name": "population", "members": 2}}, "members"),
    ],
)
def test_what_the_parts_of_a_batch_cannot_add_up_to_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=f"engine.micro=2 .*{reason}"):
        equation.fit(recipe(engine={"micro": 2}, **changes))


# --- memory ----------------------------------------------------------------------------------------------------------


class Backward(torch.autograd.Function):
    """The identity, whose backward pass finds no memory."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def on_the_host() -> RuntimeError:
    text = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"
    return RuntimeError(f"{text} allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)")


def limited(patch: pytest.MonkeyPatch, rows: int, where: str = "forward", after: int = 0) -> None:
    """From step `after` on there is memory for so many rows."""
    plain = supervised.loss

    def loss(self, f, batch, t):
        value, aux = plain(self, f, batch, t)
        if len(batch["target"]) <= rows or t.step < after:
            return value, aux
        if where == "backward":
            return Backward.apply(value), aux
        raise on_the_host() if where == "host" else torch.OutOfMemoryError("CUDA out of memory.")

    patch.setattr(supervised, "loss", loss)


@pytest.mark.parametrize("where", ["forward", "backward", "host"])
def test_where_memory_runs_out_batches_are_halved_until_they_fit(where: str, monkeypatch) -> None:
    whole = equation.fit(recipe())
    limited(monkeypatch, 9, where)
    ear = Ear()
    parts = equation.fit(recipe(), watch=ear)
    close(weights(whole), weights(parts))
    assert parts.facts["micro"] == 4
    assert [line.split(" parts")[0][-1] for line in ear.said] == ["2", "4"]
    assert "out of memory at step 0 with 32 examples" in ear.said[0]


@pytest.mark.parametrize("cut_at", [3, 6])
def test_a_run_that_met_the_end_of_memory_resumes_to_the_same_bits(cut_at: int, monkeypatch, tmp_path: Path) -> None:
    asked = recipe(engine={"checkpoint": 1e-9}, model={"name": "mlp", "widths": [16], "dropout": 0.3})
    limited(monkeypatch, 16, after=4)
    whole = equation.fit(asked)
    run, ear = Run.create(tmp_path / "run"), Ear()
    with pytest.raises(KeyboardInterrupt):
        equation.fit(asked, run=run, watch=Ear(stop=cut_at))
    parts = equation.fit(asked, run=run, watch=ear)
    assert same_bits(weights(whole), weights(parts))
    assert parts.facts["micro"] == whole.facts["micro"] == 2
    assert len(ear.said) == (1 if cut_at < 4 else 0), "what is known is not found out again"


def test_where_a_batch_must_stay_together_one_line_says_what_helps_and_nothing_is_lost(
    monkeypatch, tmp_path: Path
) -> None:
    asked = recipe(model={"name": "mlp", "widths": [16, 16], "norm": "batch"}, engine={"checkpoint": 1e-9})
    whole = star.train(asked)
    with pytest.MonkeyPatch.context() as patch:
        limited(patch, 16, after=4)
        with pytest.raises(UserError) as caught:
            star.train(asked, tmp_path / "run")
    words = str(caught.value)
    assert "\n" not in words
    for word in ("step 4", "32 examples", "batch norm", "engine.recompute", "data.batch_size", "engine.accumulate"):
        assert word in words
    assert f"theta fit --resume {tmp_path / 'run'}" in words
    latest = Run.open(tmp_path / "run").latest()
    assert latest is not None
    assert latest["step"] == 4
    again = star.train(asked, tmp_path / "run")
    assert same_bits(whole.program.state_dict(), again.program.state_dict())


def test_a_single_example_that_does_not_fit_ends_the_run(monkeypatch) -> None:
    limited(monkeypatch, 0)
    with pytest.raises(UserError, match="out of memory at step 0: 1 examples at once; expected"):
        equation.fit(recipe())


def test_no_step_is_tried_again_that_may_be_half_taken(monkeypatch) -> None:
    def step(self, optimiser, allowed):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(sgd, "_step", step)
    with pytest.raises(UserError, match="the update itself"):
        equation.fit(recipe())


def test_another_error_stays_what_it_is(monkeypatch) -> None:
    def loss(self, f, batch, t):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(supervised, "loss", loss)
    with pytest.raises(RuntimeError, match="mat1"):
        equation.fit(recipe())


# --- precision -------------------------------------------------------------------------------------------------------


def test_float32_is_float32_whatever_was_set_before() -> None:
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    assert equation.fit(recipe()).facts["precision"] == "float32"
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32


def test_fewer_digits_in_products_are_refused_where_nothing_has_them() -> None:
    with pytest.raises(UserError, match=r"engine\.precision=tf32 on cpu"):
        equation.fit(recipe(engine={"precision": "tf32"}))


# --- compiling -------------------------------------------------------------------------------------------------------


def prepared(asked: Recipe, watch: Watch | None = None) -> equation.Training:
    stream = open_stream(asked.data)
    full = completed(asked, stream)
    training = equation.Training(full, stream, equation.assemble(full, stream.schema), None, watch or Watch())
    training.begin()
    return training


@settings(max_examples=50, deadline=None)
@given(steps=st.integers(1, 10**7), seconds=st.floats(1e-5, 10.0), layers=st.integers(1, 1000))
def test_compiling_pays_from_some_length_of_the_run_on(steps: int, seconds: float, layers: int) -> None:
    paid, said = compiling.worth(steps, seconds, layers, 0.2)
    cost = compiling.COLD + compiling.EACH_LAYER * layers
    assert paid == (0.2 * steps * seconds > cost)
    assert compiling.worth(2 * steps, seconds, layers, 0.2)[0] >= paid
    assert f"{cost:.0f} s" in said


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_the_arithmetic_of_a_step_is_that_of_its_products(model: str) -> None:
    """Twice a multiplication and an addition per weight and place it is used at, forward; twice as much backward."""
    training = prepared(recipe(model={"name": "mlp", "widths": [16]} if model == "mlp" else model))
    total, places = 0, {}

    def note(layer, inputs, output) -> None:
        places[layer] = output.numel() // (output.shape[1] * len(output))

    f = training.program.f
    layers = [layer for layer in f.modules() if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    batch = next(iter(training.stream.batches("train", training.clock())))
    f(batch["input"])
    for hook in hooks:
        hook.remove()
    for layer in layers:
        total += 6 * layer.weight.numel() * places[layer] * len(batch["input"])
    before = copy.deepcopy(training.program.state_dict())
    assert compiling.arithmetic(training) == pytest.approx(total, rel=1e-9)
    assert same_bits(before, training.program.state_dict()), "counting leaves no trace"


def test_on_a_cpu_nothing_is_compiled_unasked() -> None:
    facts = equation.fit(recipe()).facts
    assert facts["compiled"] is False
    assert "CPU" in facts["compiled_because"]


@pytest.fixture
def graphs(monkeypatch) -> Callable[[], int]:
    """Graphs are taken and split into forward and backward as for any compiler, but run as they are."""
    from torch._dynamo.utils import counters

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    counters.clear()
    return lambda: counters["stats"]["unique_graphs"]


def test_compiled_steps_are_the_same_steps_of_the_same_program(graphs) -> None:
    """Dropout included, whose key is a tensor there; one graph for each of the two shapes of batches, whatever step."""
    asked = recipe(model={"name": "mlp", "widths": [16], "dropout": 0.3, "norm": "layer"}, budget={"epochs": 3})
    plain, compiled = equation.fit(asked), equation.fit(asked.replace(engine={**asked.engine, "compile": True}))
    close(weights(plain), weights(compiled))
    assert compiled.facts["compiled"] is True
    assert graphs() == 2
    f = compiled.program.f
    assert type(f) is type(plain.program.f)
    assert not {"forward", "features"} & set(vars(f))
    assert vars(copy.deepcopy(f)).keys() == vars(f).keys()


def test_the_decision_to_compile_is_said_recorded_and_kept_by_a_resume(monkeypatch, tmp_path: Path) -> None:
    made: list[int] = []

    def compiled(f):
        made.append(1)
        return {"forward": f.forward}

    monkeypatch.setattr(compiling, "compiled", compiled)
    monkeypatch.setattr(compiling, "GAIN", {"cpu": 0.5})
    monkeypatch.setattr(compiling, "speed", lambda device, precision: 1.0)  # an operation a second
    run, ear = Run.create(tmp_path / "run"), Ear(stop=2)
    asked = recipe(engine={"checkpoint": 1e-9})
    with pytest.raises(KeyboardInterrupt):
        equation.fit(asked, run=run, watch=ear)
    assert any(line.startswith("f is compiled: about") and "would be saved in 6 steps" in line for line in ear.said)
    assert len(made) == 1
    monkeypatch.setattr(compiling, "GAIN", {})  # on other hardware the estimate might be another
    facts = equation.fit(asked, run=run).facts
    assert facts["compiled"] is True
    assert "would be saved" in facts["compiled_because"]
    assert len(made) == 2


def test_a_compiled_run_resumes_to_the_same_bits(graphs, tmp_path: Path) -> None:
    asked = recipe(engine={"compile": True, "checkpoint": 1e-9}, model={"name": "mlp", "widths": [16], "dropout": 0.3})
    whole = equation.fit(asked)
    torch.compiler.reset()  # as another process begins
    run = Run.create(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        equation.fit(asked, run=run, watch=Ear(stop=4))
    torch.compiler.reset()
    assert same_bits(weights(whole), weights(equation.fit(asked, run=run)))
    assert graphs() > 0


@pytest.mark.parametrize(
    ("major", "multiprocessors", "precision", "published"),
    [(8, 108, "bf16", 312e12), (8, 108, "tf32", 156e12), (8, 108, "float32", 19.5e12), (9, 132, "bf16", 989e12)],
    ids=["A100 bf16", "A100 tf32", "A100 float32", "H100 bf16"],
)
def test_a_gpu_is_taken_to_reach_a_part_of_its_published_peak(
    major: int, multiprocessors: int, precision: str, published: float, monkeypatch
) -> None:
    known = SimpleNamespace(major=major, multi_processor_count=multiprocessors)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: known)
    assert 0.15 < compiling.speed(torch.device("cuda"), precision) / published < 0.5


@pytest.mark.parametrize("asked", [True, "auto"])
def test_what_cannot_be_compiled_is_said_and_trained_as_it_is_where_nobody_asked(asked, monkeypatch) -> None:
    from torch._dynamo.exc import TorchDynamoException

    def broken(*inputs):
        raise TorchDynamoException("no compiler found\nand many lines more")

    monkeypatch.setattr(compiling, "compiled", lambda f: {"forward": broken})
    monkeypatch.setattr(compiling, "pays", lambda training: (True, "it pays"))
    if asked is True:
        with pytest.raises(UserError, match=r"no compiler found; expected engine\.compile=false"):
            equation.fit(recipe(engine={"compile": True}))
        return
    ear = Ear()
    outcome = equation.fit(recipe(), watch=ear)
    assert ear.said[-1] == "f is not compiled: no compiler found"
    assert outcome.facts["compiled"] is False
    monkeypatch.undo()
    assert same_bits(weights(outcome), weights(equation.fit(recipe())))


def test_it_is_said_how_a_run_was_carried_out() -> None:
    from thetastar.execution import said

    assert said({"precision": "bf16", "compiled": True, "micro": 4}) == "bf16, compiled, in 4 parts"
    assert said({"precision": "float32", "compiled": False, "micro": 1}) == "float32"
    assert said({}) == "float32"


def test_engine_settings_are_checked() -> None:
    for engine, word in (({"compile": "yes please"}, "engine.compile"), ({"micro": 0}, "engine.micro")):
        with pytest.raises(UserError, match=word):
            equation.fit(recipe(engine=engine))
    with pytest.raises(UserError, match="one of the two"):
        equation.fit(recipe(engine={"compile": True, "recompute": True}))
    with pytest.raises(UserError, match="members that are trained together"):
        equation.fit(recipe(engine={"compile": True}, method={"name": "population", "members": 2}))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory.\nMore"), MemoryError(), on_the_host()])
def test_where_nothing_can_be_done_the_command_ends_with_one_line(error: Exception, monkeypatch, capsys) -> None:
    def fit(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(star, "train", fit)
    assert cli.main(["fit", "bars", "--model", "softmax"]) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    assert said.startswith("theta: out of memory")
    assert said.endswith("take a smaller data.batch_size")


FAULTS = """
import resource, sys, torch
from thetastar.hardware import hold_memory

held = sys.argv[1] == "held" and hold_memory()
for turn in range(20):
    if turn == 10:  # the first ones make room
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(10_000_000)
print(held, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"), reason="of the C library of GNU")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    """40 MB taken ten times: as held, the system clears next to no page anew; whoever set the variables keeps them."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}

    def faults(word: str, **more: str) -> tuple[str, int]:
        words = [sys.executable, "-c", FAULTS, word]
        done = subprocess.run(words, env={**clean, **more}, capture_output=True, text=True, check=True)
        held, count = done.stdout.split()
        return held, int(count)

    (_, without), (held, kept) = faults("free"), faults("held")
    assert held == "True"
    assert kept < without / 10
    assert faults("held", MALLOC_ARENA_TEST="8")[0] == "False"
