"""Ways to prepare columns against scikit-learn and by hand, and that none of them looks at held-out rows."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    StandardScaler,
)

import thetastar as ts
from thetastar.cli import main
from thetastar.data.table import table
from thetastar.errors import UserError
from thetastar.functional.quantiles import edges_of
from thetastar.layers.numbers import Bins
from thetastar.layers.words import Vectors
from thetastar.models.tabular_mlp import tabular_mlp

ROWS, TRAIN = 120, np.arange(80)
SIZES = ["small", "medium", "large"]


def people(seed: int = 0, rows: int = ROWS) -> pd.DataFrame:
    """Numbers with gaps, a number of few values, three columns of words, a date, a text, a target."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": random.gamma(2.0, 20.0, rows),
            "rooms": random.integers(0, 4, rows).astype(float),
            "sex": random.choice(["f", "m"], rows),
            "size": random.choice(SIZES, rows),
            "town": random.choice(["Ulm", "Bonn", "Kiel", "Jena"], rows, p=[0.6, 0.3, 0.07, 0.03]),
            "born": pd.Timestamp("1990-01-01") + pd.to_timedelta(random.integers(0, 900, rows), "D"),
            "note": [" ".join(random.choice(["good", "bad", "old", "new", "dear"], 6)) + f" {i}" for i in range(rows)],
            "y": random.choice(["yes", "no"], rows),
        }
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[::11, "sex"] = None
    return frame


def prepared(frame: pd.DataFrame, train: Any = TRAIN, **wishes: Any) -> tuple[table, pd.DataFrame]:
    made = table(frame=frame, target="y", **wishes)
    schema, columns = made.prepare(train)
    return made, pd.DataFrame(columns["input"].double().numpy(), columns=list(schema.input.names))


WAYS: list[dict[str, Any]] = [
    {},
    {"categories": "ordinal"},
    {"categories": "ordinal", "orders": {"size": SIZES}},
    {"categories": "embedding"},
    {"impute": "mean"},
    {"scale": "quantile"},
    {"scale": "none"},
    {"dates": ("month", "weekday")},
    {"text": "counts"},
    {"crosses": ("age*rooms", "sex*town", "age*sex")},
    {"crosses": ("age*size", "rooms*size"), "orders": {"size": SIZES}, "scale": "quantile"},
]


@pytest.mark.shows("P3")
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000), held=st.sets(st.integers(0, ROWS - 1), min_size=1, max_size=60))
@pytest.mark.parametrize("wishes", WAYS, ids=str)
def test_held_out_rows_change_nothing_that_is_fitted(wishes: dict[str, Any], seed: int, held: set[int]) -> None:
    frame, random, rows = people(), np.random.default_rng(seed), sorted(held)
    other, train = frame.copy(), np.setdiff1d(np.arange(ROWS), rows)
    other.loc[rows, "age"] = random.choice([np.nan, 1e9, -5.0], len(rows))
    other.loc[rows, "rooms"] = random.integers(100, 200, len(rows)).astype(float)
    for name in ("sex", "town"):
        other.loc[rows, name] = random.choice(["mauve", "f", "Ulm"], len(rows))
    other.loc[rows, "size"] = random.choice(["giant", "small"], len(rows))
    other.loc[rows, "born"] = pd.Timestamp("2050-05-05")
    other.loc[rows, "note"] = "words that nobody wrote before"
    (first, x), (second, z) = prepared(frame, train, **wishes), prepared(other, train, **wishes)
    assert first.state() == second.state()
    assert first.schema == second.schema
    pd.testing.assert_frame_equal(x.loc[train], z.loc[train])


@pytest.mark.shows("P3")
@pytest.mark.parametrize("wishes", WAYS, ids=str)
def test_what_is_stored_as_json_prepares_as_training_did(wishes: dict[str, Any]) -> None:
    frame = people()
    made, x = prepared(frame, **wishes)
    stored = table.restore(json.loads(json.dumps(made.state())))
    np.testing.assert_array_equal(stored.transform(frame)["input"].double(), x)
    assert stored.schema == made.schema


