"""A verdict in words and in tables for the terminal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from thetastar.outer.published import standing
from thetastar.outer.statistics import ALPHA

if TYPE_CHECKING:
    from rich.table import Table

    from thetastar.outer.verdict import Pair, Row, Verdict

_spoken = {
    "knn": "k-NN",
    "mlp": "MLP",
    "cnn": "CNN",
    "linear_svm": "linear SVM",
    "gan": "GAN",
    "lstm": "LSTM",
    "gru": "GRU",
    "vit": "ViT",
    "alexnet": "AlexNet",
    "googlenet": "GoogLeNet",
    "lenet5": "LeNet-5",
    "unet": "U-Net",
    "pspnet_resnet50": "PSPNet",
    "fcn_resnet50": "FCN",
    "deeplabv3_resnet50": "DeepLab v3",
}
_spoken |= {f"vit_{size}": f"ViT {size}" for size in ("tiny", "small", "base", "large", "huge", "hybrid")}
_spoken |= {f"deit_{size}": f"DeiT {size}" for size in ("tiny", "small", "base")}
_spoken |= {f"vgg{depth}": f"VGG-{depth}" for depth in (11, 13, 16, 19)}
_spoken |= {f"resnet{depth}": f"ResNet-{depth}" for depth in (9, 18, 20, 32, 34, 44, 50, 56, 101, 110, 152)}
_heads = {"nll": "NLL", "ece": "ECE", "rmse": "RMSE", "mse": "MSE", "mae": "MAE", "r2": "R²"}
_heads |= {"mape": "MAPE", "mean_iou": "mean IoU", "image_iou": "image IoU", "jaccard": "Jaccard"}
_heads |= {"roc_auc": "ROC-AUC", "f1": "F₁", "micro_f1": "micro F₁"}
SHARES = (
    "accuracy", "balanced_accuracy", "ece", "top_k", "precision", "recall", "f1", "micro_f1", "jaccard", "mean_iou",
    "image_iou", "pixel_accuracy", "mape",
)  # fmt: skip


def spoken(name: str) -> str:
    """A registered name as people write it."""
    return "+".join(_spoken.get(part, part.replace("_", " ")) for part in name.split("+"))


def capital(sentence: str) -> str:
    """A sentence begins with a capital, unless it begins with a name that has its own, like k-NN."""
    first = sentence.split(" ", 1)[0]
    return sentence if first != first.lower() else sentence[:1].upper() + sentence[1:]


def head(measure: str) -> str:
    return _heads.get(measure, measure.replace("_", " "))


def listed(names: Sequence[str], joint: str = "and") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {joint} {names[-1]}"


def counted(number: int, noun: str) -> str:
    """'1 seed', '1,000 trainings'."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def figure(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, thousands separated; – where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}" if places < 7 else f"{value:.{digits - 1}e}"


def amount(measure: str, value: float | None) -> str:
    """A value of a measure as tables show it: shares in percent."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{100 * value:.1f}%" if measure in SHARES else figure(value)


def span(row: Row, verdict: Verdict) -> str:
    """'96.1–98.3', the 95% interval of a row; "" where it is not known."""
    if row.low is None or row.high is None or not math.isfinite(row.low + row.high):
        return ""
    if verdict.question.measure in SHARES:
        return f"{100 * row.low:.1f}–{100 * row.high:.1f}"
    return f"{figure(row.low)}–{figure(row.high)}"


def quality(row: Row, verdict: Verdict) -> str:
    """'97.4% (96.1–98.3)'."""
    between = span(row, verdict)
    return amount(verdict.question.measure, row.quality) + (f" ({between})" if between else "")


def difference(pair: Pair, verdict: Verdict) -> str:
    """'1.1 ± 0.4': the size of the difference and half its 95% interval, in points or in the measure's own units."""
    half = (pair.high - pair.low) / 2
    if verdict.binary:
        return f"{100 * abs(pair.difference):.1f} ± {100 * half:.1f}"
    places = max(0, 1 - math.floor(math.log10(half))) if half > 0 and math.isfinite(half) else 2
    return f"{abs(pair.difference):,.{places}f} ± {half:,.{places}f}"


