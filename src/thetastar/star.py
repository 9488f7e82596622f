"""The star: a trained program with everything needed to use it, save it and judge it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thetastar import deciding, equation, rates, registry, weights
from thetastar.defaults import open_for, open_stream, with_target
from thetastar.distribution import World
from thetastar.errors import UserError
from thetastar.evaluation import Columns, Values, evaluate
from thetastar.functional.display import of_measures
from thetastar.functional.keys import seeded
from thetastar.functional.nested import mapped, rows_of
from thetastar.hardware import choose_device, provenance
from thetastar.protocols import Clock, Program, Schema, Source, Split, Stream
from thetastar.recipe import GIVEN, Recipe
from thetastar.run import Run
from thetastar.watch import Watch

LARGEST = 2**22  # numbers of the rows that are predicted together


class Star:
    """θ* with its recipe, schema and preparation.

    Attributes:
        measures: values by split, for example measures["valid"]["accuracy"].
        facts: precision, steps, seconds, device, threads.
    """

    def __init__(
        self,
        program: Program,
        recipe: Recipe,
        schema: Schema,
        source: Source | None,
        measures: Mapping[str, Values],
        facts: Mapping[str, Any],
        run: Run | None = None,
        stream: Stream | None = None,
    ) -> None:
        self.program, self.recipe, self.schema, self.source = program, recipe, schema, source
        self.measures: dict[str, Values] = {split: dict(values) for split, values in measures.items()}
        self.facts, self.run = dict(facts), run
        self._stream = stream

    @classmethod
    def of(cls, outcome: equation.Outcome, run: Run | None = None) -> Star:
        measures = {"valid": outcome.values} if outcome.values else {}
        stream = outcome.stream
        source = getattr(stream, "source", None)
        return cls(outcome.program, outcome.recipe, stream.schema, source, measures, outcome.facts, run, stream)

    @property
    def parameters(self) -> int:
        """Numbers that f was free to choose."""
        return sum(p.numel() for p in self.program.f.parameters())

    @property
    def _title(self) -> str:
        parts = (self.recipe.model, self.recipe.method, self.recipe.algorithm)
        return "θ* " + " · ".join(registry.as_spec(part, "recipe")["name"] for part in parts)

    def __repr__(self) -> str:
        return f"<{self._title}: {self.parameters:,} parameters>"

    def _repr_html_(self) -> str:
        """In a notebook: what was learnt by what, and how well."""
        facts = f"{self.parameters:,} parameters, {self.facts.get('steps', 0):,} steps, seed {self.recipe.seed}"
        return of_measures(self._title, [facts], self.measures)

    @property
    def device(self) -> torch.device:
        """Where the program is; what learns without weights is where its buffers are."""
        return next(chain(self.program.parameters(), self.program.buffers()), torch.empty(0)).device

    @property
    def clock(self) -> Clock:
        return Clock(self.recipe.seed, self.facts.get("steps", 0), self.facts.get("planned_steps", 1))

    @property
    def stream(self) -> Stream:
        """The data of the recipe, opened again where the star was loaded from a folder."""
        if self._stream is None:
            self._stream = open_stream(self.recipe.data)
            self.refuse_other(self._stream)
            self._stream.to(self.device)
        return self._stream

    def refuse_other(self, stream: Stream) -> None:
        """Data with another content than those that were trained on."""
        recorded = self.facts.get("data")
        if recorded and stream.fingerprint != recorded:
            raise UserError(
                f"the data have changed since training (hash {stream.fingerprint}, then {recorded})",
                "the data that were trained on",
                "restore them or train again",
            )

    @property
    def rows_at_once(self) -> int:
        """Rows that are predicted together: 1,024, or fewer where a row is large."""
        fields = self.schema.input.values() if isinstance(self.schema.input, dict) else [self.schema.input]
        return max(1, min(1024, LARGEST // max(1, sum(math.prod(field.shape) for field in fields))))

    @torch.no_grad()
    def outputs(
        self, raw: Any, wants: frozenset[str], batch_size: int | None = None, first: int = 0
    ) -> dict[str, Tensor]:
        """What the method predicts for raw inputs of the kind it was trained on, in batches.

        Args:
            raw: as the source takes them; no rows give answers of no rows.
            wants: see `Method.predict`.
            batch_size: rows together; None takes `rows_at_once`.
            first: the number of the first row, where these are a part of more.
        """
        x = (self.source.transform(raw) if self.source else {"input": torch.as_tensor(np.asarray(raw))})["input"]
        count, size = rows_of(x), batch_size or self.rows_at_once
        if not count:  # one row of zeros tells the shapes
            x = mapped(lambda part: part.new_zeros((1, *part.shape[1:])), x)
        self.program.eval()
        parts: list[dict[str, Tensor]] = []
        for start in range(0, max(count, 1), size):
            piece = {"input": mapped(lambda part, start=start: part[start : start + size].to(self.device), x)}
            with seeded(self.recipe.seed, "outputs", first + start):  # what is sampled is a function of the seed too
                parts.append(self.program.method.predict(self.program.f, piece, wants, self.clock))
        return {name: torch.cat([part[name].cpu() for part in parts])[:count] for name in parts[0]}

    def _answers(self, raw: Any, what: str) -> Tensor:
        out = self.outputs(raw, frozenset({what}))
        if what not in out:
            raise self.speechless(what)
        return out[what]

    def speechless(self, what: str) -> UserError:
        """This star gives no such answer."""
        method = registry.as_spec(self.recipe.method, "method")["name"]
        kind = "numbers" if self.schema.target and self.schema.target.kind == "number" else f"with {method}"
        expected = "a classifier" if what == "probabilities" else "a star that answers rows"
        do = "leave probabilities out" if kind == "numbers" else "choose another run"
        return UserError(f"this star predicts {kind}: no {what}", expected, do)

    def predict(self, raw: Any) -> np.ndarray[Any, Any]:
        """Class names (as the data had them) or numbers, one per row."""
        out = self._answers(raw, "prediction").numpy()
        target = self.schema.target
        if target is not None and target.kind == "category" and target.names:
            return np.asarray(target.names)[out]
        return out

    def predict_proba(self, raw: Any) -> np.ndarray[Any, Any]:
        """(rows, classes) probabilities in the order of the target's names."""
        return self._answers(raw, "probabilities").numpy()

    def choose_threshold(self, costs: tuple[float, float], positive: str | None = None) -> deciding.Decision:
        """The threshold that costs the least on valid, with `costs` of a false positive and of a false negative.

        Args:
            costs: ≥ 0, not both 0.
            positive: a class name; the second class by default.
        """
        return deciding.chosen(self, costs, positive)

    def decide(
        self, raw: Any, threshold: float | deciding.Decision = 0.5, positive: str | None = None
    ) -> np.ndarray[Any, Any]:
        """Class names by a threshold on the probability of the positive class, or by a decision chosen before."""
        rule = threshold if isinstance(threshold, deciding.Decision) else deciding.given(self, threshold, positive)
        return rule(self.predict_proba(raw)[:, deciding.place_of(self, rule)])

    def evaluate(self, split: Split) -> tuple[Values, Columns]:
        return evaluate(self.program, self.stream, split, self.recipe.measures, self.clock)

    def test(self) -> Values:
        """Open the sealed test split: an explicit act that the run records."""
        if not self.stream.size("test"):
            raise UserError("the data have no test split", "a test split", "set data.test to a share such as 0.2")
        values, columns = self.evaluate("test")
        self.measures["test"] = values
        openings = [*self.facts.get("test_openings", []), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())]
        self.facts["test_openings"] = openings
        if self.run:
            self.run.write_columns("test", columns)
            self._write_measures(self.run)
        return values

    # --- folders --------------------------------------------------------------------------------------------------

    def _write_measures(self, run: Run) -> None:
        run.write_json("measures.json", {**self.measures, "facts": self.facts})

    def save(self, path: str | Path) -> Run:
        """Write a run folder: safetensors, YAML and JSON."""
        run = Run.create(Path(path), self.recipe)
        self.write(run)
        return run

    def write(self, run: Run, columns: Columns | None = None) -> None:
        run.write_recipe(self.recipe)
        run.write_json("schema.json", self.describe())
        if columns:
            run.write_columns("valid", columns)
        self._write_measures(run)
        noted = run.provenance  # what the run noted at its start stands
        run.note(**{**provenance(), **weights.provenance(self.program.f), **noted})
        run.write_model(self.program.state_dict())
        self.run = run

    def describe(self) -> dict[str, Any]:
        source = {"name": self.source_name, **self.source.state()} if self.source else None
        return {"schema": self.schema.to_json(), "source": source, "said": getattr(self._stream, "said", [])}

    @property
    def source_name(self) -> str:
        return type(self.source).__name__ if self.source else ""


