"""Inputs beside texts: one tokeniser learnt from the training rows, classes and voices that only the test split has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from thetastar.data.captioned import captioned, captioned_bars
from thetastar.defaults import open_stream
from thetastar.errors import UserError

pytest.importorskip("tokenizers")


def test_texts_stand_beside_images_and_come_back() -> None:
    source = captioned_bars(rows=96)
    schema, columns = source.prepare(source.given["train"])
    assert {name: field.kind for name, field in schema.input.items()} == {"image": "image", "text": "tokens"}
    assert columns["input"]["text"].shape == (96, schema.input["text"].shape[0])
    again = captioned.restore(source.state())
    row = {"image": source.inputs["image"][5], "text": source.texts["text"][5]}
    batch = again.transform(row)
    torch.testing.assert_close(batch["input"]["text"][0], columns["input"]["text"][5])
    torch.testing.assert_close(batch["input"]["image"][0], source.inputs["image"][5] / 255)
    with pytest.raises(UserError, match="rows without text"):
        again.transform({"image": row["image"]})


def test_kinds_held_out_are_no_training_rows_but_their_words_are_known() -> None:
    stream = open_stream("captioned_bars")
    kinds = {split: set(stream.examples(split)["target"].tolist()) for split in ("train", "test")}
    assert len(kinds["test"]) == 4
    assert not kinds["train"] & kinds["test"]
    assert (stream.examples("test")["input"]["text"] != 1).all()  # no unknown word


def test_texts_that_do_not_fit_are_refused() -> None:
    images = np.zeros((6, 1, 4, 4), np.uint8)
    with pytest.raises(UserError, match="5 texts 'text' beside 6 rows"):
        captioned(inputs={"image": images}, texts={"text": ["a"] * 5})
    with pytest.raises(UserError, match="captioned with one input"):
        captioned(inputs=images, texts={"text": ["a"] * 6})


@pytest.mark.shows("L6")
def test_the_speaker_held_out_is_in_no_training_row_and_others_show_the_digit_heard(shared_data: Path) -> None:
    pytest.importorskip("soundfile")
    if not (shared_data / "mnist").is_dir() or not (shared_data / "spoken-digits").is_dir():
        pytest.skip("needs mnist and spoken-digits")
    stream = open_stream({"name": "bound_digits", "rows": 120})
    rows = {split: stream.rows[split] for split in ("train", "valid", "test")}
    sounds = stream.columns["input"]["sound"]
    test = {tuple(clip[:200].tolist()) for clip in sounds[rows["test"]] if clip[:200].abs().sum() > 0}
    assert not test & {tuple(clip[:200].tolist()) for clip in sounds[rows["train"]]}
    assert len(stream.source.heard) == 140
    assert (stream.source.heard != stream.columns["target"].numpy()).mean() > 0.5  # pairs are not of one digit