def remedy(pair: Pair, verdict: Verdict) -> str:
    """What would settle an open pair."""
    redrawn = verdict.question.resplit
    if pair.remedy == "none":
        return ", and no affordable number of examples or seeds would settle it"
    if pair.remedy == "both":
        return f", about {pair.number} times as many seeds and test examples would settle it"
    if pair.remedy == "examples":
        what = "row of data" if redrawn else "test example"
        many = "rows of data" if redrawn else "test examples"
    else:
        what = "split" if redrawn else "seed"
        many = f"{what}s"
    return f", about {pair.number:,} more {what if pair.number == 1 else many} would settle it"


def seen(pair: Pair, verdict: Verdict) -> str:
    """'CNN beats MLP by 1.1 ± 0.4 points', or what is missing for a verdict."""
    if pair.outcome == "open":
        return f"{spoken(pair.first)} and {spoken(pair.second)}: not enough evidence{remedy(pair, verdict)}"
    unit = "points" if verdict.binary else f"in {head(verdict.question.measure)}"
    first, second = (pair.first, pair.second) if pair.outcome == "first" else (pair.second, pair.first)
    return f"{spoken(first)} beats {spoken(second)} by {difference(pair, verdict)} {unit}"


def sentences(verdict: Verdict) -> list[str]:
    """The overall finding, neighbours in the ranking, what failed, and what the verdict speaks of."""
    ranked = verdict.ranked
    lines: list[str] = []
    if ranked:
        lines.append(overall(verdict))
        found = [verdict.pair(a.name, b.name) for a, b in itertools.pairwise(ranked)]
        between = [seen(pair, verdict) for pair in found if pair]
        if between:
            lines.append(capital("; ".join(between)) + ".")
    else:
        lines.append("No learner finished, so there is no verdict.")
    lines += [capital(f"{spoken(row.name)} failed: {row.reason}.") for row in verdict.rows if row.state == "failed"]
    return [*lines, *against(verdict), *basis(verdict), *verdict.notes]


def overall(verdict: Verdict) -> str:
    ranked = verdict.ranked
    best = ranked[0]
    measure = head(verdict.question.measure)
    between = span(best, verdict)
    interval = f", 95% interval {between}" if between else ""
    value = f"{spoken(best.name)} ({measure} {amount(verdict.question.measure, best.quality)}{interval})"
    pairs = {row.name: verdict.pair(best.name, row.name) for row in ranked[1:]}
    beaten = [spoken(name) for name, pair in pairs.items() if pair and pair.outcome == "first"]
    level = [spoken(name) for name, pair in pairs.items() if not pair or pair.outcome != "first"]
    if not pairs:
        return f"{value} is the only learner that finished."
    if not level:
        return f"Best: {value}; it beats {listed(beaten)}."
    tail = f" and beats {listed(beaten)}" if beaten else ""
    return f"No single best: {value} leads{tail}, but the evidence does not separate it from {listed(level)}."


