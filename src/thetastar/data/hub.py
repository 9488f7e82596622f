"""Data sets of the hub by name: a table, a text with classes, or images."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd

from thetastar.data.arrays import arrays
from thetastar.data.prepare.pictures import load
from thetastar.data.prepare.splitting import SPLITS, Given
from thetastar.data.prepare.targets import Task, refuse_singles
from thetastar.data.table import table
from thetastar.errors import UserError, nearest
from thetastar.protocols import Source
from thetastar.registry import Count

__all__ = ["hub"]

SECONDS = 10  # that the hub may take to answer whether it has the data
TARGETS = ("label", "labels", "target", "class", "y")
FLAT = ("bool", "int", "uint", "float", "string", "large_string", "date", "timestamp", "time", "decimal", "null")


def hub(
    *,
    repo: str,
    config: str | None = None,
    revision: str | None = None,
    target: str | None = None,
    task: Task = "auto",
    image: str | None = None,
    drop: tuple[str, ...] = (),
    splits: dict[str, str] | None = None,
    size: Count | None = None,
) -> Source:
    """A data set of the Hugging Face hub, as hub:owner/name; its content is data only, no code of it is run.

    A column of images makes images with classes, other columns a table; class numbers get their names. Splits that are
    called train, valid (validation, val, dev) and test are kept; one whose labels are all hidden is left out. What was
    loaded once is read from the hub's cache where no network is. Needs the extra `hub`.

    Args:
        repo: owner/name, or the name alone of old sets.
        config: one of the set's configurations, where it has several.
        revision: a branch, tag or commit of the set; null is the newest.
        target: the column to predict; null takes the only column of classes, or one that is called label.
        task: as of tables.
        image: the column of images, where there are several.
        drop: columns to leave out.
        splits: what a split of the set is used as, for example {test_matched: test}.
        size: of the sides of all images in pixels; null takes the most common size.
    """
    return source_of(_loaded(repo, config, revision), repo, target, task, image, drop, splits or {}, size)


def _loaded(repo: str, config: str | None, revision: str | None) -> Mapping[str, Any]:
    """Split → rows. Whether the hub can be reached is asked once and briefly; otherwise its cache has to do."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import datasets  # pyright: ignore[reportMissingImports]
        from huggingface_hub import constants  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UserError(
            f"hub:{repo} needs the package datasets", "it installed", "run: pip install 'thetastar[hub]'"
        ) from None
    away = _away(repo, revision, constants.ENDPOINT)
    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    if away:  # otherwise every file would be asked for again and again
        datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    try:
        return datasets.load_dataset(repo, config, revision=revision)
    except (ConnectionError, FileNotFoundError) as error:
        if away:
            got = f"the hub cannot be reached ({away}) and hub:{repo} is not in its cache"
            raise UserError(got, "a network, or a set loaded before", "try again with one, or name a file") from None
        raise UserError(f"hub:{repo}: {_line(error)}", "Parquet, CSV, JSON or images", "choose another set") from None
    except (ValueError, RuntimeError, OSError) as error:
        do = "set data.config, or choose another"
        raise UserError(f"hub:{repo}: {_line(error)}", "a set of plain files, without a script", do) from None
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _away(repo: str, revision: str | None, endpoint: str) -> str:
    """Why the hub cannot be asked; "" where it answers that it has the data."""
    from huggingface_hub.utils import build_hf_headers  # pyright: ignore[reportMissingImports]

    place = f"{endpoint}/api/datasets/{quote(repo)}" + (f"/revision/{quote(revision, safe='')}" if revision else "")
    try:
        with urlopen(Request(place, headers=build_hf_headers()), timeout=SECONDS):
            return ""
    except HTTPError as error:
        if error.code in (401, 403, 404):
            what = f"hub:{repo}" + (f" at {revision}" if revision else "")
            got = f"{what} is not on the hub, or asks for a login"
            raise UserError(got, "owner/name of a data set", "check the name, or run: hf auth login") from None
        return f"it answers {error.code}"
    except OSError as error:  # also what urllib and a timeout raise
        return str(getattr(error, "reason", error))


def _line(error: Exception) -> str:
    words = " ".join(str(error).split())
    return words if len(words) < 300 else words[:299] + "…"


def source_of(
    loaded: Mapping[str, Any],
    repo: str,
    target: str | None,
    task: Task,
    image: str | None,
    drop: Sequence[str],
    splits: Mapping[str, str],
    size: int | None,
) -> Source:
    """The source that suits the columns: images with classes, or a table."""
    said: list[str] = []
    title = repo.rsplit("/", 1)[-1]
    features = dict(next(iter(loaded.values())).features)
    for name in [*drop, *([target] if target else []), *([image] if image else [])]:
        if name not in features:
            raise UserError(f"hub:{repo} has no column '{name}'", "one of its columns", nearest(name, features))
    pictures = [name for name, kind in features.items() if type(kind).__name__ == "Image" and name not in drop]
    target = target or _target(repo, {name: kind for name, kind in features.items() if name not in (*drop, *pictures)})
    parts = _parts(loaded, repo, target, splits, said)
    if pictures:
        return _of_images(parts, title, image or pictures[0], target, features[target], size, said)
    return _of_table(parts, title, target, task, features, drop, said)


