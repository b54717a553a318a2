"""Compare: the same studies in two folders of records, before and after a change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ablate.errors import UserError, nearest
from ablate.judge import told
from ablate.judge.paired import t_interval
from ablate.records.compare import SURROUNDINGS
from ablate.records.files import Results, write_text
from ablate.records.flatten import flat
from ablate.records.status import read_status
from ablate.records.store import open_store
from ablate.report.charts.pairs import before_and_after
from ablate.report.figure import Figure
from ablate.report.html import COMPARISON, html
from ablate.report.reading import Reading, read_study

if TYPE_CHECKING:
    from ablate.judge.verdict import Verdict
    from ablate.report.measured import Measured
    from ablate.report.rows import Trial

Place = tuple[str, str]
"""Study and profile."""


@dataclass(frozen=True)
class CellPair:
    """One cell in both folders."""

    label: str
    before: float | None
    """Mean over the seeds that it has there."""
    after: float | None
    differences: tuple[float, ...]
    """After less before, of each seed that both have."""
    same: int
    """Of the seeds that both have, how many are one trial: the same key."""
    equal: int
    """Of these, how many have the same value to the last digit."""

    @property
    def difference(self) -> float | None:
        """Their mean."""
        return sum(self.differences) / len(self.differences) if self.differences else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % interval by Student's t; None below 2 seeds."""
        return t_interval(self.differences)


@dataclass(frozen=True)
class Change:
    """A setting, or something of the surroundings, that is not the same on both sides."""

    name: str
    before: str
    after: str
    trials: int
    """In how many pairs of trials it differs; 0 for surroundings, which are told by all that occur."""


@dataclass(frozen=True)
class StudyPair:
    """One study at one profile in both folders."""

    before: Reading
    after: Reading
    cells: tuple[CellPair, ...]
    settings: tuple[Change, ...]
    surroundings: tuple[Change, ...]
    verdicts: tuple[tuple[Verdict | None, Verdict | None], ...]
    """Of each claim; those that changed come first."""
    figure: Figure | None
    """Of the cells that both have measured."""

    @property
    def name(self) -> str:
        """Of its part of the page."""
        return "-".join(self.after.place)

    @property
    def changed(self) -> int:
        """How many claims have another verdict, or are on one side only."""
        return sum(changed(*each) for each in self.verdicts)


def changed(before: Verdict | None, after: Verdict | None) -> bool:
    """Whether the verdicts on a claim are not of one kind."""
    return before is None or after is None or before.kind != after.kind


def write_comparison(before: Results, after: Results, studies: Sequence[str], reports: Path) -> Path:
    """Write `compare.html` over the studies that both folders have records of, or those named; returns its path.

    Raises UserError where one that is named, or every one, is in one folder only.
    """
    with open_store(before) as store, open_store(after) as other:
        here, there = _places(store, before), _places(other, after)
        wanted = _wanted(here, there, [Path(study).stem for study in studies], (before, after))
        pairs = [
            _pair(read_study(before, *place, store), read_study(after, *place, other), store, other) for place in wanted
        ]
    page = html(
        "compare.html.j2",
        pairs=sorted(pairs, key=lambda pair: -pair.changed),
        before=before.root.name,
        after=after.root.name,
        only_before=[place for place in here if place not in there and not studies],
        only_after=[place for place in there if place not in here and not studies],
        changed=changed,
        told=told,
    )
    path = reports / f"{COMPARISON}.html"
    write_text(path, page)
    return path


def _places(store: duckdb.DuckDBPyConnection, results: Results) -> list[Place]:
    return [(each.study, each.profile) for each in read_status(store, results).standings]


def _wanted(
    here: Sequence[Place], there: Sequence[Place], studies: Sequence[str], folders: tuple[Results, Results]
) -> list[Place]:
    both = [place for place in here if place in there]
    known = sorted({study for study, _ in both})
    for study in studies:
        if study not in known:
            where = " and ".join(str(folder.root) for folder in folders)
            message = f"no study '{study}' at one profile in both {where}{nearest(study, known)}"
            raise UserError(message, help=f"in both are: {', '.join(known) or 'none'}")
    if not both:
        raise UserError(
            "the two folders have no study in common", help="ablate status --results DIR lists what is in one"
        )
    return [place for place in both if not studies or place[0] in studies]


