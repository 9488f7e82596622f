"""Public data sets that are found under THETASTAR_DATA; nothing is downloaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from thetastar.data.parquet_images import parquet_images
from thetastar.data.sounds import sounds
from thetastar.data.table import table
from thetastar.errors import UserError
from thetastar.protocols import Source
from thetastar.registry import Count

__all__ = ["adult", "camvid", "cifar10", "housing", "mnist", "spoken_digits", "sst2", "tiny_imagenet"]


def mnist() -> Source:
    """MNIST: 28×28 grey images of handwritten digits, 60,000 to train on and 10,000 to test.

    Source: LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition.
    """
    return parquet_images(path=str(located("mnist")), title="MNIST")


def cifar10() -> Source:
    """CIFAR-10 (JPEG): 32×32 colour images of ten kinds of things, 50,000 to train on and 10,000 to test.

    The images are stored as JPEG, so results lie a little under those on the original.

    Source: Krizhevsky 2009, Learning multiple layers of features from tiny images.
    """
    return parquet_images(path=str(located("cifar10-jpeg")), title="CIFAR-10 (JPEG)")


def tiny_imagenet(*, shards: Annotated[int, Ge(1), Le(3)] = 3, size: Count | None = None) -> Source:
    """Tiny ImageNet: 64×64 colour images of 200 kinds of things, 100,000 to train on.

    The labels of its test split were never published. As everywhere, the 10,000 images of its valid split take that
    place: they are the sealed test split here, and what choices are made by is drawn from train.

    Args:
        shards: of the three to train on, each of which holds a third of every class.
        size: of the sides of all images in pixels; null leaves 64.

    Source: Le and Yang 2015, Tiny ImageNet visual recognition challenge.
    """
    where = located("tiny-imagenet", "valid.parquet")
    files = [*sorted(where.glob("train-*.parquet"))[:shards], where / "valid.parquet"]
    return parquet_images(path=tuple(map(str, files)), size=size, splits={"valid": "test"}, title="Tiny ImageNet")


def camvid(*, size: Count | tuple[Count, Count] | None = None) -> Source:
    """CamVid: 240×180 frames of a drive through Cambridge, every pixel one of 11 classes; 367, 101 to choose by, 233.

    Args:
        size: of the sides in pixels, or [width, height]; null keeps 240×180.

    Source: Brostow, Fauqueur and Cipolla 2009, Semantic object classes in video; classes and splits of Badrinarayanan,
    Kendall and Cipolla 2017, SegNet: a deep convolutional encoder-decoder architecture for image segmentation.
    """
    return parquet_images(path=str(located("camvid")), size=size, title="CamVid")


def spoken_digits(*, group: str | None = None) -> Source:
    """Free spoken digits: 3,000 recordings of 0 to 9 by six speakers at 8 kHz; the first five takes of each are test.

    Args:
        group: "speaker" keeps each speaker in one split, and leaves the given splits aside.

    Source: Jackson et al. 2018, Free spoken digit dataset.
    """
    return sounds(path=str(located("spoken-digits")), group=group, title="spoken digits")


def housing() -> Source:
    """California housing of 1990: 20,640 districts; the median value of a house from place, age, size and income.

    Source: Pace and Barry 1997, Sparse spatial autoregressions.
    """
    return table(path=str(located("tables", "housing.csv") / "housing.csv"), target="median_house_value")


def adult() -> Source:
    """Census income: whether an adult earned more than 50,000 dollars a year; 32,561 to train on, 16,281 to test.

    Source: Kohavi 1996, Scaling up the accuracy of naive-Bayes classifiers: a decision-tree hybrid.
    """
    where = located("tables", "adult-train.csv")
    files = tuple(str(where / f"adult-{split}.csv") for split in ("train", "test"))
    return table(path=files, target="income")


def sst2() -> Source:
    """Stanford Sentiment Treebank: sentences of film reviews, praise or blame; 6,920, 872 to choose by, 1,821 to test.

    Source: Socher et al. 2013, Recursive deep models for semantic compositionality over a sentiment treebank.
    """
    return table(path=str(located("sst2")), target="label")


def located(folder: str, file: str = "train.parquet") -> Path:
    """The first folder of that name under a folder in THETASTAR_DATA."""
    named = os.environ.get("THETASTAR_DATA", "")
    for part in named.split(os.pathsep):
        if part and (Path(part).expanduser() / folder).is_dir():
            return Path(part).expanduser() / folder
    got = f"'{folder}' is in no folder of THETASTAR_DATA ({named})" if named else "THETASTAR_DATA is not set"
    do = "set THETASTAR_DATA=/path/to/data (several folders separated by ':')"
    raise UserError(got, f"a folder that holds {folder}/{file}", do)
