"""The comparison page: the same studies in two results folders, before and after a change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ablate.errors import UserError, nearest
from ablate.judge import wording
from ablate.judge.statistics.paired import t_interval
from ablate.records.compare import ENVIRONMENT_FACTS, flat
from ablate.records.files import Results, write_text
from ablate.records.status import StudyProfile, read_status
from ablate.records.store import open_store
from ablate.report.charts.agreement import before_and_after
from ablate.report.reading import Reading, read_study
from ablate.report.render.figure import Figure
from ablate.report.render.html import COMPARISON, html
from ablate.study.cells.cell import Cell

if TYPE_CHECKING:
    from ablate.judge.evidence import CellTrial, Evidence
    from ablate.judge.verdict import Verdict


@dataclass(frozen=True)
class CellPair:
    """One cell in both folders."""

    label: str
    before: float | None
    """Mean over its seeds in the first folder."""
    after: float | None
    differences: tuple[float, ...]
    """After minus before, for each shared seed."""
    same: int
    """Number of shared seeds whose trials have the same key."""
    equal: int
    """Number of these with exactly the same value."""

    @property
    def difference(self) -> float | None:
        """The mean difference."""
        return sum(self.differences) / len(self.differences) if self.differences else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean difference by Student's t; None below 2 seeds."""
        return t_interval(self.differences)


@dataclass(frozen=True)
class Change:
    """A setting, or a fact of the environment, that differs between the folders."""

    name: str
    before: str
    after: str
    trials: int
    """Number of pairs of trials in which it differs; 0 for the environment, of which all values are listed."""


@dataclass(frozen=True)
class StudyPair:
    """One study at one profile in both folders."""

    before: Reading
    after: Reading
    cells: tuple[CellPair, ...]
    settings: tuple[Change, ...]
    environments: tuple[Change, ...]
    verdicts: tuple[tuple[Verdict | None, Verdict | None], ...]
    """The verdicts on each claim, before and after; changed ones first."""
    figure: Figure | None
    """Chart of the cells that have values in both folders."""

    @property
    def name(self) -> str:
        """The id of its section on the page."""
        return "-".join(self.after.study_profile)

    @property
    def changed(self) -> int:
        """Number of claims whose verdict changed, or that only one folder has."""
        return sum(changed(*each) for each in self.verdicts)


def changed(before: Verdict | None, after: Verdict | None) -> bool:
    """Whether the kinds of two verdicts differ, or one is missing."""
    return before is None or after is None or before.kind != after.kind


@dataclass(frozen=True)
class FolderPair:
    """Two results folders, before and after a change."""

    before: Results
    after: Results
    studies: tuple[StudyPair, ...]
    """Those compared, with the most changed verdicts first."""
    only_before: tuple[StudyProfile, ...]
    only_after: tuple[StudyProfile, ...]


def read_pair(before: Results, after: Results, studies: Sequence[str]) -> FolderPair:
    """The studies that both folders have, or the given ones, compared.

    Raises UserError if a given study, or every study, is in one folder only.
    """
    with open_store(before) as store, open_store(after) as other:
        here, there = _study_profiles(store, before), _study_profiles(other, after)
        wanted = _wanted(here, there, [Path(study).stem for study in studies], (before, after))
        pairs = [_pair(read_study(before, *each, store), read_study(after, *each, other)) for each in wanted]
    ordered = tuple(sorted(pairs, key=lambda pair: -pair.changed))
    only_before = tuple(each for each in here if each not in there and not studies)
    return FolderPair(before, after, ordered, only_before, tuple(x for x in there if x not in here and not studies))


def write_comparison(before: Results, after: Results, studies: Sequence[str], reports: Path) -> Path:
    """Write `compare.html`, and return its path. Raises UserError as `read_pair` does."""
    found = read_pair(before, after, studies)
    page = html(
        "compare.html.j2",
        pairs=found.studies,
        before=before.root.name,
        after=after.root.name,
        only_before=found.only_before,
        only_after=found.only_after,
        changed=changed,
        wording=wording,
    )
    path = reports / f"{COMPARISON}.html"
    write_text(path, page)
    return path


def _study_profiles(store: duckdb.DuckDBPyConnection, results: Results) -> list[StudyProfile]:
    return [(each.study, each.profile) for each in read_status(store, results).standings]


