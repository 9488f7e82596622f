"""Members that differ in numbers: each is the run alone that has its values, whatever the others do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.test_population import difference, normed, opened  # noqa: F401 - a fixture

from thetastar import equation
from thetastar.defaults import completed, open_for
from thetastar.errors import UserError
from thetastar.protocols import Clock
from thetastar.recipe import Recipe

SEED, STEPS = 5, 50
MLP = {"name": "mlp", "widths": [12, 8], "norm": "batch", "dropout": 0.2}
GROUPED = {"name": "mlp", "widths": [8], "norm": "group", "groups": 2}
RULES = {
    "sgd": {"algorithm.lr": [0.05, 0.01, 0.2], "algorithm.weight_decay": [0.0, 0.1, 0.01]},
    "adam": {"algorithm.lr": [1e-3, 1e-2, 3e-3], "algorithm.weight_decay": [0.1, 0.0, 0.01]},
    "adamw": {"algorithm.lr": [1e-3, 1e-2, 3e-3], "algorithm.weight_decay": [0.0, 1.0, 0.1]},
    "adagrad": {"algorithm.lr": [0.01, 0.1, 0.03], "algorithm.clip": [0.1, 10.0, 0.5]},
    "adadelta": {"algorithm.lr": [1.0, 0.3, 0.1], "algorithm.l1": [0.0, 0.01, 0.001]},
    "rmsprop": {"algorithm.lr": [1e-3, 1e-2, 3e-3], "algorithm.clip_value": [0.01, 1.0, 0.1]},
}


def recipe_of(
    vary, algorithm: object = "sgd", model: object = MLP, inner: object = "supervised", data=None, **changes
) -> Recipe:
    seeds = [SEED] * len(next(iter(vary.values())))
    method = {"name": "population", "inner": inner, "seeds": seeds, "vary": vary}
    return Recipe(
        data=data or {"name": "bars", "rows": 160, "batch_size": 16},
        model=model,
        method={**method, "execution": "stacked", **changes},
        algorithm=algorithm,
        measures=[],
        budget={"steps": STEPS},
        engine={"precision": "float32", "evaluations": 0},
        seed=SEED,
    )


def trained(recipe: Recipe):
    stream = open_for(recipe)
    return equation.fit(recipe, stream=stream, start=opened(recipe, stream)).program


def lone(recipe: Recipe, k: int):
    """The run that member k stands for: the same recipe with its values, its method alone."""
    method = recipe.method
    changes = [f"{key}={values[k]}" for key, values in method["vary"].items()]
    return trained(recipe.replace(method=method["inner"]).override(changes))


def furthest(recipe: Recipe) -> float:
    stack = trained(recipe)
    count = len(recipe.method["seeds"])
    return max(difference(stack, k, lone(recipe, k)) for k in range(count))


@pytest.mark.parametrize("rule", RULES)
def test_every_elementwise_rule_takes_rates_and_penalties_of_each_member(rule: str) -> None:
    # without batch norm: biases before it have gradients of rounding alone, which rules that divide by them enlarge
    assert furthest(recipe_of(RULES[rule], rule, {"name": "mlp", "widths": [12, 8]})) < 1e-9


@pytest.mark.parametrize("execution", ["stacked", "in_turn", "threads"])
def test_numbers_of_model_and_method_differ_in_every_execution(execution: str) -> None:
    vary = {
        "model.dropout": [0.1, 0.5, 0.3],
        "method.label_smoothing": [0.0, 0.1, 0.3],
        "algorithm.lr": [0.1, 0.05, 0.02],
    }
    assert furthest(recipe_of(vary, execution=execution)) < 1e-9


@settings(max_examples=8, deadline=None)
@given(
    rule=st.sampled_from(sorted(RULES)),
    execution=st.sampled_from(["stacked", "in_turn", "threads"]),
    rates=st.lists(st.floats(1e-4, 0.1), min_size=1, max_size=4),
    penalty=st.sampled_from(["weight_decay", "l1", "clip", "clip_value"]),
    schedule=st.sampled_from([None, "cosine", "linear"]),
    accumulate=st.integers(1, 2),
)
def test_a_member_is_its_run_alone(rule, execution, rates, penalty, schedule, accumulate: int) -> None:
    vary = {"algorithm.lr": rates, f"algorithm.{penalty}": [rate * 3 for rate in reversed(rates)]}
    model = {"name": "mlp", "widths": [6], "dropout": 0.2}
    recipe = recipe_of(vary, {"name": rule, "schedule": schedule}, model, execution=execution)
    engine = {"precision": "float32", "evaluations": 0, "accumulate": accumulate}
    assert furthest(recipe.replace(budget={"steps": 5}, engine=engine)) < 1e-9


@pytest.mark.parametrize("execution", ["stacked", "in_turn"])
def test_who_diverges_stops_there_and_the_others_do_not_notice(execution: str) -> None:
    """The second rate makes the squared loss overflow within a few steps; its tensors stay finite ever after."""
    data = {"name": "arm", "rows": 120, "batch_size": 16}
    vary = {"algorithm.lr": [0.05, 1e30, 0.02]}
    rule, model = {"name": "sgd", "schedule": None}, {"name": "mlp", "widths": [8], "norm": "batch"}
    recipe = recipe_of(vary, rule, model, data=data, execution=execution)
    stack = trained(recipe)
    assert max(difference(stack, k, lone(recipe, k)) for k in (0, 2)) < 1e-9
    assert all(tensor.isfinite().all() for tensor in stack.state_dict().values())


def test_numbers_keep_the_precision_of_the_weights() -> None:
    """A rate of double precision beside weights of single precision makes single precision, as for one net."""
    recipe = recipe_of({"model.dropout": [0.1, 0.5], "method.label_smoothing": [0.1, 0.2]})
    stream = open_for(recipe)
    program = equation.assemble(completed(recipe, stream), stream.schema)
    batch = next(stream.batches("train", Clock(0)))
    value, _ = program("loss", batch, Clock(0))
    assert value.dtype == torch.float32
    value.backward()
    assert {p.grad.dtype for p in program.method.parameters() if p.grad is not None} == {torch.float32}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vary": {"algorithm.momentum": [0.9, 0.5]}}, "momentum that varies"),
        ({"vary": {"algorithm.lr": [0.1, -1.0]}}, "method.vary.algorithm.lr: got -1"),
        ({"vary": {"algorithm.lr": [0.1, 0.2]}, "algorithm": "muon"}, "muon on a population"),
        ({"vary": {"algorithm.lr": [0.1, 0.2]}, "algorithm": "lbfgs"}, "lbfgs on a population"),
        ({"vary": {"algorithm.lr": [0.1, 0.2]}, "algorithm": "newton"}, "newton on a population"),
        ({"vary": {"model.dropout": [0.0, 0.2]}}, "a share of 0 may leave a layer out"),
        ({"vary": {"model.droput": [0.1, 0.2]}}, "no argument 'droput'"),
        ({"vary": {"method.label_smoothing": [0.1, 2.0]}}, "label_smoothing: got 2"),
        ({"vary": {"model.groups": [2.0, 4.0]}, "model": GROUPED}, "differ in num_groups"),
        ({"vary": {"data.keep": [10.0, 20.0]}}, "resampled"),
        ({"vary": {"rate": [10.0, 20.0]}}, "method.vary: rate"),
        ({"vary": {"algorithm.lr": []}}, "algorithm.lr has no values"),
    ],
)
def test_what_cannot_vary_is_refused_by_name(changes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        trained(recipe_of(**changes))
