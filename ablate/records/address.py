"""Finding a trial by what people write: the first digits of its key, or `study:first=crop,second=color,seed=0`."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ablate.errors import UserError, nearest

_SHORTEST = 4
_LISTED = 10
_DEFAULT_PROFILE = "embedded"
_OWN_TERMS = ("seed", "case", "profile")
SHORT = 12
"""Digits of a key that are shown: enough to be unique, and to be typed."""


@dataclass(frozen=True)
class Cell:
    """One place at which a trial stands."""

    study: str
    profile: str
    axes: dict[str, Any]
    case: str | None
    seed: int

    @property
    def label(self) -> str:
        """`first=crop second=color seed=0`, or `untrained seed=0` for a case."""
        axes = [f"{name}={as_text(value)}" for name, value in self.axes.items()]
        return " ".join([*([self.case] if self.case else []), *axes, f"seed={self.seed}"])


@dataclass(frozen=True)
class Address:
    """A trial, and every cell of every study that it is; none where no study's newest design asks for it."""

    key: str
    cells: tuple[Cell, ...]

    @property
    def label(self) -> str:
        """The start of the key with the first cell."""
        where = f"  {self.cells[0].study} [{self.cells[0].profile}]  {self.cells[0].label}" if self.cells else ""
        return f"{self.key[:SHORT]}{where}"


def find_trial(store: duckdb.DuckDBPyConnection, name: str) -> Address:
    """The one trial of that name. Raises UserError where there is none, or more than one."""
    study, colon, terms = name.strip().partition(":")
    key = _by_cell(store, Path(study).stem, terms) if colon else _by_digits(store, study.lower())
    return addresses(store, [key])[0]


def addresses(store: duckdb.DuckDBPyConnection, keys: Iterable[str]) -> list[Address]:
    """Trials with the cells that they are, in the order of the keys."""
    wanted = list(keys)
    rows = store.execute(
        """SELECT key, study, profile, axes, "case", seed FROM cells
        WHERE key IN (SELECT unnest(?::VARCHAR[])) ORDER BY study, profile, position""",
        [wanted],
    ).fetchall()
    cells: dict[str, list[Cell]] = {key: [] for key in wanted}
    for key, study, profile, axes, case, seed in rows:
        cells[key].append(Cell(study, profile, json.loads(axes), case, seed))
    return [Address(key, tuple(cells[key])) for key in wanted]


def as_text(value: Any) -> str:
    """An axis value as people write it: text as it is, all else as JSON has it."""
    return value if isinstance(value, str) else json.dumps(value)


def _by_digits(store: duckdb.DuckDBPyConnection, digits: str) -> str:
    if not re.fullmatch(rf"[0-9a-f]{{{_SHORTEST},64}}", digits):
        known = _studies(store)
        if digits in known:
            example = addresses(store, [_first_key(store, digits)])[0].cells[0].label.replace(" ", ",")
            raise UserError(f"'{digits}' is a study", help=f"say which of its trials: {digits}:{example}")
        help = f"give at least {_SHORTEST} digits of its key, or STUDY:AXIS=VALUE,...,seed=N"
        raise UserError(f"'{digits}' names no trial{nearest(digits, known)}", help=help)
    keys = store.execute(
        "SELECT key FROM trials WHERE starts_with(key, $1) UNION SELECT key FROM cells WHERE starts_with(key, $1)",
        [digits],
    ).fetchall()
    if not keys:
        raise UserError(f"no trial's key starts with {digits}", help='ablate query "SELECT * FROM cells" lists them')
    return _only(store, f"{digits} is the start of", sorted(key for (key,) in keys))


def _by_cell(store: duckdb.DuckDBPyConnection, study: str, terms: str) -> str:
    known = _studies(store)
    if study not in known:
        help = f"studies with records are: {', '.join(known)}" if known else "run it first: ablate run STUDY"
        raise UserError(f"no record of a study '{study}'{nearest(study, known)}", help=help)
    rows = store.execute(
        'SELECT key, profile, axes, "case", seed FROM cells WHERE study = ? ORDER BY profile, position', [study]
    ).fetchall()
    cells = [(key, Cell(study, profile, json.loads(axes), case, seed)) for key, profile, axes, case, seed in rows]
    wanted = _parse(terms, study, cells)
    found = [(key, cell) for key, cell in cells if all(_fits(cell, *term) for term in wanted.items())]
    profiles = list(dict.fromkeys(cell.profile for _, cell in found))
    if len(profiles) > 1:
        if _DEFAULT_PROFILE not in profiles:
            raise UserError(f"{study}:{terms} is at several profiles", help=f"add profile=: {', '.join(profiles)}")
        found = [(key, cell) for key, cell in found if cell.profile == _DEFAULT_PROFILE]
    # A cell with these axes and no others goes before those that have more.
    axes = wanted.keys() - set(_OWN_TERMS)
    found = [(key, cell) for key, cell in found if axes and cell.axes.keys() == axes] or found
    if not found:
        raise UserError(f"no trial of {study} is {terms}", help=f"its cells are, for example:\n{_list(cells)}")
    return _only(store, f"{study}:{terms} is", list(dict.fromkeys(key for key, _ in found)))


def _parse(terms: str, study: str, cells: list[tuple[str, Cell]]) -> dict[str, str]:
    """`first=crop,second=color` as a dictionary, once every name and value is known to be one of the study's."""
    values: dict[str, dict[str, None]] = {}
    for _, cell in cells:
        for name, value in _terms(cell).items():
            values.setdefault(name, {})[as_text(value)] = None
    wanted = {}
    for term in filter(None, re.split(r"[,\s]+(?=\w+=)|,", terms.strip(", "))):
        name, equals, value = term.strip().partition("=")
        if not equals and name in values.get("case", {}):  # labels name cases so
            name, equals, value = "case", "=", name
        if name not in values:
            help = f"names are: {', '.join(values)}"
            raise UserError(f"{study} has no axis '{name}'{nearest(name, values)}", help=help)
        if not equals or not any(_same(known, value) for known in values[name]):
            shown = list(values[name])
            more = f", and {len(shown) - 2 * _LISTED} more" if len(shown) > 2 * _LISTED else ""
            help = f"values of {name} are: {', '.join(shown[: 2 * _LISTED])}{more}"
            raise UserError(f"{study} has no {name}={value}{nearest(value, shown)}", help=help)
        wanted[name] = value
    return wanted


def _terms(cell: Cell) -> dict[str, Any]:
    own = {"seed": cell.seed, "profile": cell.profile, **({"case": cell.case} if cell.case else {})}
    return cell.axes | own


def _fits(cell: Cell, name: str, value: str) -> bool:
    terms = _terms(cell)
    return name in terms and _same(as_text(terms[name]), value)


def _same(known: str, given: str) -> bool:
    """Whether two texts are one value: 1 is 1.0, and True is true."""
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
        raise UserError(f"{what} {len(keys)} trials", help=f"say which one:\n{shown}{more}")
    return keys[0]


def _list(cells: list[tuple[str, Cell]]) -> str:
    return "\n".join(f"  {key[:SHORT]}  [{cell.profile}]  {cell.label}" for key, cell in cells[:_LISTED])


def _studies(store: duckdb.DuckDBPyConnection) -> list[str]:
    return [study for (study,) in store.execute("SELECT DISTINCT study FROM cells ORDER BY study").fetchall()]


def _first_key(store: duckdb.DuckDBPyConnection, study: str) -> str:
    row = store.execute("SELECT key FROM cells WHERE study = ? ORDER BY profile, position LIMIT 1", [study]).fetchone()
    return str(row[0]) if row else ""
