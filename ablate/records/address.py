"""Finding trials by the first digits of a key, by cell (`study:first=crop,seed=0`), or by an SQL condition."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ablate.errors import UserError, nearest, visible
from ablate.records.files import Results
from ablate.records.sql import check_condition, sql_name
from ablate.study.cells.cell import Cell, axis_text, first_value, texts_of

_SHORTEST = 4
_LISTED = 10
_LONGEST = 100
_DEFAULT_PROFILE = "embedded"
_OWN_TERMS = ("seed", "case", "profile")
SHORT = 12
"""Digits of a key that are shown: enough to be unique, and short enough to type."""


@dataclass(frozen=True)
class StudyCell:
    """A cell of a study at a profile, with a seed."""

    study: str
    profile: str
    cell: Cell
    seed: int

    @property
    def label(self) -> str:
        """`first=crop second=color seed=0`, or `untrained seed=0` for a case."""
        return f"{self.cell.label} seed={self.seed}"


@dataclass(frozen=True)
class Address:
    """A trial and all its cells, in any study; no cells if no current study version contains it."""

    key: str
    cells: tuple[StudyCell, ...]

    @property
    def label(self) -> str:
        """The first digits of the key, and the first cell."""
        where = f"  {self.cells[0].study} [{self.cells[0].profile}]  {self.cells[0].label}" if self.cells else ""
        return f"{self.key[:SHORT]}{where}"


def find_trial(store: duckdb.DuckDBPyConnection, name: str) -> Address:
    """The trial with this name. Raises UserError if no trial, or more than one, matches."""
    study, colon, terms = name.strip().partition(":")
    key = _by_cell(store, Path(study).stem, terms) if colon else _by_digits(store, study.lower())
    return addresses(store, [key])[0]


def addresses(store: duckdb.DuckDBPyConnection, keys: Iterable[str]) -> list[Address]:
    """Trials with their cells, in the order of the keys."""
    wanted = list(keys)
    rows = store.execute(
        """SELECT key, study, profile, axes, "case", seed FROM cells
        WHERE key IN (SELECT unnest(?::VARCHAR[])) ORDER BY study, profile, position""",
        [wanted],
    ).fetchall()
    cells: dict[str, list[StudyCell]] = {key: [] for key in wanted}
    for key, study, profile, axes, case, seed in rows:
        cells[key].append(StudyCell(study, profile, Cell(json.loads(axes), case), seed))
    return [Address(key, tuple(cells[key])) for key in wanted]


def _by_digits(store: duckdb.DuckDBPyConnection, digits: str) -> str:
    if not re.fullmatch(rf"[0-9a-f]{{{_SHORTEST},64}}", digits):
        known = _studies(store)
        if digits in known:
            row = store.execute("SELECT arg_min(key, (profile, position)) FROM cells WHERE study = ?", [digits])
            example = addresses(store, [key for (key,) in row.fetchall()])[0].cells[0].label.replace(" ", ",")
            raise UserError(f"'{digits}' is a study, not a trial", help=f"name one of its trials: {digits}:{example}")
        help = f"give at least {_SHORTEST} digits of a key, or STUDY:AXIS=VALUE,...,seed=N"
        raise UserError(f"no trial matches '{digits}'{nearest(digits, known)}", help=help)
    keys = store.execute(
        "SELECT key FROM trials WHERE starts_with(key, $1) UNION SELECT key FROM cells WHERE starts_with(key, $1)",
        [digits],
    ).fetchall()
    if not keys:
        help = 'ablate query "SELECT * FROM cells" lists all keys'
        raise UserError(f"no trial's key starts with {digits}", help=help)
    return _only(store, f"{digits} matches", sorted(key for (key,) in keys))


def _by_cell(store: duckdb.DuckDBPyConnection, study: str, terms: str) -> str:
    known = _studies(store)
    if study not in known:
        help = f"studies with records are: {', '.join(known)}" if known else "run it first: ablate run STUDY"
        raise UserError(f"no records of a study '{study}'{nearest(study, known)}", help=help)
    rows = store.execute(
        'SELECT key, profile, axes, "case", seed FROM cells WHERE study = ? ORDER BY profile, position', [study]
    ).fetchall()
    cells = [
        (key, StudyCell(study, profile, Cell(json.loads(axes), case), seed)) for key, profile, axes, case, seed in rows
    ]
    wanted = _parse(terms, study, cells)
    found = [(key, cell) for key, cell in cells if all(_fits(cell, *term) for term in wanted.items())]
    profiles = list(dict.fromkeys(cell.profile for _, cell in found))
    if len(profiles) > 1:
        if _DEFAULT_PROFILE not in profiles:
            help = f"add profile=NAME: {', '.join(profiles)}"
            raise UserError(f"{study}:{terms} exists at several profiles", help=help)
        found = [(key, cell) for key, cell in found if cell.profile == _DEFAULT_PROFILE]
    # A cell with exactly these axes takes precedence over cells with more.
    axes = wanted.keys() - set(_OWN_TERMS)
    found = [(key, cell) for key, cell in found if axes and cell.cell.axes.keys() == axes] or found
    if not found:
        shown = "\n".join(f"  {key[:SHORT]}  [{cell.profile}]  {cell.label}" for key, cell in cells[:_LISTED])
        raise UserError(f"{study} has no trial {terms}", help=f"its trials include:\n{shown}")
    return _only(store, f"{study}:{terms} matches", list(dict.fromkeys(key for key, _ in found)))


def _parse(terms: str, study: str, cells: list[tuple[str, StudyCell]]) -> dict[str, str]:
    """`first=crop,second=color` as a dictionary. Raises UserError for names and values that the study does not have."""
    values: dict[str, dict[str, str]] = {}
    for _, cell in cells:
        for name, value in _terms(cell).items():
            values.setdefault(name, {}).update(texts_of([value]))
    wanted = {}
    rest = terms.strip(", ")
    while rest:
        term = re.split(r"[,\s]+(?=\w+=)|,", rest, maxsplit=1)[0]
        name, equals, value = term.strip().partition("=")
        if not equals and name in values.get("case", {}):  # a label starts with the name of its case
            name, equals, value = "case", "=", name
        elif equals and (known := first_value(rest.partition("=")[2], values.get(name.strip(), {}))) is not None:
            term, value = f"{rest.partition('=')[0]}={known}", values[name][known]
        if name not in values:
            help = f"axes are: {', '.join(values)}"
            raise UserError(f"{study} has no axis '{name}'{nearest(name, values)}", help=help)
        if not equals or not any(_same(known, value) for known in values[name].values()):
            shown = list(dict.fromkeys(visible(text, _LONGEST) for text in values[name].values()))
            more = f", and {len(shown) - 2 * _LISTED} more" if len(shown) > 2 * _LISTED else ""
            help = f"values of {name} are: {', '.join(shown[: 2 * _LISTED])}{more}"
            raise UserError(f"{study} has no {name}={value}{nearest(value, shown)}", help=help)
        wanted[name] = value
        rest = rest[len(term) :].strip(", \t\n")
    return wanted


def _terms(cell: StudyCell) -> dict[str, Any]:
    case = {"case": cell.cell.case} if cell.cell.case else {}
    return {**cell.cell.axes, "seed": cell.seed, "profile": cell.profile, **case}


def _fits(cell: StudyCell, name: str, value: str) -> bool:
    terms = _terms(cell)
    return name in terms and _same(axis_text(terms[name]), value)


def _same(known: str, given: str) -> bool:
    """Whether two texts denote the same value: 1 and 1.0 do, and True and true."""
    if known == given or {known, given.lower()} in ({"true"}, {"false"}):
        return True
    try:
        return float(known) == float(given)
    except ValueError:
        return False


def _only(store: duckdb.DuckDBPyConnection, what: str, keys: list[str]) -> str:
    if len(keys) > 1:
        shown = "\n".join(f"  {address.label}" for address in addresses(store, keys[:_LISTED]))
        more = f"\n  ... and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
        raise UserError(f"{what} {len(keys)} trials", help=f"choose one:\n{shown}{more}")
    return keys[0]


def _studies(store: duckdb.DuckDBPyConnection) -> list[str]:
    return [study for (study,) in store.execute("SELECT DISTINCT study FROM cells ORDER BY study").fetchall()]


def selected(results: Results, names: Sequence[str], where: str | None) -> dict[str, str]:
    """Key -> state of the selected trials.

    names: studies, by name or file, and single trials. where: an SQL condition over the views of these studies, or
    over the table `trials` if no study is given. Raises UserError for an unknown name and for an invalid condition.
    """
    from ablate.records.store import open_store

    if not names and where is None:
        raise UserError("no trial given", help="name a study, a trial, or give --where \"state = 'running'\"")
    with open_store(results) as store:
        known = _studies(store)
        studies = [Path(name).stem for name in names if Path(name).stem in known and ":" not in name]
        trials = [name for name in names if Path(name).stem not in studies]
        if trials and where is not None:
            help = f"studies are: {', '.join(known)}"
            raise UserError(f"--where needs a study, and '{trials[0]}' is not one", help=help)
        views = studies or ([] if trials else ["trials"])
        found = {
            key: state
            for view in views
            for key, state in _matching(store, view, "true" if where is None else where).items()
        }
        keys = [find_trial(store, name).key for name in trials]
        rows = store.execute("SELECT key, state FROM trials WHERE key IN (SELECT unnest(?::VARCHAR[]))", [keys])
        return found | dict.fromkeys(keys, "new") | dict(rows.fetchall())


def _matching(store: duckdb.DuckDBPyConnection, view: str, where: str) -> dict[str, str]:
    try:
        check_condition(where)
        rows = store.execute(f"SELECT key, state FROM {sql_name(view)} WHERE (\n{where}\n)").fetchall()
    except (duckdb.Error, ValueError) as error:
        columns = [name for name, *_ in store.execute(f"DESCRIBE {sql_name(view)}").fetchall()]
        reason = str(error).partition("\n")[0]
        raise UserError(f"--where {where}: {reason}", help=f"columns of {view} are: {', '.join(columns)}") from error
    return dict(rows)
