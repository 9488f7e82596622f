"""CLIP: the loss by hand, words that name what no training image showed, and inputs bound through a third."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thetastar.defaults import open_stream
from thetastar.errors import UserError
from thetastar.functional.nested import mapped
from thetastar.methods.clip import same, told_apart
from thetastar.recipe import Recipe
from thetastar.star import train

pytest.importorskip("tokenizers")
NETS = {
    "image": {"name": "cnn", "channels": [8, 16], "hidden": 32, "norm": "batch"},
    "text": {"name": "text_transformer", "width": 32, "depth": 1, "heads": 2, "dropout": 0.0},
}


@pytest.mark.shows("L6")
@pytest.mark.parametrize("scale", [1.0, 14.0])
@pytest.mark.parametrize("rows", [2, 6])
def test_the_loss_is_that_of_the_paper_by_hand(scale: float, rows: int) -> None:
    random = np.random.default_rng(rows)
    u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in random.standard_normal((2, rows, 4)))
    scores = scale * u @ v.T
    total = 0.0
    for i in range(rows):
        total += np.log(np.exp(scores[i]).sum()) + np.log(np.exp(scores[:, i]).sum()) - 2 * scores[i, i]
    value, right = told_apart(torch.from_numpy(u), torch.from_numpy(v), torch.tensor(scale), None)
    assert value.item() == pytest.approx(total / rows / 2, rel=1e-6)
    assert right.item() == pytest.approx((scores.argmax(1) == np.arange(rows)).mean())


def test_rows_of_the_same_text_are_no_negatives() -> None:
    texts = torch.tensor([[2, 7, 3], [2, 8, 3], [2, 7, 3]])
    none = same([texts])
    assert none is not None
    assert none.nonzero().tolist() == [[0, 2], [2, 0]]
    torch.manual_seed(0)
    u, v = torch.nn.functional.normalize(torch.randn(2, 3, 4, dtype=torch.float64), dim=-1)
    scores = (5 * u @ v.T).numpy()
    negatives = {0: [0, 1], 1: [0, 1, 2], 2: [1, 2]}
    total = sum(
        np.log(np.exp(side[i, columns]).sum()) - side[i, i]
        for side in (scores, scores.T)
        for i, columns in negatives.items()
    )
    assert told_apart(u, v, torch.tensor(5.0), none)[0].item() == pytest.approx(total / 6, rel=1e-6)


@pytest.mark.shows("L6")
def test_kinds_that_no_training_image_showed_are_named_by_their_words() -> None:
    """Four held-out kinds, each of known words: chance is a quarter, over two seeds."""
    right = []
    for seed in range(2):
        rule = {"name": "adamw", "lr": 0.003}
        model = {"name": "towers", "nets": NETS}
        star = train(
            Recipe(
                data="captioned_bars",
                model=model,
                method={"name": "clip", "outputs": 32},
                algorithm=rule,
                budget={"steps": 200},
                seed=seed,
            )
        )
        program, batch = star.program.eval(), open_stream("captioned_bars").examples("test")
        with torch.no_grad():
            images = program.method.direction(program.f, "image", batch["input"]["image"])
            kinds, first = np.unique(batch["target"].numpy(), return_index=True)
            assert len(kinds) == 4
            texts = program.method.direction(program.f, "text", batch["input"]["text"][first])
        found = torch.from_numpy(kinds)[(images @ texts.T).argmax(1)]
        right.append((found == batch["target"]).float().mean().item())
    assert min(right) > 0.5


@pytest.mark.shows("L6")
def test_what_was_never_compared_is_bound_through_a_third() -> None:
    """Codes a ↔ b and b' ↔ c are compared; a ↔ c follows, and does not where c is shuffled."""
    random = np.random.default_rng(0)
    classes = random.integers(0, 6, (2, 400))
    views = {name: random.standard_normal((6, 12)) for name in "abc"}

    def seen(name: str, labels: np.ndarray) -> np.ndarray:
        return (views[name][labels] + 0.3 * random.standard_normal((len(labels), 12))).astype(np.float32)

    def recall(shuffled: bool) -> float:
        labels = random.permutation(classes[1]) if shuffled else classes[1]
        inputs = {"a": seen("a", classes[0]), "b": seen("b", classes[0])}
        inputs |= {"other": seen("b", classes[1]), "c": seen("c", labels)}
        data = {"name": "arrays", "inputs": inputs, "targets": classes[0]}
        nets = {name: {"name": "mlp", "widths": [32]} for name in "abc"}
        star = train(
            Recipe(
                data=data,
                model={"name": "towers", "nets": nets, "shared": {"other": "b"}},
                method={"name": "clip", "pairs": [["a", "b"], ["other", "c"]], "outputs": 8},
                algorithm={"name": "adamw", "lr": 0.003},
                budget={"steps": 150},
            )
        )
        program, new = star.program.eval(), np.arange(6)
        with torch.no_grad():
            a, c = (
                program.method.direction(program.f, name, torch.from_numpy(seen(name, new.repeat(10)))) for name in "ac"
            )
        return (new.repeat(10)[(a @ c.T).argmax(1)] == new.repeat(10)).mean()

    assert recall(False) > 0.8
    assert recall(True) < 0.5


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UserError, match="clip with mlp"):
        train(Recipe(data="bars", model={"name": "mlp"}, method="clip", budget={"steps": 1}))
    method = {"name": "clip", "pairs": [["image", "sound"]]}
    with pytest.raises(UserError, match="no input 'sound'"):
        train(Recipe(data="captioned_bars", model={"name": "towers", "nets": NETS}, method=method))


def test_a_tower_that_is_shared_is_one_net() -> None:
    stream = open_stream({"name": "arrays", "inputs": {"a": np.eye(8), "b": np.eye(8) + 1}, "targets": [0, 1] * 4})
    star = train(
        Recipe(data=stream.spec, model={"name": "towers", "shared": {"b": "a"}}, budget={"steps": 1}), stream=stream
    )
    x = mapped(lambda part: part, stream.sample("train", 4)["input"])
    features = star.program.eval().f.features({"a": x["a"], "b": x["a"]})
    torch.testing.assert_close(*features.chunk(2, 1))
