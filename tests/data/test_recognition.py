"""What a column holds is read off the training rows: numbers with marks, dates, texts; held-out rows change nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from thetastar.data.table import table
from thetastar.errors import UserError

ROWS = 40


def prepared(values: Any, rows: Any = None, **arguments: Any) -> tuple[table, Any, np.ndarray]:
    frame = pd.DataFrame({"c": values, "other": np.arange(len(values)) % 5, "y": ["u", "v"] * (len(values) // 2)})
    source = table(frame=frame, target="y", drop=("other",), **arguments)
    schema, columns = source.prepare(np.arange(len(frame)) if rows is None else rows)
    stored = table.restore(json.loads(json.dumps(source.state())))
    assert torch.equal(stored.transform(frame[["c"]])["input"], columns["input"])
    return source, schema.input.names, columns["input"].numpy()


@pytest.mark.parametrize(
    ("words", "expected", "line"),
    [
        (["1,234.5", "7", "-12,000"], [1234.5, 7, -12000], "',' between thousands"),
        (["1 234", "7", "1\u00a0000\u00a0000"], [1234, 7, 1e6], "' ' between thousands"),
        (["1'234.5", "7", "8"], [1234.5, 7, 8], '"\'" between thousands'),
        (["1.234,5", "7", "0,25"], [1234.5, 7, 0.25], "a decimal comma"),
        (["1e3", "7", " 2.5 "], [1000, 7, 2.5], None),
        (["0,125", "1,250", "0,500"], [0.125, 1.25, 0.5], "a decimal comma"),  # no group of thousands begins with 0
        (["$1,234.5", "-$7", "$ 12,000"], [1234.5, -7, 12000], "',' between thousands and the sign $"),
        (["1.234,5 €", "7 €", "0,25 €"], [1234.5, 7, 0.25], "a decimal comma and the sign €"),
        (["12.5%", "7 %", "100%"], [12.5, 7, 100], "the sign %"),
    ],
)
def test_marks_of_thousands(words: list[str], expected: list[float], line: str | None) -> None:
    source, names, x = prepared(words * 10)
    assert names == ("c",)
    np.testing.assert_allclose(x[:3, 0], expected)
    said = [text for text in source.said if "holds numbers" in text]
    assert said == ([f"column 'c' holds numbers with {line}"] if line else [])


def test_numbers_of_two_currencies_stay_words() -> None:
    assert prepared(["$5", "€5"] * 20)[1] == ("c=$5", "c=€5", "c=unknown")


def test_a_few_words_among_numbers_are_missing_and_many_make_a_column_of_words() -> None:
    source, names, x = prepared([*map(str, range(38)), "n/k", "?"])
    assert names == ("c", "c missing")
    assert x[38:].tolist() == [[18.5, 1.0], [18.5, 1.0]]
    assert "column 'c': 1 of 40 values are no numbers ('n/k'): read as missing" in source.said
    assert source.transform({"c": "unheard"})["input"].tolist() == [[18.5, 1.0]]
    _, names, _ = prepared([*["1"] * 20, *["two"] * 20])
    assert names == ("c=1", "c=two", "c=unknown")


def test_categories_and_truth_values_stay_words() -> None:
    assert prepared(pd.Categorical([1, 2] * 20))[1] == ("c=1", "c=2", "c=unknown")
    assert prepared([True, False] * 20)[1] == ("c=False", "c=True", "c=unknown")
    assert prepared(["true", "FALSE"] * 20)[1] == ("c=False", "c=True", "c=unknown")


@pytest.mark.parametrize(
    "form", [None, "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M", "%m/%d/%Y", "%d %b %Y"]
)
def test_parts_of_dates_agree_with_the_calendar(form: str | None) -> None:
    when = pd.Series(pd.Timestamp("2019-11-20 06:30") + pd.to_timedelta(np.arange(ROWS) * 3 % 71 * 25, "h"))
    source, names, x = prepared(when if form is None else when.dt.strftime(form))
    columns = dict(zip(names, x.T, strict=True))
    np.testing.assert_array_equal(columns["c year"], [moment.year for moment in when])
    np.testing.assert_array_equal(columns["c month"], [moment.month for moment in when])
    np.testing.assert_array_equal(columns["c day"], [moment.day for moment in when])
    np.testing.assert_array_equal(columns["c weekday"], [moment.weekday() for moment in when])
    hours = form is None or "%H" in form
    assert ("c hour" in columns) == hours
    seconds = np.array([moment.timestamp() for moment in (when if hours else when.dt.floor("D"))])
    start = np.floor(seconds.min() / 86400) * 86400
    np.testing.assert_allclose(columns["c elapsed days"], (seconds - start) / 86400, rtol=1e-6)
    assert any(line.startswith("column 'c' holds dates") for line in source.said)


def test_missing_dates_take_medians_and_say_so() -> None:
    values = [f"2020-01-{day:02d}" for day in range(1, 32)] + [None] * 9
    source, names, x = prepared(values)
    assert names == ("c day", "c weekday", "c elapsed days", "c missing")
    assert x[-1].tolist() == [16.0, 3.0, 15.0, 1.0]
    assert x[0, -1] == 0
    with pytest.raises(UserError, match="column 'c' holds 'soon'; expected dates as in training"):
        source.transform({"c": "soon"})


def test_dates_that_could_be_read_both_ways_are_pointed_out() -> None:
    both, sure = prepared(["03/04/2020", "05/06/2021"] * 20)[0], prepared(["03/14/2020", "05/06/2021"] * 20)[0]
    assert any("month first; day first would fit too" in line for line in both.said)
    assert not any("would fit" in line for line in sure.said)
    _, names, x = prepared(["14/03/2020", "05/06/2021"] * 20)
    assert x[:2, names.index("c day")].tolist() == [14, 5]


TEXTS = [
    f"{a} {b} was {c} number {n}, it's said"
    for n, (a, b, c) in enumerate(
        (a, b, c)
        for a in ("The film", "a play", "One song")
        for b in ("we saw", "they liked", "nobody knew")
        for c in ("good", "bad", "Good good", "long and dull")
    )
]


def test_tf_idf_agrees_with_scikit_learn() -> None:
    texts = [*TEXTS, None, "entirely other words of nothing known"]
    source, names, x = prepared(texts, np.arange(30))
    (column,) = source.columns
    reference = TfidfVectorizer(vocabulary=column.vocabulary, token_pattern=r"\w+(?:['’]\w+)*")
    reference.fit(texts[:30])
    expected = reference.transform([text or "" for text in texts]).toarray()
    np.testing.assert_allclose(x, expected, atol=1e-6)
    assert names == tuple(f"c: {word}" for word in column.vocabulary)
    assert x[-2].tolist() == [0.0] * len(names)
    assert "it's" in column.vocabulary
    counts = prepared(texts, np.arange(30), text="counts")[2]
    place = column.vocabulary.index("good")
    assert counts[:3, place].tolist() == [text.lower().split().count("good") for text in TEXTS[:3]]


def everything(seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, ROWS), "D")
    return pd.DataFrame(
        {
            "marks": [f"{value:,}" for value in random.integers(0, 9999, ROWS)],
            "mixed": [*map(str, random.integers(0, 9, ROWS - 1)), "x"],
            "word": random.choice(["red", "green", "blue"], ROWS),
            "date": days.strftime("%d.%m.%Y"),
            "text": [" ".join(random.choice(list("abcdefgh"), 7)) for _ in range(ROWS)],
            "y": random.choice(["yes", "no"], ROWS),
        }
    ).sample(frac=1, random_state=seed, ignore_index=True)


ODD = st.sampled_from(["", "?", "1.5", "1,2,3", "99/99/99", "2020-13-77", "zebra", "a b c d new words", "1e999", "∞"])


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 50), held=st.sets(st.integers(0, ROWS - 1), min_size=1, max_size=15), data=st.data())
def test_what_held_out_rows_hold_changes_nothing_that_is_fitted(seed: int, held: set[int], data: Any) -> None:
    frame = everything(seed)
    train = np.setdiff1d(np.arange(ROWS), sorted(held))
    other = frame.copy()
    for name in ("marks", "mixed", "word", "date", "text"):
        other.loc[sorted(held), name] = [data.draw(ODD) for _ in held]
    first, second = table(frame=frame, target="y"), table(frame=other, target="y")
    (schema, columns), (schema2, columns2) = first.prepare(train), second.prepare(train)
    assert schema == schema2
    assert first.columns == second.columns
    assert torch.equal(columns["input"][train], columns2["input"][train])
    assert torch.isfinite(columns2["input"]).all()
