"""Public sets whose rows hold two kinds of input: images and their captions, digits seen, written and spoken."""

from __future__ import annotations

import csv
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray

from thetastar.data.arrays import arrays
from thetastar.data.captioned import captioned
from thetastar.data.clips import clips
from thetastar.data.named import located, mnist, spoken_digits, tiny_imagenet
from thetastar.errors import UserError
from thetastar.functional.keys import mix
from thetastar.protocols import Source
from thetastar.registry import Count

__all__ = ["bound_digits", "captioned_tiny_imagenet"]

TEMPLATES = ("a photo of a {}", "a small photo of a {}", "a picture of one {}", "there is a {} here", "this is a {}")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def captioned_tiny_imagenet(
    *,
    shards: Annotated[int, Ge(1), Le(3)] = 1,
    size: Count | None = 32,
    held_out: Annotated[int, Ge(2), Le(190)] = 40,
    seed: int = 0,
) -> Source:
    """Tiny ImageNet with captions made of its classes' names and synonyms; some classes are the test split alone.

    A caption is a template, "a photo of a {}", filled with one of the synonyms that the set lists, or with all of them.
    The classes held out were seen neither as images nor as words.

    Args:
        shards: of the three to train on.
        size: of the sides of all images in pixels; null leaves 64.
        held_out: classes that are the test split.
        seed: of which they are, and of templates and synonyms.

    Source: Le and Yang 2015, Tiny ImageNet visual recognition challenge; captions as Radford et al. 2021, Learning
    transferable visual models from natural language supervision.
    """
    known = tiny_imagenet(shards=shards, size=size)
    assert isinstance(known, arrays)
    assert known.targets is not None
    with (located("tiny-imagenet", "classes.tsv") / "classes.tsv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    synonyms = [[*line["gloss"].split(", "), line["gloss"]] for line in lines]
    random = np.random.default_rng(mix("captions", seed))
    labels = known.targets.numpy()
    new = np.isin(labels, random.permutation(len(lines))[:held_out])
    texts = [
        TEMPLATES[template % len(TEMPLATES)].format(synonyms[label][word % len(synonyms[label])])
        for label, template, word in zip(labels, *random.integers(0, 2**20, (2, len(labels))), strict=True)
    ]
    title = f"Tiny ImageNet with captions, {held_out} classes held out"
    return captioned(
        inputs={"image": known.inputs},
        texts={"text": texts},
        targets=labels,
        names=[line["name"] for line in lines],
        given={"train": np.flatnonzero(~new), "test": np.flatnonzero(new)},
        unit="wordpiece",
        vocabulary=2000,
        title=title,
        digest=f"{known.fingerprint}-{held_out}-{seed}",
    )


def bound_digits(*, rows: Count = 6000, speaker: str = "theo", seed: int = 0) -> Source:
    """MNIST digits beside words, and other MNIST digits beside spoken ones; words and sounds are never a pair.

    A row holds an image and its digit in words, and another image ("other", of any digit) and a recording of that
    other digit: "pairing" is by digit, so an image meets many voices. The test split has images that MNIST keeps for
    it, and a speaker whom no other row has.

    Args:
        rows: to train on.
        speaker: who is heard in the test split alone.
        seed: of all draws.

    Source: LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition; Jackson et
    al. 2018, Free spoken digit dataset; the pairing as Girdhar et al. 2023, ImageBind: one embedding space to bind them
    all.
    """
    seen, heard = mnist(), spoken_digits(group="speaker")
    assert isinstance(seen, arrays)
    assert isinstance(heard, clips)
    assert seen.targets is not None
    assert heard.targets is not None
    assert seen.given is not None
    speakers = np.asarray(heard.groups)
    if speaker not in set(speakers):
        raise UserError(f"data.speaker={speaker}", f"one of {', '.join(sorted(set(speakers)))}", "choose another")
    random = np.random.default_rng(mix("bound digits", seed))
    drawn: list[dict[str, Any]] = []
    for split, count in (("train", rows), ("test", max(rows // 6, 10))):
        images = np.asarray(seen.given[split])  # type: ignore[index]
        voices = np.flatnonzero((speakers == speaker) == (split == "test"))
        sound = random.choice(voices, count)
        drawn.append(
            {
                "image": random.choice(images, count),
                "other": of_digits(random, images, seen.targets.numpy(), heard.targets.numpy()[sound]),
                "sound": sound,
            }
        )
    place = {name: torch.from_numpy(np.concatenate([part[name] for part in drawn])) for name in drawn[0]}
    digits = seen.targets[place["image"]].numpy()
    forms = ("{}", "the digit {}", "a {}", "the number {}")
    texts = [
        forms[form].format(WORDS[digit]) for digit, form in zip(digits, random.integers(0, 4, len(digits)), strict=True)
    ]
    source = captioned(
        inputs={
            "image": seen.inputs[place["image"]],
            "other": seen.inputs[place["other"]],
            "sound": heard.inputs[place["sound"]],
        },
        texts={"text": texts},
        rates={"sound": heard.rate},
        targets=digits,
        names=WORDS,
        given={"train": np.arange(rows), "test": np.arange(rows, len(digits))},
        title="digits seen, written and spoken",
    )
    source.heard = heard.targets[place["sound"]].numpy()
    source.said.append(f"{speaker} is heard in the test split alone")
    return source


def of_digits(
    random: np.random.Generator, images: NDArray[Any], digits: NDArray[Any], wanted: NDArray[Any]
) -> NDArray[Any]:
    """An image of each digit wanted, drawn among `images`."""
    out = np.empty(len(wanted), np.int64)
    for digit in np.unique(wanted):
        places = np.flatnonzero(wanted == digit)
        out[places] = random.choice(images[digits[images] == digit], len(places))
    return out