def _pair(
    before: Reading, after: Reading, store: duckdb.DuckDBPyConnection, other: duckdb.DuckDBPyConnection
) -> StudyPair:
    cells = tuple(_cells(before.measured, after.measured))
    both = [
        (each.label, each.before, each.after) for each in cells if each.before is not None and each.after is not None
    ]
    return StudyPair(
        before=before,
        after=after,
        cells=cells,
        settings=tuple(_settings(before.measured, after.measured, store, other)),
        surroundings=tuple(_surroundings(before.measured, after.measured)),
        verdicts=_verdicts(before, after),
        figure=before_and_after("-".join(after.place), after.measured.metric, both),
    )


_Cell = tuple[str | None, str]
"""Case, and axes as JSON."""


def _by_cell(measured: Measured) -> dict[_Cell, dict[int, Trial]]:
    found: dict[_Cell, dict[int, Trial]] = {}
    for trial in measured.trials:
        found.setdefault((trial.case, json.dumps(trial.axes, sort_keys=True)), {})[trial.seed] = trial
    return found


def _cells(before: Measured, after: Measured) -> Iterator[CellPair]:
    """The cells of both in the order of the later, then those that are gone."""
    old, new = _by_cell(before), _by_cell(after)
    for cell in dict.fromkeys([*new, *old]):
        left, right = old.get(cell, {}), new.get(cell, {})
        shared = [(left[seed], right[seed]) for seed in sorted(left.keys() & right.keys())]
        valued = [(one.value, two.value) for one, two in shared if one.value is not None and two.value is not None]
        same = [(one.value, two.value) for one, two in shared if one.key == two.key]
        measured, trial = (after, next(iter(right.values()))) if right else (before, next(iter(left.values())))
        yield CellPair(
            measured.cells[trial.cell].label,
            _mean(left),
            _mean(right),
            tuple(two - one for one, two in valued),
            len(same),
            sum(one == two and one is not None for one, two in same),
        )


def _mean(trials: dict[int, Trial]) -> float | None:
    values = [trial.value for trial in trials.values() if trial.value is not None]
    return sum(values) / len(values) if values else None


def _settings(
    before: Measured, after: Measured, store: duckdb.DuckDBPyConnection, other: duckdb.DuckDBPyConnection
) -> Iterator[Change]:
    """What differs between trials of one cell and seed, the trainer and its recipe version among it."""
    old, new = _by_cell(before), _by_cell(after)
    configs, others = _configs(store, before), _configs(other, after)
    seen: dict[str, list[tuple[Any, Any]]] = {}
    for cell in old.keys() & new.keys():
        for seed in old[cell].keys() & new[cell].keys():
            left, right = configs.get(old[cell][seed].key), others.get(new[cell][seed].key)
            if left is None or right is None or left == right:
                continue
            for name in {**left, **right}:
                if left.get(name) != right.get(name):
                    seen.setdefault(name, []).append((left.get(name), right.get(name)))
    for name, values in sorted(seen.items()):
        yield Change(name, _listed(one for one, _ in values), _listed(two for _, two in values), len(values))


def _configs(store: duckdb.DuckDBPyConnection, measured: Measured) -> dict[str, dict[str, Any]]:
    rows = store.execute(
        """SELECT key, config, trainer, recipe_version FROM trials
        WHERE key IN (SELECT unnest(?::VARCHAR[])) AND config IS NOT NULL""",
        [[trial.key for trial in measured.trials]],
    ).fetchall()
    return {
        key: {"trainer": trainer, "recipe version": version, **flat(json.loads(config))}
        for key, config, trainer, version in rows
    }


def _surroundings(before: Measured, after: Measured) -> Iterator[Change]:
    for name in SURROUNDINGS:
        left, right = ([flat({name: each.get(name)}) for each in side.environments] for side in (before, after))
        for fact in dict.fromkeys(fact for each in (*left, *right) for fact in each):
            one, two = (_listed(each.get(fact) for each in side) for side in (left, right))
            if one != two:
                yield Change(fact, one, two, 0)


def _listed(values: Any) -> str:
    """Each that occurs, once."""
    texts = sorted(
        {"\u2013" if value is None else value if isinstance(value, str) else json.dumps(value) for value in values}
    )
    return ", ".join(texts) or "\u2013"


def _verdicts(before: Reading, after: Reading) -> tuple[tuple[Verdict | None, Verdict | None], ...]:
    old, new = ({each.claim.id: each for each in side.judged.verdicts} for side in (before, after))
    both = [(old.get(name), new.get(name)) for name in dict.fromkeys([*new, *old])]
    return tuple(sorted(both, key=lambda each: not changed(*each)))
