"""A comparison on disk: the question, the runs, the verdict, and the rows that its page shows."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from thetastar.errors import UserError
from thetastar.functional.jsonable import strict
from thetastar.hardware import provenance
from thetastar.outer import evidence
from thetastar.outer.examples import examples_of
from thetastar.outer.learners import Learner
from thetastar.outer.verdict import Question, Verdict
from thetastar.protocols import Stream
from thetastar.run import Run
from thetastar.snapshot import write_atomic

FORMAT = 1
ASKED = ("measure", "resplit", "trials", "budget", "fingerprint", "n_train", "n_test")  # seeds and learners may grow


def slug(name: str) -> str:
    """A name as a file name."""
    return re.sub(r"[^\w.+-]", "-", name)


def read(file: Path, *keys: str) -> Any:
    """A JSON file of the comparison; a mapping with these keys, where some are named."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if found is None or (keys and not (isinstance(found, dict) and set(keys) <= set(found))):
        raise UserError(f"{file} is damaged", "JSON", "restore it from a copy, or choose another --out")
    return found


class Slot:
    """Where the run of one learner and seed is, or will be."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def exists(self) -> bool:
        return (self.path / "provenance.json").is_file()

    @property
    def finished(self) -> bool:
        return self.exists and Run.open(self.path).finished

    @property
    def tested(self) -> bool:
        """All that testing writes is there; the noise comes last."""
        return self.finished and (self.path / "robustness.json").is_file() and "test" in Run.open(self.path).measures

    @property
    def openings(self) -> list[str]:
        return list(Run.open(self.path).measures.get("facts", {}).get("test_openings", []))


class Folder:
    """compare.json, runs/<learner>/seed-k, tuning/, together/, failures/, verdict.json, examples.json, report.html."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, learner: str, seed: int) -> Slot:
        return Slot(self.path / "runs" / slug(learner) / f"seed-{seed}")

    def together(self, learner: str) -> Path:
        """What is kept of the seeds of a learner while they are trained as one; beside it, whether they were."""
        return self.path / "together" / slug(learner)

    def tuning(self, learner: str) -> Path:
        return self.path / "tuning" / f"{slug(learner)}.json"

    def tried(self, learner: str) -> int:
        """How many tuning trials are done."""
        file = self.tuning(learner)
        return len(read(file)) if file.is_file() else 0

    def begin(self, question: Question, learners: list[Learner]) -> None:
        """Write the question, or refuse where another one was begun here."""
        asked = {key: getattr(question, key) for key in ASKED}
        entry: dict[str, Any] = {
            "format": FORMAT,
            "asked": strict(asked),
            "seeds": question.seeds,
            "learners": {learner.name: learner.question() for learner in learners},
            "provenance": provenance(),
        }
        file = self.path / "compare.json"
        if file.is_file():
            before = read(file, "asked", "learners")
            self._agree(before, json.loads(json.dumps(entry)))
            entry["learners"] = {**before["learners"], **entry["learners"]}  # who is left out today may come back
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not file.is_file() and any(self.path.iterdir()):
                raise UserError(f"{self.path} is not empty", "a new folder or a comparison", "choose another --out")
            self._write("compare.json", entry)
        except OSError as error:
            raise UserError(
                f"cannot write {self.path}: {error.strerror}", "a folder one can write", "choose another --out"
            ) from None

    def _agree(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        for key, value in now["asked"].items():
            if before["asked"].get(key) != value:
                raise UserError(
                    f"{self.path} holds a comparison with {key} {before['asked'].get(key)}, now {value}",
                    "the same question",
                    "choose another --out",
                )
        for name, learner in before["learners"].items():
            if name in now["learners"] and now["learners"][name] != learner:
                different = " and ".join(key for key in learner if now["learners"][name].get(key) != learner[key])
                raise UserError(
                    f"{self.path} holds another '{name}' ({different or 'terms'} differ)",
                    "the same learner on the same terms",
                    "choose another --out",
                )

    def failed(self, learner: str, trace: str) -> None:
        """Keep the traceback of a learner that failed."""
        (self.path / "failures").mkdir(exist_ok=True)
        write_atomic(self.path / "failures" / f"{slug(learner)}.txt", trace.encode())

    def finish(self, verdict: Verdict, stream: Stream) -> Verdict:
        """Write the verdict and its page, and keep of the data the rows that the page shows."""
        self._write("verdict.json", {"format": FORMAT, **verdict.to_json()})
        found = evidence.gather(self.tested(verdict), "test")
        if found is not None:
            found = dataclasses.replace(found, examples=examples_of(stream, found.rows))
            self._write("examples.json", found.examples.to_json())
        verdict = dataclasses.replace(verdict, evidence=found)
        verdict.to_html(self.path / "report.html")
        return verdict

    def tested(self, verdict: Verdict) -> dict[str, list[Path]]:
        """The runs that the verdict rests on, by learner, best first."""
        return {row.name: [self.run(row.name, seed).path for seed in row.seeds] for row in verdict.ranked}

    def _write(self, name: str, value: dict[str, Any]) -> None:
        write_atomic(self.path / name, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def load_verdict(path: Path) -> Verdict:
    """The verdict of a comparison's folder."""
    file = path / "verdict.json"
    if not file.is_file():
        raise UserError(
            f"{path} holds no verdict", "the folder of a finished comparison", "run theta compare --out with it"
        )
    state = read(file, "format", "question", "rows", "pairs")
    if state.pop("format", None) != FORMAT:
        raise UserError(f"{file} has another format", f"format {FORMAT}", "update thetastar, or compare again")
    verdict = Verdict.from_json(state)
    runs = Folder(path).tested(verdict)
    if not all((run / "provenance.json").is_file() for paths in runs.values() for run in paths):
        return verdict  # its runs were taken away; what it says stands
    shown = evidence.load_examples(path / "examples.json")
    return dataclasses.replace(verdict, evidence=evidence.gather(runs, "test", shown))