def test_one_hot_and_ranks_are_scikit_learns() -> None:
    frame = people()
    frame.loc[ROWS - 1, "size"] = "giant"
    _, x = prepared(frame)
    theirs = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(frame.loc[TRAIN, ["size"]])
    names = [f"size={name}" for name in theirs.categories_[0]]
    np.testing.assert_array_equal(x[names], theirs.transform(frame[["size"]]))
    np.testing.assert_array_equal(x["size=unknown"], (frame["size"] == "giant").to_numpy())
    for how, order in (("ordinal", None), ("auto", {"size": SIZES})):
        _, x = prepared(frame, categories=how, orders=order)
        listed = "auto" if order is None else [SIZES]
        theirs = OrdinalEncoder(categories=listed, handle_unknown="use_encoded_value", unknown_value=np.nan)
        expected = theirs.fit(frame.loc[TRAIN, ["size"]]).transform(frame[["size"]])[:, 0]
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(x["size"][known], expected[known])
        assert x["size"].iloc[-1] == np.median(expected[TRAIN])
        np.testing.assert_array_equal(x["size unknown"], ~known)


def test_an_ordered_category_of_pandas_is_read_as_ranks() -> None:
    frame = people()
    frame["size"] = pd.Categorical(frame["size"], SIZES, ordered=True)
    made, x = prepared(frame)
    np.testing.assert_array_equal(x["size"], frame["size"].cat.codes)
    assert "column 'size' read as ranks small < medium < large" in made.said


def test_imputation_by_median_or_mean_with_an_indicator() -> None:
    frame = people()
    gap = frame["age"].isna().to_numpy()
    for impute in ("median", "mean"):
        made, x = prepared(frame, impute=impute)
        expected = getattr(frame.loc[TRAIN, "age"], impute)()
        np.testing.assert_allclose(x["age"][gap], expected, rtol=1e-6)
        np.testing.assert_array_equal(x["age missing"], gap)
        assert any(f"numbers take the training rows' {impute}" in line for line in made.said)


def test_quantile_scaling_is_scikit_learns_also_where_many_rows_share_a_value() -> None:
    frame = people()
    frame["age"] = frame["age"].fillna(30.0)
    _, x = prepared(frame, scale="quantile")
    theirs = QuantileTransformer(n_quantiles=len(TRAIN), subsample=None)
    expected = theirs.fit(frame.loc[TRAIN, ["age", "rooms"]].to_numpy()).transform(frame[["age", "rooms"]].to_numpy())
    np.testing.assert_allclose(x["age"], expected[:, 0], atol=1e-6)
    inside = frame["rooms"].isin([1, 2]).to_numpy()  # at the ends theirs gives 0 and 1 however many rows lie there
    np.testing.assert_allclose(x["rooms"][inside], expected[inside, 1], atol=1e-6)
    ends = frame.loc[TRAIN, "rooms"].isin([0]).mean() / 2, 1 - frame.loc[TRAIN, "rooms"].isin([3]).mean() / 2
    np.testing.assert_allclose((x["rooms"].min(), x["rooms"].max()), ends, atol=0.02)


def test_standard_scaling_is_scikit_learns_and_none_is_none() -> None:
    frame = people()
    for scale in ("standard", "none"):
        made, x = prepared(frame, scale=scale)
        f = ts.registry.build("models", {"name": "mlp", "widths": [4]}, made.schema)
        inside = f.standardise(torch.tensor(x.to_numpy(), dtype=torch.float32)).numpy()
        expected = StandardScaler().fit(x.loc[TRAIN]).transform(x) if scale == "standard" else x
        np.testing.assert_allclose(inside[:, :3], np.asarray(expected)[:, :3], rtol=1e-4, atol=1e-5)