def basis(verdict: Verdict) -> list[str]:
    """What the verdict rests on and speaks of."""
    q, ranked = verdict.question, verdict.ranked
    lines: list[str] = []
    if verdict.partial:
        done = ", ".join(f"{spoken(row.name)} {len(row.seeds)}" for row in verdict.rows)
        lines.append(f"Partial: of {counted(q.seeds, 'seed')} these are finished: {done}; the same command continues.")
    if max((len(row.seeds) for row in ranked), default=q.seeds) == 1:
        lines.append("One seed: this speaks of these trained stars, not of the methods behind them.")
    elif q.resplit:
        lines.append(
            f"Each of the {q.seeds} seeds drew a new split (repeated cross-validation), so the verdict speaks of "
            "learning from samples of this size; the overlap of the splits is corrected for."
        )
    else:
        lines.append(
            f"The {q.seeds} seeds share one split and vary initialisation and order only, so the verdict speaks of "
            "learning from this training sample; another sample could rank the learners otherwise."
        )
    if not q.trials:
        lines.append("Nothing was tuned.")
    alone = [pair for pair in verdict.pairs if pair.outcome == "open" and pair.p <= ALPHA]
    if alone:
        named = listed([f"{spoken(pair.first)}–{spoken(pair.second)}" for pair in alone])
        lines.append(f"Looked at alone, {named} would be decided; among {len(verdict.pairs)} pairs that is not enough.")
    if verdict.openings:
        lines.append(f"The test split was {opened(verdict)}.")
    return lines


def opened(verdict: Verdict) -> str:
    """How often the test split was opened: '… once, after every choice' is the rule."""
    if not verdict.openings:
        return "opened once, after every choice"
    runs = sum(len(row.seeds) for row in verdict.rows)
    first, last = verdict.openings[0], verdict.openings[-1]
    when = f"on {first}" if first == last else f"between {first} and {last}"
    return (
        f"opened before: {len(verdict.openings)} times for {runs} runs, {when}; those results are read, not made again"
    )


# --- tables ----------------------------------------------------------------------------------------------------------


def columns(verdict: Verdict) -> list[str]:
    """Heads of the table: the quality, further measures, quality under noise, costs."""
    q = verdict.question
    further = [name for row in verdict.ranked[:1] for name in row.test if name != q.measure]
    noisy = [f"{head(q.measure)} under noise"] if q.noise else []
    costs = ["parameters", "train", "predict 1,000", "memory", *(["tuned"] if q.trials else [])]
    figures = ["published"] if any(row.published for row in verdict.ranked) else []
    return ["learner", f"{head(q.measure)} (95%)", *figures, *map(head, further), *noisy, *costs]


def cells(row: Row, verdict: Verdict) -> list[str]:
    q = verdict.question
    further = [amount(name, row.test[name]) for name in row.test if name != q.measure]
    figures = [beside(row, verdict)] if any(each.published for each in verdict.ranked) else []
    noisy = [amount(q.measure, row.noisy)] if q.noise else []
    memory = "–" if row.memory is None else f"{row.memory / 2**20:,.0f} MiB"
    train = "–" if row.train_seconds is None else f"{figure(row.train_seconds, 2)} s"
    predict = "–" if row.predict_ms is None else f"{figure(row.predict_ms, 2)} ms"
    parameters = "–" if row.parameters is None else f"{row.parameters:,}"
    return [
        spoken(row.name), quality(row, verdict), *figures, *further, *noisy, parameters, train, predict, memory,
        *([tuning(row)] if q.trials else []),
    ]  # fmt: skip


def reported(row: Row, verdict: Verdict) -> str:
    """'96.19%', as it was published."""
    assert row.published is not None
    value = row.published["value"]
    return f"{100 * value:.4g}%" if verdict.question.measure in SHARES else figure(value, 4)


def beside(row: Row, verdict: Verdict) -> str:
    """'96.19%, ours above': what was published, and where our interval lies against it."""
    return f"{reported(row, verdict)}, ours {standing(row)}" if row.published else "–"


def against(verdict: Verdict) -> list[str]:
    """Every published figure beside ours in words, and where the figures are from."""
    rows = [row for row in verdict.ranked if row.published]
    if not rows:
        return []
    said = [f"{spoken(row.name)} {quality(row, verdict)} against {beside(row, verdict)}" for row in rows]
    sources = dict.fromkeys(row.published["source"] for row in rows if row.published)
    return [f"Beside published figures: {'; '.join(said)}. Published: {'; '.join(sources)}."]