def load(path: str | Path, stream: Stream | None = None) -> Star:
    """A star from its run folder. Nothing in the folder is executed; the data are not needed to predict.

    `stream` is its data, where they are open already.
    """
    run = Run.open(Path(path))
    tensors = run.model()
    recipe, described, measures = run.recipe, run.read_json("schema.json"), run.measures
    schema = Schema.from_json(described["schema"])
    program = equation.assemble(weights.without(recipe), schema)
    fit_shapes(program, tensors, run.path)
    source = described.get("source")
    try:
        restored = registry.load("data", source["name"]).restore(source) if source else None  # type: ignore[attr-defined]
    except KeyError as error:  # what this version writes is all there
        got = f"{run.path / 'schema.json'} has no entry {error}: another version of thetastar wrote it"
        raise UserError(got, "a run of this version", "train again, or use the version that wrote it") from None
    facts = measures.pop("facts", {})
    return Star(program.eval(), recipe, schema, restored, measures, facts, run, stream)


def fit_shapes(program: Program, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Load weights; buffers that were absorbed from data (memories, trees) take their shapes from the file."""
    for name, tensor in tensors.items():
        owner, _, leaf = name.rpartition(".")
        try:
            module = program.get_submodule(owner)
        except AttributeError:
            continue
        current = module._buffers.get(leaf)
        if leaf in module._buffers and (current is None or current.shape != tensor.shape):
            module._buffers[leaf] = tensor.clone()
    try:
        program.load_state_dict(dict(tensors))
    except RuntimeError as error:
        first = str(error).split("\n")[1].strip() if "\n" in str(error) else str(error)
        raise UserError(
            f"{where}: the weights do not fit the recipe: {first}", "the run's own weights", "train again"
        ) from None


def fit(
    data: Any,
    model: Any = None,
    method: Any = None,
    algorithm: Any = None,
    *,
    target: str | None = None,
    measures: Any = None,
    seed: int = 0,
    epochs: float | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    engine: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    watch: Watch | None = None,
) -> Star:
    """Train on data: a name, a path, a spec, (inputs, targets), or a pandas frame; `target` names a table's column.

    Returns:
        The star; `star.predict(x)`, `star.measures["valid"]`, `star.save("run/")`.
    """
    budget = {
        key: value for key, value in (("epochs", epochs), ("steps", steps), ("seconds", seconds)) if value is not None
    }
    recipe = Recipe(
        data=with_target(data, target),
        model=model,
        method=method,
        algorithm=algorithm,
        measures=measures,
        budget=budget,
        engine=engine or {},
        seed=seed,
    )
    return train(recipe, Path(out) if out else None, watch=watch)


def train(
    recipe: Recipe,
    out: Path | None = None,
    *,
    stream: Stream | None = None,
    start: Program | None = None,
    watch: Watch | None = None,
) -> Star:
    """Train a recipe, into a run folder where one is named; a run of the same recipe found there is continued."""
    found = Run.open(out) if out is not None and (out / "provenance.json").is_file() else None
    if found:
        weights.refuse_other(found)
    named = GIVEN not in recipe.to_yaml()  # what is given in Python has no name to know it by
    if found and found.finished and stream is None and named and found.recipe.to_mapping() == recipe.to_mapping():
        return load(found.path)
    stream = stream or open_for(recipe)
    recipe, sweep = rates.settled(recipe, stream, start, watch)
    if found and found.recipe.to_mapping() != recipe.to_mapping():
        raise UserError(
            f"{out} holds a run of another recipe", "the recipe it was started with", "choose another --out"
        )
    if found and found.finished:
        star = load(found.path, stream)
        star.refuse_other(stream)
        stream.to(star.device)
        return star
    choose_device(recipe.engine["device"])  # before a folder is made: a mistake leaves none behind
    again = found is not None and found.begun  # then the weights are those of the checkpoint
    start = start or equation.assemble(weights.without(recipe) if again else recipe, stream.schema)
    world = World.current()
    world.wait()  # none may take the folder that the first rank is about to make for one it found
    run = found or (Run.create(out, recipe) if out is not None and world.rank == 0 else None)
    if run and start.f.origin.file and not again:
        run.note(**weights.provenance(start.f))
    if run and sweep:
        sweep.write(run)
    try:
        outcome = equation.fit(recipe, run=run, stream=stream, start=start, watch=watch)
    except UserError:
        if run and not found:
            run.discard()
        raise
    star = Star.of(outcome, run)
    if run and world.rank == 0:
        star.write(run, outcome.columns)
    return star
