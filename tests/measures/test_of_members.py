"""Each member of a population is judged as its net alone is, by the same measure."""

from __future__ import annotations

import pytest
import torch

from thetastar import equation
from thetastar.defaults import completed, open_stream
from thetastar.errors import UserError
from thetastar.evaluation import evaluate
from thetastar.protocols import Clock
from thetastar.recipe import Recipe

JUDGES = [{"name": "nll"}, {"name": "ece", "bins": 5}, {"name": "effective_rank"}]
RECIPE = Recipe(
    data={"name": "bars", "rows": 90, "batch_size": 8},
    model={"name": "mlp", "widths": [6]},
    measures=["accuracy", {"name": "of_members", "inner": JUDGES}],
    budget={"steps": 1},
)


@pytest.mark.parametrize("execution", ["stacked", "in_turn"])
@pytest.mark.parametrize("scale", [1.0, 3000.0])
def test_each_member_is_judged_as_its_net_alone(execution: str, scale: float) -> None:
    """Also where a probability is 0 in single precision and only logits know how wrong a member is."""
    method = {"name": "population", "members": 3, "execution": execution}
    stream = open_stream(RECIPE.data)
    recipe = completed(RECIPE.replace(method=method), stream)
    program = equation.assemble(recipe, stream.schema)
    with torch.no_grad():
        program.method.members.f.head.weight.mul_(scale)
    found = evaluate(program, stream, "valid", recipe.measures, Clock(0))[0]
    lone = equation.assemble(completed(RECIPE.replace(method="supervised", measures=JUDGES), stream), stream.schema)
    values = []
    for k in range(3):
        for name, tensor in lone.f.state_dict().items():
            tensor.copy_(program.method.members.f.state_dict()[name][k])
        alone = evaluate(lone, stream, "valid", JUDGES, Clock(0))[0]
        values.append(alone["nll"])
        assert {name: found[f"{name}.{k + 1}"] for name in alone} == pytest.approx(alone, rel=1e-5, abs=1e-6)
    assert len(set(values)) == 3
    assert found["of_members"] == pytest.approx(sum(values) / 3, rel=1e-6)
    assert scale == 1.0 or max(values) > 100


def test_a_single_net_has_no_members() -> None:
    stream = open_stream(RECIPE.data)
    recipe = completed(RECIPE, stream)
    with pytest.raises(UserError, match="of_members of a single net"):
        evaluate(equation.assemble(recipe, stream.schema), stream, "valid", recipe.measures, Clock(0))
