"""What images teach of words and sounds: new classes named by their words, and sounds and words bound by images.

    python -m benchmarks.cross_modal DATA-FOLDER [--only zero_shot bound] [--seeds 2] [--steps N] [--out FILE]

zero_shot: CLIP on a third of Tiny ImageNet at 32×32; 40 classes of which neither image nor name was seen are told apart
by the direction of their prompts. Beside it stands "names alone": the class that CLIP takes the image for among those
trained on, then the new class whose name looks most like it. Intervals resample classes.

bound: MNIST images beside digit words, and other images beside spoken digits; sounds and words are never a pair. Recall
at 1 of words for sounds of a speaker who was never heard, and of sounds for words; beside it the same with shuffled
pairs of images and sounds. Pairing is by digit.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

from thetastar.data.paired import TEMPLATES, WORDS
from thetastar.defaults import open_stream
from thetastar.functional.keys import mix
from thetastar.hardware import provenance
from thetastar.protocols import Stream
from thetastar.recipe import Recipe
from thetastar.star import Star, train

# declared before anything ran
ZERO_SHOT: dict[str, Any] = {
    "data": {"name": "captioned_tiny_imagenet", "batch_size": 256},
    "model": {
        "name": "towers",
        "nets": {
            "image": {"name": "resnet9", "width": 16},
            "text": {"name": "text_transformer", "width": 128, "depth": 2, "dropout": 0.2},
        },
    },
    "method": {"name": "clip", "outputs": 128},
    "algorithm": {"name": "adamw", "lr": 2e-3, "weight_decay": 0.1},
    "budget": {"epochs": 12},
}
BOUND: dict[str, Any] = {
    "data": {"name": "bound_digits", "batch_size": 128},
    "model": {
        "name": "towers",
        "nets": {
            "image": {"name": "cnn", "channels": [16, 32], "hidden": 64, "norm": "batch"},
            "text": {"name": "text_transformer", "width": 32, "depth": 1, "heads": 2},
            "sound": {"name": "audio_cnn", "dropout": 0.2},
        },
        "shared": {"other": "image"},
    },
    "method": {"name": "clip", "pairs": [["image", "text"], ["other", "sound"]], "outputs": 64},
    "algorithm": {"name": "adamw", "lr": 2e-3},
    "budget": {"epochs": 10},
}
DRAWS = 2000  # of a bootstrap


def directions(star: Star, name: str, x: Tensor) -> Tensor:
    """(rows, …) of an input → (rows, outputs), a part at a time."""
    program = star.program.eval()
    with torch.no_grad():
        return torch.cat([program.method.direction(program.f, name, part) for part in x.split(512)])  # type: ignore[operator]


def prompts(star: Star, stream: Stream, names: Sequence[str]) -> Tensor:
    """The mean direction of a class's name in every template, (classes, outputs)."""
    found = []
    for name in names:
        tokens = stream.source.encoded("text", [template.format(name) for template in TEMPLATES])  # type: ignore[attr-defined]
        found.append(torch.nn.functional.normalize(directions(star, "text", tokens).mean(0), dim=0))
    return torch.stack(found)


def zero_shot(seed: int, steps: int | None) -> dict[str, Any]:
    data = {**ZERO_SHOT["data"], "seed": seed}
    stream = open_stream(data)
    names = list(stream.schema.target.names)  # type: ignore[union-attr]
    star = train(recipe_of({**ZERO_SHOT, "data": data}, seed, steps), stream=stream)
    test = stream.examples("test")  # type: ignore[attr-defined]
    images, labels = directions(star, "image", test["input"]["image"]), test["target"].numpy()
    new = np.unique(labels)
    old = np.setdiff1d(np.arange(len(names)), new)
    text = prompts(star, stream, names)
    found = new[(images @ text[new].T).argmax(1).numpy()]
    taken_for = old[(images @ text[old].T).argmax(1).numpy()]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)).fit_transform(names)
    nearest = new[(vectors[old] @ vectors[new].T).toarray().argmax(1)]
    by_name = dict(zip(old.tolist(), nearest.tolist(), strict=True))
    alone = np.asarray([by_name[taken] for taken in taken_for.tolist()])
    right, guessed = per_class(found == labels, labels), per_class(alone == labels, labels)
    return {
        "seed": seed,
        "classes": len(new),
        "chance": 1 / len(new),
        "zero_shot": interval(right),
        "names_alone": interval(guessed),
        "difference": interval(right - guessed),
    }


