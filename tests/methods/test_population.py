"""A population: each member is the one that its seed alone would train."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from thetastar import equation, registry, resume
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.evaluation import evaluate
from thetastar.functional.keys import keyed, reseed
from thetastar.functional.mixtures import mixture
from thetastar.methods import population as module
from thetastar.protocols import Clock, Program, Stream
from thetastar.recipe import Recipe
from thetastar.snapshot import load_checkpoint, save_checkpoint
from thetastar.watch import Watch

SEEDS = [3, 7, 11]
STEPS = 30
MLP = {"name": "mlp", "widths": [12, 8], "dropout": 0.3, "norm": "batch"}
SGD = {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01, "schedule": None}
NORMED = '''
from torch import nn
from thetastar.layers.dropout import Dropout
from thetastar.layers.ends import Standardise, head
from thetastar.protocols import Model, Schema

__all__ = ["normed"]


class normed(Model):
    """A small convolutional net with batch norm."""

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.standardise = Standardise(schema.input)
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), Dropout(0.2),
        )
        self.width = 24
        self.head = head(24, schema)

    def features(self, x):
        return self.body(self.standardise(x))
'''


@pytest.fixture
def normed(tmp_path: Path):
    """The registered name of a convolutional net with batch norm, for one test."""
    path = tmp_path / "normed.py"
    path.write_text(NORMED)
    registry.include(path)
    yield "normed"
    registry._user_files["models"].remove(path.resolve())
    registry.entries.cache_clear()


def recipe_of(model, **changes) -> Recipe:
    method = {"name": "population", "members": len(SEEDS), "seeds": SEEDS, "execution": "stacked", **changes}
    data = {"name": "bars", "rows": 160, "batch_size": 16}
    return Recipe(
        data=data,
        model=model,
        method=method,
        algorithm=SGD,
        budget={"steps": STEPS},
        engine={"precision": "float32"},
        seed=5,
    )


def opened(recipe: Recipe, stream: Stream) -> Program:
    """What a recipe starts from, in double precision."""
    return equation.assemble(completed(recipe, stream), stream.schema).double()


def trained(recipe: Recipe) -> tuple[Program, Stream]:
    """A population trained in double precision by the engine."""
    stream = open_stream(recipe.data)
    return equation.fit(recipe, stream=stream, start=opened(recipe, stream)).program, stream


def batches(stream: Stream, seed: int, steps: int):
    """The run's batches with their clocks, over as many epochs as it takes."""
    for step in range(steps):
        epoch, number = divmod(step, stream.length("train"))
        t = Clock(seed, step, steps, epoch)
        yield t, next(stream.batches("train", t, number))


def alone(recipe: Recipe, stream: Stream, seed: int, steps: int = STEPS) -> Program:
    """The member of a seed, trained by hand: its own weights and keys, the population's batches, torch's SGD."""
    program = opened(recipe.replace(method="supervised", seed=seed), stream)
    matrices = [p for p in program.parameters() if p.ndim > 1]
    vectors = [p for p in program.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    program.train()
    for t, batch in batches(stream, recipe.seed, steps):
        optimiser.zero_grad()
        with keyed(torch.tensor(replace(t, seed=seed).key("loss", 0))):
            program("loss", batch, t)[0].backward()
        optimiser.step()
    return program.eval()


def difference(stack: Program, k: int, lone: Program) -> float:
    """The largest difference between member k and a program, over all parameters and running moments."""
    members = stack.method.members.state_dict()
    worst = 0.0
    for name, value in lone.state_dict().items():
        if value.is_floating_point():
            assert members[name].shape[1:] == value.shape
            worst = max(worst, (members[name][k] - value).abs().max().item())
    return worst


def test_each_member_is_what_its_seed_trains_alone_with_dropout_and_batch_norm() -> None:
    recipe = recipe_of(MLP)
    stack, stream = trained(recipe)
    for k, seed in enumerate(SEEDS):
        assert difference(stack, k, alone(recipe, stream, seed)) < 1e-9


def test_each_convolutional_member_is_what_its_seed_trains_alone(normed: str) -> None:
    recipe = recipe_of(normed)
    stack, stream = trained(recipe)
    lone = [alone(recipe, stream, seed) for seed in SEEDS]
    assert max(difference(stack, k, program) for k, program in enumerate(lone)) < 1e-9
    moments = stack.method.members.f.body[1].running_mean
    assert moments.abs().max() > 0.01
    # members are different nets
    assert min(difference(stack, k, lone[k - 1]) for k in range(len(SEEDS))) > 0.01


def test_the_member_with_the_seed_of_the_run_is_that_run() -> None:
    recipe = recipe_of(MLP, members=2, seeds=[5, 6])
    stack, stream = trained(recipe)
    lone = completed(recipe.replace(method="supervised"), stream)
    start = opened(lone, stream)
    assert difference(stack, 0, equation.fit(lone, stream=stream, start=start).program) < 1e-9


def test_micro_batches_keep_their_own_masks() -> None:
    recipe = recipe_of({"name": "mlp", "widths": [12], "dropout": 0.3}, members=2, seeds=[5, 6]).replace(
        engine={"accumulate": 2, "precision": "float32"}, budget={"steps": 8}
    )
    stack, stream = trained(recipe)
    lone = completed(recipe.replace(method="supervised"), stream)
    start = opened(lone, stream)
    assert difference(stack, 0, equation.fit(lone, stream=stream, start=start).program) < 1e-9


def test_without_a_key_for_each_member_dropout_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "keyed", lambda key: contextlib.nullcontext())
    recipe = recipe_of(MLP)
    stack, stream = trained(recipe)
    assert difference(stack, 0, alone(recipe, stream, SEEDS[0])) > 1e-3


