"""Tables row by row: parts of a file that may be larger than memory, each read as the whole would be."""

from __future__ import annotations

import contextlib
import csv
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from thetastar.errors import UserError

EXPECTED = "a CSV, TSV, JSON lines, Parquet or Arrow file"
Columns = Mapping[str, bool]  # name → whether it holds plain numbers


class Table(ABC):
    """Rows of a file, in parts.

    Attributes:
        title: what messages call it.
        names: of the columns, distinct.
        total: of `done` at the end; None where it is not known.
        said: one line per decision.
    """

    title: str
    names: list[str]
    total: int | None = None

    def __init__(self) -> None:
        self.said: list[str] = []

    @property
    def done(self) -> int:
        """How far reading has come, in the units of `total`."""
        return 0

    @abstractmethod
    def parts(self, rows: int, used: Columns, keep: Sequence[str] = ()) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """`rows` rows at a time (fewer at the end), numbered on through the file; and beside them the columns `keep`.

        Args:
            rows: ≥ 1.
            used: columns that are wanted, and whether they hold plain numbers: other text stays as it stands, whatever
                it looks like.
            keep: columns to hand on as they are.
        """


@contextlib.contextmanager
def reported(title: str) -> Iterator[None]:
    """Broken content as a user's mistake, in one line; pandas and pyarrow report it as ValueError or OSError."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{title} does not exist", EXPECTED, "check the path") from None
    except UserError:
        raise
    except UnicodeDecodeError as error:
        got = f"{title} is not UTF-8 text (byte {error.object[error.start]:#x})"
        raise UserError(got, EXPECTED, "save it as UTF-8 or Parquet") from None
    except (ValueError, csv.Error, OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None)
        words = re.sub(r"^Error tokenizing data\. C error: ", "", str(error).strip())
        got = f"cannot read {title}: {reason}" if reason else f"{title} does not parse: {words}"
        raise UserError(got, EXPECTED, "check the path and permissions" if reason else "mend the file") from None
