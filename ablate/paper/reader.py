"""Reading the published numbers."""

import csv
import io
from importlib import resources

from ablate.errors import UserError, nearest

Row = dict[str, str]


def published(table: str) -> list[Row]:
    """All rows of a table of the paper, as text; raises UserError for a table that is not there.

    The column `status` says how sure a number is: `verified`, `figure-label` (printed in a figure),
    `figure-read` (measured off one, within `err`), `text`, or `third-party...` (not the paper's).
    """
    folder = resources.files("ablate.paper")
    file = folder / f"{table}.csv"
    if not file.is_file():
        known = sorted(entry.name.removesuffix(".csv") for entry in folder.iterdir() if entry.name.endswith(".csv"))
        raise UserError(
            f"the paper has no table '{table}'{nearest(table, known)}", help=f"tables are: {', '.join(known)}"
        )
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