def test_clipping_looks_at_one_member_at_a_time() -> None:
    recipe = recipe_of({"name": "mlp", "widths": [12]}).replace(algorithm={**SGD, "clip": 0.3, "weight_decay": 0.0})
    stack, stream = trained(recipe)
    for k, seed in enumerate(SEEDS):
        program = opened(recipe.replace(method="supervised", seed=seed), stream)
        optimiser = torch.optim.SGD(program.parameters(), lr=0.05, momentum=0.9)
        program.train()
        for t, batch in batches(stream, recipe.seed, STEPS):
            optimiser.zero_grad()
            program("loss", batch, t)[0].backward()
            nn.utils.clip_grad_norm_(program.parameters(), 0.3)
            optimiser.step()
        assert difference(stack, k, program) < 1e-9


def test_an_interrupted_population_resumes_to_the_same_bits(tmp_path: Path) -> None:
    stream = open_stream(recipe_of(MLP).data)
    recipe = completed(recipe_of(MLP), stream)

    def started() -> equation.Training:
        training = equation.Training(recipe, stream, equation.assemble(recipe, stream.schema), None, Watch())
        training.begin()
        return training

    whole, part = started(), started()
    for t, batch in batches(stream, recipe.seed, STEPS):
        whole.one_step([batch])
        if t.step < 13:
            part.one_step([batch])
    save_checkpoint(tmp_path, "step-000000013", resume.state(part))
    again = started()
    resume.restore(again, load_checkpoint(tmp_path / "step-000000013"))
    for t, batch in batches(stream, recipe.seed, STEPS):
        if t.step >= 13:
            again.one_step([batch])
    other = again.program.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in whole.program.state_dict().items())


def test_the_prediction_is_the_mixture_and_f_is_the_first_member() -> None:
    recipe = recipe_of(MLP)
    stack, stream = trained(recipe)
    batch = stream.sample("valid", 20)
    wants = frozenset({"members", "probabilities", "logits", "prediction", "features"})
    out = stack.method.predict(stack.f, batch, wants, Clock(0))
    lone = [alone(recipe, stream, seed) for seed in SEEDS]
    each = torch.stack([torch.softmax(program.f(batch["input"]), -1) for program in lone], 1)
    torch.testing.assert_close(out["members"], each, atol=1e-9, rtol=0)
    torch.testing.assert_close(out["probabilities"], each.mean(1), atol=1e-9, rtol=0)
    torch.testing.assert_close(torch.softmax(out["logits"], -1), out["probabilities"])
    assert torch.equal(out["prediction"], each.mean(1).argmax(-1))
    assert out["features"].shape == (20, 3 * lone[0].f.width)
    torch.testing.assert_close(stack.f(batch["input"]), lone[0].f(batch["input"]), atol=1e-9, rtol=0)


@pytest.mark.parametrize(("kind", "expected"), [("number", 0.35), ("categories", 0.35)])
def test_mixtures_of_numbers_and_labels_are_means(kind: str, expected: float) -> None:
    out = mixture(torch.tensor([[[0.1], [0.6]]], dtype=torch.float64), kind)
    shown = out["prediction"] if kind == "number" else torch.sigmoid(out["logits"])
    assert shown.item() == pytest.approx(expected)


def test_a_mixture_is_no_worse_than_its_members_on_average() -> None:
    """Jensen: −log of the mean is at most the mean of −log; on noisy data with small nets it is clearly less."""
    recipe = recipe_of({"name": "mlp", "widths": [32]}).replace(
        data={"name": "bars", "rows": 300, "noise": 0.8, "batch_size": 16}, budget={"steps": 200}
    )
    stack, stream = trained(recipe)
    measures = completed(recipe, stream).measures
    mixed = evaluate(stack, stream, "valid", measures, Clock(0))[0]["nll"]

    def nll(out: Tensor, target: Tensor) -> float:
        return -out.gather(1, target[:, None]).log().mean().item()

    batch = stream.sample("valid", stream.size("valid"))
    each = stack.method.predict(stack.f, batch, frozenset({"members"}), Clock(0))["members"]
    assert mixed < sum(nll(each[:, k], batch["target"]) for k in range(3)) / 3 - 0.1


def test_averaged_weights_leave_the_moments_of_the_members() -> None:
    recipe = recipe_of(MLP).replace(algorithm={**SGD, "ema": 0.9}, budget={"steps": 20})
    stack, _ = trained(recipe)
    moments = stack.method.members.f.hidden[1].running_var
    assert (moments - 1).abs().min() > 1e-3  # not the ones of a layer that was reset


def test_refusals() -> None:
    with pytest.raises(UserError, match="2 seeds for 3 members"):
        registry.build("methods", {"name": "population", "members": 3, "seeds": [1, 2]})


def test_batches_are_drawn_as_the_engine_draws_them() -> None:
    """The default generator plays no part in a member's masks."""
    stream = open_stream(recipe_of(MLP).data)
    program = equation.assemble(completed(recipe_of(MLP), stream), stream.schema).train()
    t, batch = next(batches(stream, 5, 1))
    values = []
    for key in (1, 2):
        reseed(key)
        values.append(program("loss", batch, t)[0].item())
    assert values[0] == values[1]