def test_bins_are_scikit_learns_quantile_bins_and_their_encoding_the_papers() -> None:
    """Gorishniy et al. 2022, equation 1: 0 before a bin, 1 after it, the share of the way within."""
    x = np.random.default_rng(0).gamma(2.0, size=4000)
    ours = np.array(edges_of(x, bins=16))
    theirs = KBinsDiscretizer(16, strategy="quantile", subsample=None, quantile_method="linear")
    np.testing.assert_allclose(ours, theirs.fit(x[:, None]).bin_edges_[0], atol=0.02)
    inner = np.clip(x, ours[0], ours[-1])
    place = np.clip(np.searchsorted(ours, inner, "right") - 1, 0, 15)
    expected = (np.arange(16) < place[:, None]).astype(float)
    share = (inner - ours[place]) / np.diff(ours)[place]
    expected[np.arange(len(x)), place] = share
    found = Bins([tuple(ours)])(torch.tensor(inner[:, None], dtype=torch.float32))[:, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_cross_of_numbers_is_the_product_of_standardised_ones() -> None:
    frame = people()
    made, x = prepared(frame, crosses=("age*rooms",))
    both = x[["age", "rooms"]]
    z = StandardScaler().fit(both.loc[TRAIN]).transform(both)
    product = PolynomialFeatures(2, interaction_only=True, include_bias=False).fit_transform(z)[:, 2]
    np.testing.assert_allclose(x["age × rooms"], product, rtol=1e-4, atol=1e-5)
    assert "crosses: age*rooms" in made.said


def test_a_cross_of_words_joins_them_with_a_place_for_seldom_and_one_for_unseen_pairs() -> None:
    words = [("f", "Ulm")] * 1400 + [("m", "Ulm")] * 600 + [("m", "Bonn")] * 999 + [("f", "Bonn")]
    frame = pd.DataFrame(words, columns=["sex", "town"]).assign(y=[0, 1] * 1500)
    made = table(frame=frame, target="y", crosses=("sex*town",))
    names = made.prepare(np.arange(3000))[0].input.names
    pairs = ["f × Ulm", "m × Bonn", "m × Ulm", "other", "unknown"]
    assert list(names[-5:]) == [f"sex × town={pair}" for pair in pairs]
    for sex, town, place in (("m", "Ulm", 2), ("f", "Bonn", 3), ("x", "Ulm", 4), (None, "Ulm", 4)):
        assert made.transform({"sex": sex, "town": town})["input"][0, -5:].tolist() == np.eye(5)[place].tolist()


def test_a_cross_of_a_number_and_a_word_gives_the_number_a_weight_a_word() -> None:
    _, x = prepared(people(), crosses=("sex*rooms",))
    z = StandardScaler().fit(x.loc[TRAIN, ["rooms"]]).transform(x[["rooms"]])[:, 0]
    for word in ("f", "m", "unknown"):
        np.testing.assert_allclose(x[f"rooms × sex={word}"], z * x[f"sex={word}"], rtol=1e-5)


@pytest.mark.shows("P3")
def test_a_line_learns_what_only_the_cross_says() -> None:
    """y = sign(a b) and an exclusive or of words: no line over the columns tells them, one over their crosses does."""
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, 600))
    u, v = random.choice(["p", "q"], (2, 600))
    for columns, cross, y in (
        ({"a": a, "b": b}, "a*b", a * b > 0),
        ({"u": u, "v": v}, "u*v", u == v),
        ({"a": a, "u": u}, "a*u", (a > 0) == (u == "p")),
    ):
        frame = pd.DataFrame({**columns, "y": np.where(y, "one", "two")})
        scores = [
            ts.fit({"name": "table", "frame": frame, "target": "y", "crosses": crosses}, "softmax", epochs=20).measures[
                "valid"
            ]["accuracy"]
            for crosses in ([], [cross])
        ]
        assert scores[0] < 0.8  # three quadrants of four are the best that a line can do
        assert scores[1] > 0.93


def test_dates_give_the_parts_that_are_asked_for() -> None:
    frame = people()
    _, x = prepared(frame, dates=("weekday", "month"))
    assert [name for name in x if name.startswith("born")] == ["born month", "born weekday"]
    np.testing.assert_array_equal(x["born weekday"], frame["born"].dt.day_of_week)


