"""What a comparison over the number of labels found: a verdict at each, in words, in cells and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thetastar.errors import UserError
from thetastar.outer import wording
from thetastar.outer.entrants import PROBE, TUNE, Plan
from thetastar.outer.folder import read
from thetastar.outer.verdict import Verdict

FORMAT = 1


@dataclass(frozen=True)
class Found:
    """What came out.

    Attributes:
        counts: numbers of labels, ascending; `verdicts`: one each, their pairs corrected for the number of all.
        steps: with labels, of every learner; `before`: without, by learner, where it has such.
        terms: what was the same, what differs; sentences.
    """

    counts: list[int]
    verdicts: list[Verdict]
    steps: int
    before: dict[str, int]
    terms: list[str]

    @property
    def partial(self) -> bool:
        return any(verdict.partial for verdict in self.verdicts)

    @property
    def names(self) -> list[str]:
        """Learners, best with most labels first; those that did not finish there last."""
        ranked = [row.name for row in self.verdicts[-1].ranked]
        return [*ranked, *(row.name for row in self.verdicts[-1].rows if row.name not in ranked)]

    def cells(self, name: str) -> list[str]:
        """'92.1% (90.0–94.1)' at each number of labels, or why there is none."""
        rows = [next(row for row in verdict.rows if row.name == name) for verdict in self.verdicts]
        told = zip(rows, self.verdicts, strict=True)
        return [row.state if row.quality is None else wording.quality(row, verdict) for row, verdict in told]

    def work(self, name: str) -> str:
        """'1,800', or '1,800 + 1,800' of the learners that begin without labels."""
        before = self.before.get(name)
        return f"{before:,} + {self.steps:,}" if before else f"{self.steps:,}"

    def sentences(self) -> list[str]:
        """What leads at each number of labels and what the evidence separates, then what that rests on."""
        lines: list[str] = []
        for count, verdict in zip(self.counts, self.verdicts, strict=True):
            told = wording.overall(verdict) if verdict.ranked else "no learner finished."
            lines.append(f"With {count:,} labels: {told[:1].lower()}{told[1:]}")
            failed = [row for row in verdict.rows if row.state == "failed"]
            lines += [f"{wording.capital(wording.spoken(row.name))} failed: {row.reason}." for row in failed]
        if self.partial:
            lines.append("Partial: it was interrupted, and the same command continues.")
        if self.verdicts[0].question.seeds == 1:
            lines.append("One seed: this speaks of these trained stars, not of the methods behind them.")
        pairs = sum(len(verdict.pairs) for verdict in self.verdicts)
        if pairs > 1:
            lines.append(f"Verdicts count all {pairs} pairs at all numbers of labels (Holm).")
        return [*lines, *self.terms, "Nothing was tuned."]

    def to_json(self) -> dict[str, Any]:
        verdicts = {str(n): verdict.to_json() for n, verdict in zip(self.counts, self.verdicts, strict=True)}
        about = {"counts": self.counts, "steps": self.steps, "steps_before": self.before, "terms": self.terms}
        return {"format": FORMAT, **about, "labels": verdicts}


def load(place: Path) -> Found:
    """What the folder of a comparison over labels holds."""
    file = place / "found.json"
    if not file.is_file():
        raise UserError(
            f"{place} holds no verdict", "a finished comparison", "run theta compare --labels --out with it"
        )
    state = read(file, "format", "labels", "counts")
    if state["format"] != FORMAT:
        raise UserError(f"{file} has another format", f"format {FORMAT}", "update thetastar, or compare again")
    verdicts = [Verdict.from_json(state["labels"][str(count)]) for count in state["counts"]]
    return Found(state["counts"], verdicts, state["steps"], state["steps_before"], state["terms"])


def terms_of(made: Plan) -> list[str]:
    """What is the same for all, and what differs, in sentences."""
    model = wording.spoken(made.entrants[0].recipe.model["name"])
    lines = [
        f"The same for all: {model}, {made.steps:,} steps with labels, which examples keep their label in a seed, the "
        "weak changes of labelled examples, the split and the measures.",
        "Seeds differ in which examples keep their label, in initialisation and in order.",
    ]
    before = {entrant.method: entrant.before for entrant in made.entrants if entrant.before}
    if before:
        named = wording.listed([wording.spoken(name) for name in before])
        steps = next(iter(before.values())).budget["steps"]
        lines.append(
            f"What differs: {named} first {'takes' if len(before) == 1 else 'take'} {steps:,} steps without labels; "
            f"→ {PROBE} then learns the head alone, → {TUNE} all of f, both from the same pre-training of a seed."
        )
    beside = [wording.spoken(entrant.name) for entrant in made.entrants if entrant.unlabelled]
    if beside:
        verb = "sees" if len(beside) == 1 else "see"
        lines.append(f"In every step {wording.listed(beside)} also {verb} examples without labels.")
    return lines