def _wanted(
    here: Sequence[StudyProfile],
    there: Sequence[StudyProfile],
    studies: Sequence[str],
    folders: tuple[Results, Results],
) -> list[StudyProfile]:
    both = [each for each in here if each in there]
    known = sorted({study for study, _ in both})
    for study in studies:
        if study not in known:
            where = " and ".join(str(folder.root) for folder in folders)
            message = f"{where} do not share the study '{study}' at any profile{nearest(study, known)}"
            raise UserError(message, help=f"studies in both: {', '.join(known) or 'none'}")
    if not both:
        help = "ablate status --results DIR lists the studies of a folder"
        raise UserError("the two folders have no study in common", help=help)
    return [each for each in both if not studies or each[0] in studies]


def _pair(before: Reading, after: Reading) -> StudyPair:
    cells = tuple(_cells(before.measured, after.measured))
    pairs = [(each.label, each.before, each.after) for each in cells]
    both = [(label, old, new) for label, old, new in pairs if old is not None and new is not None]
    return StudyPair(
        before=before,
        after=after,
        cells=cells,
        settings=tuple(_settings(before.measured, after.measured)),
        environments=tuple(_environments(before, after)),
        verdicts=_verdicts(before, after),
        figure=before_and_after("-".join(after.study_profile), after.measured.metric, both),
    )


def _by_cell(measured: Evidence) -> dict[Cell, dict[int, CellTrial]]:
    found: dict[Cell, dict[int, CellTrial]] = {}
    for trial in measured.trials:
        found.setdefault(measured.cells[trial.cell].cell, {})[trial.seed] = trial
    return found


def _cells(before: Evidence, after: Evidence) -> Iterator[CellPair]:
    """The cells of both in the order of the second folder, then those that only the first has."""
    old, new = _by_cell(before), _by_cell(after)
    for cell in dict.fromkeys([*new, *old]):
        left, right = old.get(cell, {}), new.get(cell, {})
        shared = [(left[seed], right[seed]) for seed in sorted(left.keys() & right.keys())]
        valued = [(one.value, two.value) for one, two in shared if one.value is not None and two.value is not None]
        same = [(one.value, two.value) for one, two in shared if one.key == two.key]
        measured, trial = (after, next(iter(right.values()))) if right else (before, next(iter(left.values())))
        yield CellPair(
            measured.cells[trial.cell].title,
            _mean(left),
            _mean(right),
            tuple(two - one for one, two in valued),
            len(same),
            sum(one == two and one is not None for one, two in same),
        )


def _mean(trials: dict[int, CellTrial]) -> float | None:
    values = [trial.value for trial in trials.values() if trial.value is not None]
    return sum(values) / len(values) if values else None


def _settings(before: Evidence, after: Evidence) -> Iterator[Change]:
    """Settings that differ between trials of the same cell and seed, including the trainer and its recipe version."""
    old, new = _by_cell(before), _by_cell(after)
    configs, others = _configs(before), _configs(after)
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


def _configs(measured: Evidence) -> dict[str, dict[str, Any]]:
    """Key of a trial that has a record -> its settings, trainer and recipe version."""
    return {
        trial.key: {
            "trainer": trial.trainer, "recipe version": trial.recipe_version, **flat(measured.configs[trial.key])
        }
        for trial in measured.trials
        if trial.key in measured.configs
    }  # fmt: skip


def _environments(before: Reading, after: Reading) -> Iterator[Change]:
    for name in ENVIRONMENT_FACTS:
        left, right = ([flat({name: each.get(name)}) for each in side.environments] for side in (before, after))
        for fact in dict.fromkeys(fact for each in (*left, *right) for fact in each):
            one, two = (_listed(each.get(fact) for each in side) for side in (left, right))
            if one != two:
                yield Change(fact, one, two, 0)


def _listed(values: Any) -> str:
    """The distinct values, sorted."""
    texts = ["\u2013" if value is None else value if isinstance(value, str) else json.dumps(value) for value in values]
    return ", ".join(sorted(set(texts))) or "\u2013"


def _verdicts(before: Reading, after: Reading) -> tuple[tuple[Verdict | None, Verdict | None], ...]:
    old, new = ({each.claim.id: each for each in side.judged.verdicts} for side in (before, after))
    both = [(old.get(name), new.get(name)) for name in dict.fromkeys([*new, *old])]
    return tuple(sorted(both, key=lambda each: not changed(*each)))
