"""Runs as rows: DuckDB reads the JSON of the run folders where they lie, so a filter is SQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from thetastar.errors import UserError
from thetastar.terminal.console import number, table

COLUMNS = ("run", "status", "data", "model", "method", "algorithm", "seed", "finished", "valid", "test", "facts")

_FILES = """
CREATE TEMP TABLE files AS
    SELECT filename[:-length(parse_filename(filename)) - 2] AS run,
           parse_filename(filename) AS file,
           TRY_CAST(content AS JSON) AS body
    FROM (SELECT unnest($paths) AS filename, unnest($texts) AS content)
"""

# a damaged file has no body: its run is listed as damaged rather than spoiling the query
_RUNS = """
CREATE TEMP TABLE raw AS
    SELECT run,
           any_value(body) FILTER (file = 'provenance.json') AS about,
           any_value(body) FILTER (file = 'measures.json') AS measures,
           bool_or(body IS NULL OR (file = 'provenance.json' AND (body->'format') IS NULL)) AS damaged
    FROM files GROUP BY run;
CREATE TEMP TABLE runs AS
    SELECT run,
           CASE WHEN damaged THEN 'damaged' ELSE about->>'status' END AS status,
           coalesce(about->>'$.recipe.data.source.path', about->>'$.recipe.data.source.name',
                    about->>'$.recipe.data.name', about->>'$.recipe.data') AS data,
           coalesce(about->>'$.recipe.model.name', about->>'$.recipe.model') AS model,
           coalesce(about->>'$.recipe.method.name', about->>'$.recipe.method') AS method,
           coalesce(about->>'$.recipe.algorithm.name', about->>'$.recipe.algorithm') AS algorithm,
           CAST(about->>'$.recipe.seed' AS BIGINT) AS seed,
           about->>'finished' AS finished,
           {structs}
    FROM raw
"""


def listed(folder: Path, condition: str | None = None, order: str | None = None) -> list[dict[str, Any]]:
    """Runs below a folder that fulfil an SQL condition over `COLUMNS`, for example "valid.accuracy > 0.9".

    `valid`, `test` and `facts` are structs of whatever the runs have recorded; a run without an entry has NULL there.
    """
    import duckdb

    if not folder.is_dir():
        raise UserError(f"no folder {folder}", "a folder of runs", "train something first: theta fit digits")
    paths = [str(path) for path in sorted(folder.glob("**/provenance.json"))]
    if not paths:
        return []
    paths += [str(measures) for path in paths if (measures := Path(path).with_name("measures.json")).is_file()]
    with duckdb.connect() as base:
        texts = [Path(path).read_text(encoding="utf-8", errors="replace") for path in paths]
        base.execute(_FILES, {"paths": paths, "texts": texts})
        first, second = _RUNS.split(";")
        base.execute(first)
        structs = ", ".join(_struct(base, name) for name in ("valid", "test", "facts"))
        base.execute(second.format(structs=structs))
        query = f"SELECT {', '.join(COLUMNS)} FROM runs WHERE {condition or 'true'} ORDER BY {order or 'run'}"
        try:
            if len(base.extract_statements(query)) > 1:
                raise UserError("--where or --sort holds a ;", "one condition, or columns", "leave the ; out")
            relation = base.execute(query)
        except duckdb.Error as error:
            problem = str(error).split("\n")[0]
            raise UserError(
                f"--where or --sort: {problem}", f"SQL over {', '.join(COLUMNS)}", 'for example "valid.accuracy > 0.9"'
            ) from None
        names = [column[0] for column in relation.description or ()]
        return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]


def _struct(base: Any, name: str) -> str:
    """A column with one typed field for each key that any run has recorded under `name`."""
    structure = base.execute(f"SELECT json_group_structure(measures->'{name}')::VARCHAR FROM raw").fetchone()[0]
    if not structure or not structure.startswith("{"):
        return f"NULL AS {name}"
    escaped = structure.replace("'", "''")
    return f"json_transform(measures->'{name}', '{escaped}') AS {name}"


def runs_table(found: list[dict[str, Any]]) -> Table:
    """Runs as rows, with the first two measures on valid and whatever was tested."""
    made = table("run", "status", "data", "model", "method", "seed", "valid", "test")
    for one in found:
        words = [one["run"], one["status"], one["data"], one["model"], one["method"], one["seed"]]
        made.add_row(*(number(word) for word in words), values(one["valid"]), values(one["test"]))
    return made


def values(measures: dict[str, float] | None) -> str:
    kept = [(name, value) for name, value in (measures or {}).items() if value is not None]
    return "  ".join(f"{name} {number(value)}" for name, value in kept[:2])