def per_class(hits: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray([hits[labels == label].mean() for label in np.unique(labels)])


def interval(values: NDArray[np.float64]) -> list[float]:
    """Mean over classes, and 95% of its bootstrap over them."""
    random = np.random.default_rng(0)
    means = values[random.integers(0, len(values), (DRAWS, len(values)))].mean(1)
    return [round(float(value), 4) for value in (values.mean(), *np.quantile(means, [0.025, 0.975]))]


def bound(seed: int, steps: int | None, shuffled: bool = False) -> dict[str, Any]:
    data = {**BOUND["data"], "seed": seed}
    stream = open_stream(data)
    if shuffled:
        rows = torch.randperm(
            len(stream.columns["input"]["sound"]),  # type: ignore[attr-defined]
            generator=torch.Generator().manual_seed(mix("shuffled", seed)),
        )
        trained = torch.from_numpy(stream.rows["train"])  # type: ignore[attr-defined]
        sounds = stream.columns["input"]["sound"]  # type: ignore[attr-defined]
        order = rows[torch.isin(rows, trained)]
        sounds[trained] = sounds[order]
    star = train(recipe_of({**BOUND, "data": data}, seed, steps), stream=stream)
    heard = stream.source  # type: ignore[attr-defined]
    test = stream.examples("test")["input"]  # type: ignore[attr-defined]
    digits = spoken(stream)
    sounds = directions(star, "sound", test["sound"])
    words = directions(star, "text", heard.encoded("text", [f"the digit {word}" for word in WORDS]))
    scores = sounds @ words.T
    to_text = (scores.argmax(1).numpy() == digits).astype(float)
    to_sound = (digits[scores.argmax(0).numpy()] == np.arange(10)).astype(float)
    return {
        "seed": seed,
        "shuffled": shuffled,
        "chance": 0.1,
        "sound_to_word": interval(per_class(to_text > 0, digits)),
        "word_to_sound": round(float(to_sound.mean()), 3),
    }


def spoken(stream: Stream) -> NDArray[np.int64]:
    """The digits heard in the test split."""
    return np.asarray(stream.source.heard)[stream.rows["test"]]  # type: ignore[attr-defined]


def recipe_of(entry: dict[str, Any], seed: int, steps: int | None) -> Recipe:
    recipe = Recipe.from_mapping({**entry, "seed": seed})
    return recipe.replace(budget={"steps": steps}) if steps else recipe


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the folder of data sets")
    parser.add_argument("--only", nargs="+", choices=["zero_shot", "bound"], default=["bound", "zero_shot"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, help="in place of the budget, for a rehearsal")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    os.environ["THETASTAR_DATA"] = str(Path(options.data).absolute())
    results: dict[str, list[dict[str, Any]]] = {}
    for name in options.only:
        for seed in range(options.seeds):
            if name == "bound":
                found = [bound(seed, options.steps), bound(seed, options.steps, shuffled=True)]
            else:
                found = [zero_shot(seed, options.steps)]
            results.setdefault(name, []).extend(found)
            print(name, json.dumps(found), flush=True)
            if options.out and not options.steps:
                text = json.dumps(
                    {
                        "results": results,
                        "declared": {"zero_shot": ZERO_SHOT, "bound": BOUND},
                        "provenance": {**provenance(), "command": "python -m benchmarks.cross_modal FOLDER"},
                    },
                    indent=1,
                )
                options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