def test_learnt_vectors_of_words_are_rows_of_a_table() -> None:
    frame = people()
    made, x = prepared(frame, categories="embedding")
    names, blocks = made.schema.input.names, made.schema.input.blocks
    assert [names[first].split("=")[0] for first, _ in blocks] == ["sex", "size", "town"]
    layer = Vectors(made.schema.input, 3)
    e = layer(torch.tensor(x.to_numpy(), dtype=torch.float32)).detach()
    for place, ((first, count), weights) in enumerate(zip(blocks, layer.tables, strict=True)):
        codes = x.to_numpy()[:, first : first + count].argmax(1)
        torch.testing.assert_close(e[:, 3 * place : 3 * place + 3], weights.detach()[codes])
    assert layer.tables[1][-1].tolist() == [0.0] * 3  # no size is missing in training: unknown is the mean of all
    assert layer.tables[0][-1].abs().sum() > 0  # but some sex is


def test_an_unknown_word_stands_on_neutral_ground_and_words_enter_as_vectors_alone() -> None:
    made, x = prepared(people(), categories="embedding")
    torch.manual_seed(0)
    f = tabular_mlp(made.schema, widths=(8,), embedding=3).eval()
    words = sum(count for _, count in made.schema.input.blocks)
    assert len(f.varied) <= x.shape[1] - words
    star = ts.fit(
        {"name": "table", "frame": people(), "target": "y", "categories": "embedding"}, "tabular_mlp", steps=30
    )
    table_of_size = star.program.f.words.tables[1].detach()
    assert table_of_size[-1].tolist() == [0.0] * 8
    assert table_of_size[:3].abs().sum() > 0
    assert star.predict(people().assign(size="giant")).shape == (ROWS,)


def test_many_values_are_kept_where_they_become_vectors() -> None:
    words = [f"w{n:03d}" for n in range(300) for _ in range(3)]
    frame = pd.DataFrame({"w": words, "y": [0, 1, 1] * 300})
    entries = {how: len(prepared(frame, np.arange(900), categories=how)[1].columns) for how in ("onehot", "embedding")}
    assert entries == {"onehot": 52, "embedding": 301}


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"crosses": ("age",)}, r"two columns with \* between"),
        ({"crosses": ("age*rms",)}, "no column 'rms'.*did you mean 'rooms'"),
        ({"crosses": ("age*note",)}, "column 'note' holds dates or texts"),
        ({"crosses": ("age*y",)}, "no column 'y'"),
        ({"orders": {"size": ["small", "large"]}}, "orders.size lacks 'medium', which column 'size' holds"),
        ({"orders": {"sise": SIZES}}, "no column 'sise'.*did you mean 'size'"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused_in_one_line(wishes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        prepared(people(), **wishes)
    assert "\n" not in str(caught.value)


def test_the_command_line_takes_every_way(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    people().to_csv("people.csv", index=False)
    words = ["data.categories=embedding", "data.crosses=[age*rooms, sex*town]", "data.scale=quantile"]
    words += ["data.impute=mean", "data.dates=[month]", "data.orders={size: [small, medium, large]}"]
    assert main(["fit", "people.csv", "--target", "y", "--steps", "3", "--out", "run", *words]) == 0
    said = json.loads(Path("run/schema.json").read_text())["said"]
    assert "crosses: age*rooms, sex*town" in said
    people().drop(columns="y").to_csv("rows.csv", index=False)
    capsys.readouterr()
    assert main(["predict", "run", "rows.csv"]) == 0
    answers = pd.read_csv(io.StringIO(capsys.readouterr().out))
    expected = ts.load(tmp_path / "run").predict(people().drop(columns="y"))
    assert answers["prediction"].tolist() == list(expected)
    assert main(["fit", "people.csv", "--target", "y", "data.scale=log"]) == 2
    assert "data.source.scale: got 'log'; expected one of 'standard', 'quantile', 'none'" in capsys.readouterr().err