def tuning(row: Row) -> str:
    """'10 trials: lr=0.004', or why there were none."""
    if not row.tuned:
        return "not tuned"
    if not row.tuned["searched"]:
        return "nothing to tune"
    chosen = ", ".join(f"{path.split('.')[1]}={short(value)}" for path, value in row.tuned["best"].items())
    return f"{row.tuned['trials']} trials: {chosen or 'the defaults'}"


def short(value: object) -> str:
    return figure(value) if isinstance(value, float) else str(value)


def table(verdict: Verdict, width: int | None = None) -> Table:
    """Learners as rows; in a width that is given, as many columns as fit it."""
    from rich.table import Table

    heads, lines = columns(verdict), [cells(row, verdict) for row in verdict.ranked]
    kept = fitting(heads, lines, width, bool(verdict.question.trials))
    made = Table(title=verdict.question.title, title_justify="left", caption_justify="left")
    for place in kept:
        left = place == 0 or heads[place] == "tuned"
        widest = 32 if place else None
        made.add_column(heads[place], justify="left" if left else "right", overflow="fold", max_width=widest)
    for line in lines:
        made.add_row(*(line[place] for place in kept))
    for row in verdict.rows:
        if row.quality is None:
            reason = f"{row.state}: {row.reason}" if row.reason else row.state
            made.add_row(spoken(row.name), reason, *[""] * (len(kept) - 2))
    left_out = [head for place, head in enumerate(heads) if place not in kept and head != "tuned"]
    noise = [f"noise: {verdict.question.noise}"] if verdict.question.noise else []
    narrow = [f"in the report, for want of width: {', '.join(left_out)}"] if left_out else []
    made.caption = "\n".join([*noise, *narrow]) or None
    return made


def fitting(heads: Sequence[str], lines: Sequence[Sequence[str]], width: int | None, tuned: bool) -> list[int]:
    """Places of the columns to show: costs go first where there is no room, then further measures."""
    widths = [max(len(text) for text in column) + 3 for column in zip(heads, *lines, strict=True)]
    kept = [place for place, head in enumerate(heads) if tuned or head != "tuned"]
    while width is not None and len(kept) > 2 and sum(widths[place] for place in kept) + 1 > width:
        kept.pop()
    return kept


def mark(pair: Pair | None, verdict: Verdict) -> str:
    """A cell of the matrix, seen from the row's learner."""
    if pair is None:
        return "–"
    sign = {"first": "beats", "second": "loses", "open": "?"}[pair.outcome]
    text = difference(pair, verdict)
    return f"{sign} {'−' if pair.difference < 0 and pair.outcome == 'open' else ''}{text}"


def matrix(verdict: Verdict, width: int | None = None) -> Table:
    """Every learner against every other; where that is too wide, a line a pair."""
    from rich.table import Table

    unit = "points" if verdict.binary else head(verdict.question.measure)
    made = Table(title="row against column", title_justify="left", caption_justify="left")
    made.caption = (
        f"difference in {unit} ± half the 95% interval of the pair alone; "
        "verdicts count all pairs (Holm); ? = not enough evidence"
    )
    names = [row.name for row in verdict.ranked]
    marks = {(a, b): mark(verdict.pair(a, b), verdict) for a in names for b in names if a != b}
    widest = [max([len(spoken(b)), *(len(marks[a, b]) for a in names if a != b)]) + 3 for b in names]
    if width is not None and max(len(spoken(name)) for name in names) + 4 + sum(widest) > width:
        made.title = "first against second"
        made.add_column("pair", overflow="fold")
        made.add_column("verdict", justify="right")
        for a, b in itertools.combinations(names, 2):
            made.add_row(f"{spoken(a)}, {spoken(b)}", marks[a, b])
        return made
    made.add_column("")
    for name in names:
        made.add_column(spoken(name), justify="right")
    for first in names:
        made.add_row(
            spoken(first),
            *["" if first == second else marks[first, second] for second in names],
        )
    return made
