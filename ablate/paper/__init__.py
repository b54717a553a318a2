"""The numbers that the SimCLR paper publishes, one CSV a table or figure, each row with source and status.

Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations",
ICML 2020 (arXiv 2002.05709 v3).
"""

import csv
import io
from importlib import resources
from typing import Any

from ablate.errors import UserError, nearest

Row = dict[str, str]


def as_number(value: Any) -> float | None:
    """The number that a value is, or that its text is; None for other text."""
    try:
        return float(value)
    except ValueError:
        return None


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


def bibtex(version: str) -> str:
    """BibTeX entries of ablate in this version, and of the paper."""
    return _BIBTEX.replace("VERSION", version)


_BIBTEX = """\
@software{ablate,
  author  = {{The ablate authors}},
  title   = {ablate: ablation studies from a {TOML} file to a judged page},
  version = {VERSION},
  note    = {Python package ablate-study},
}

@inproceedings{chen2020simclr,
  author    = {Chen, Ting and Kornblith, Simon and Norouzi, Mohammad and Hinton, Geoffrey},
  title     = {A Simple Framework for Contrastive Learning of Visual Representations},
  booktitle = {Proceedings of the 37th International Conference on Machine Learning},
  series    = {Proceedings of Machine Learning Research},
  volume    = {119},
  pages     = {1597--1607},
  publisher = {PMLR},
  year      = {2020},
}
"""