def _target(repo: str, features: Mapping[str, Any]) -> str:
    classes = [name for name, kind in features.items() if type(kind).__name__ == "ClassLabel"]
    called = [name for name in TARGETS if name in features]
    found = classes if len(classes) == 1 else called
    if not found:
        raise UserError(
            f"hub:{repo}: no target given",
            f"one of its columns: {', '.join(list(features)[:12])}",
            "name it with --target",
        )
    return found[0]


def _parts(
    loaded: Mapping[str, Any], repo: str, target: str, splits: Mapping[str, str], said: list[str]
) -> dict[str, Any]:
    """Rows by train, valid and test; splits of other names, and those without labels, are left out and named."""
    for name in splits:
        if name not in loaded:
            raise UserError(f"data.splits: hub:{repo} has no split '{name}'", ", ".join(loaded), nearest(name, loaded))
    found: dict[str, Any] = {}
    for name, rows in loaded.items():
        use = SPLITS.get(splits.get(name, name).lower())
        if use is None or use in found:
            said.append(f"split '{name}' is left out; data.splits names what it is used as")
        elif _hidden(rows.data.column(target)):
            said.append(f"split '{name}' is left out: its labels are hidden")
        else:
            found[use] = rows
    if "train" not in found:
        if len(loaded) > 1:
            raise UserError(
                f"hub:{repo} has the splits {', '.join(loaded)}", "one to train on", "set data.splits={NAME: train}"
            )
        found = {"train": next(iter(loaded.values()))}
    return found


def _hidden(column: Any) -> bool:
    """Whether every label is missing, or -1 as the hub writes what competitions keep to themselves."""
    values = pd.Series(column.to_pylist())
    return bool((values.isna() | (values == -1)).all())


def _given(parts: Mapping[str, Any]) -> Given | None:
    if len(parts) == 1:
        return None
    ends = np.cumsum([len(rows) for rows in parts.values()])
    pairs = zip(parts.items(), ends, strict=True)
    return {name: np.arange(end - len(rows), end) for (name, rows), end in pairs}  # type: ignore[misc]


def _of_table(
    parts: Mapping[str, Any],
    title: str,
    target: str,
    task: Task,
    features: Mapping[str, Any],
    drop: Sequence[str],
    said: list[str],
) -> Source:
    """Flat columns as a frame; class numbers become their names."""
    kept = [name for name, kind in features.items() if name not in drop and _flat(kind)]
    if odd := [name for name in features if name not in kept and name not in drop]:
        said.append(f"columns of lists, sounds and the like are left out: {', '.join(odd)}")
    if target not in kept:
        raise UserError(f"{title}: target '{target}' holds {features[target]}", "classes or numbers", "name another")
    frame = pd.concat([rows.select_columns(kept).to_pandas() for rows in parts.values()], ignore_index=True)
    for name in kept:
        if names := list(getattr(features[name], "names", None) or []):
            codes = frame[name].fillna(-1).astype(int).to_numpy()
            frame[name] = [names[code] if code >= 0 else None for code in codes]
    source = table(frame=frame, target=target, task=task)
    source.name, source.given = title, _given(parts)
    source.said[:0] = said
    return source


def _flat(kind: Any) -> bool:
    name = getattr(kind, "dtype", None)
    return type(kind).__name__ in ("Value", "ClassLabel") and str(name).startswith(FLAT)


def _of_images(
    parts: Mapping[str, Any], title: str, image: str, target: str, kind: Any, size: int | None, said: list[str]
) -> Source:
    """Images as they were stored, decoded as all images are."""
    import datasets  # pyright: ignore[reportMissingImports]

    columns = [rows.cast_column(image, datasets.Image(decode=False)) for rows in parts.values()]
    labels = np.concatenate([np.asarray(rows.data.column(target).to_pylist()) for rows in columns])
    if labels.ndim > 1 or labels.dtype == object:
        raise UserError(f"{title}: target '{target}' holds {kind}", "a class or a number an image", "name another")
    digest = hashlib.sha256(json.dumps([rows._fingerprint for rows in columns]).encode()).hexdigest()
    rows = [f"row {number} of {name}" for name, part in parts.items() for number in range(len(part))]
    pictures = load(_Images(columns, image), rows, digest, size, said)
    given, names = _given(parts), tuple(getattr(kind, "names", None) or ())
    if given is not None:
        given = {name: np.flatnonzero(np.isin(pictures.kept, rows)) for name, rows in given.items()}
    values = labels[pictures.kept]
    if values.dtype.kind in "iubUO":
        distinct, values, counts = np.unique(values, return_inverse=True, return_counts=True)
        names = tuple(names[int(code)] for code in distinct) if names else tuple(str(value) for value in distinct)
        refuse_singles(names, counts, title)
    hashed = hashlib.sha256(pictures.digest.encode() + np.ascontiguousarray(values).tobytes()).hexdigest()[:16]
    source = arrays(inputs=pictures.images, targets=values, names=names, given=given, title=title, digest=hashed)
    source.said = [*source.said, *said]
    return source


class _Images(Sequence[bytes]):
    """The compressed images of all splits as one sequence, each read when it is asked for."""

    def __init__(self, parts: Sequence[Any], image: str) -> None:
        self.parts, self.image = parts, image
        self.ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, number: Any) -> bytes:
        part = int(np.searchsorted(self.ends, number, "right"))
        before = int(self.ends[part - 1]) if part else 0
        entry = self.parts[part][int(number) - before][self.image] or {}
        if entry.get("bytes") is None and entry.get("path"):
            try:
                with open(entry["path"], "rb") as file:
                    return file.read()
            except OSError:
                return b""
        return entry.get("bytes") or b""
