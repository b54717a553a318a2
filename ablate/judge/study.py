"""Judging a study: its newest design at a profile, its claims, and the verdict on each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import duckdb

from ablate.errors import UserError
from ablate.judge.evidence import Evidence, MeasuredCell, published_cells, read_evidence
from ablate.judge.on_paper import as_measured, on_paper
from ablate.judge.published import scale_of
from ablate.judge.statistics.sequential import MOST_SEEDS
from ablate.judge.verdict import Verdict, judge
from ablate.records.files import Results
from ablate.records.plan_file import PlanFile, parse_declarations
from ablate.records.plans import newest_plan
from ablate.records.store import store_of
from ablate.study.declared import declared
from ablate.study.expansion.design import cells as cells_of_study
from ablate.study.expansion.design import design
from ablate.study.load import load_study
from ablate.study.schema.study import EVALUATION, LoadedStudy


@dataclass(frozen=True)
class Judged:
    """The verdicts on a study at one profile."""

    evidence: Evidence
    """With the newest plan; its claims, references and chart are those of the study's file if nothing else changed."""
    verdicts: tuple[Verdict, ...]
    most_seeds: int | None
    """The number of seeds at the last look, if seeds were added until claims were decided or after verdicts had been
    seen: the verdicts account for it. None: they are of a single look."""
    cautions: tuple[str, ...]
    text: str | None
    """The text of the study's file, or of the plan."""

    @property
    def sequential(self) -> bool:
        """Whether the verdicts account for repeated looks."""
        return self.most_seeds is not None

    @property
    def plan(self) -> PlanFile:
        """The plan of the evidence."""
        return self.evidence.plan

    @property
    def cells(self) -> tuple[MeasuredCell, ...]:
        """The cells of the evidence."""
        return self.evidence.cells

    @property
    def scale(self) -> str | None:
        """The scale of the verdicts, and what they can show; None for a study without a paper."""
        return scale_of(self.plan)

    @property
    def summary(self) -> str:
        """The number of claims with each verdict: `3 supported, 1 pointing to refuted`."""
        kinds = [verdict.kind.replace("points to", "pointing to") for verdict in self.verdicts]
        return ", ".join(f"{kinds.count(each)} {each}" for each in dict.fromkeys(kinds))

    def __repr__(self) -> str:
        lines = [f"<verdicts of {self.plan.study}: {self.summary or 'no claims'}>", *map(repr, self.verdicts)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        names = ("claim", "verdict", "effect", "p")
        rows = [(f"{each.claim.id}: {each.claim.text}", each.label, *each.numbers) for each in self.verdicts]
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        head = "".join(f"<th>{name}</th>" for name in names)
        return f"<p>{escape(repr(self).splitlines()[0][1:-1])}</p><table><tr>{head}</tr>{body}</table>"


def judge_study(
    results: Results,
    study: str,
    profile: str | None = None,
    sequential: bool = False,
    store: duckdb.DuckDBPyConnection | None = None,
) -> Judged:
    """Judge a study, by path or name, at a profile; by default `embedded` or the one that was run last.

    The claims come from the study's file if it still varies the same, else from its last run. store: if open already.
    """
    plan, cautions = newest_plan(results, study, profile), []
    if (loaded := _file(study, plan)) is not None:
        if _varied(loaded) != {*plan.axis_values, *plan.cases}:
            changed = "the study file has changed its axes or cases since the last run"
            cautions.append(f"{changed}; the claims of that run are judged")
        else:
            now = parse_declarations(declared(loaded))
            if now["claims"] != plan.claims:
                cautions.append("claims were edited after the last run; the edited claims are judged")
            plan = replace(plan, **now)
    with store_of(results, store, curves=False) as opened:
        evidence = read_evidence(opened, plan)
    cautions += _not_asked_for(loaded, plan, evidence.cells)
    if plan.seen_at:
        cautions.append(_grown(plan.seen_at))
    if plan.lower_limits:
        cautions.append(_raised(plan.lower_limits, plan.most_seeds))
    repeated = sequential or plan.sequential or plan.seen_at
    most = max(plan.most_seeds or MOST_SEEDS, *map(len, (cell.asked for cell in evidence.cells))) if repeated else None
    verdicts = judge(evidence, on_paper(plan, as_measured(published_cells(plan))), most)
    return Judged(evidence, verdicts, most, tuple(cautions), loaded.source.whole if loaded else plan.text or None)


def _raised(lower: Sequence[int], most: int) -> str:
    limits = " and ".join(map(str, lower))
    return (
        f"the limit of seeds was raised from {limits} to {most} after verdicts had been shown: the looks of each limit "
        "use 5 %, so the error rate over all of them is higher"
    )


def _grown(seen_at: Sequence[int]) -> str:
    counts = " and ".join(map(str, seen_at))
    return (
        f"seeds were added after verdicts at {counts} seeds had been shown; these verdicts are of a test for repeated "
        "looks, but its error rate does not hold for whoever would have stopped at an earlier verdict (start with "
        "--until-decided)"
    )


def _not_asked_for(loaded: LoadedStudy | None, plan: PlanFile, cells: Sequence[MeasuredCell]) -> list[str]:
    """A caution if cells of the study were not run (`--only`): the best cell is then the best of some."""
    if loaded is None:
        whole, missing = plan.size, plan.size - len(cells)
    else:
        varied = design(loaded.study, plan.base_profile)
        every = {each.cell for each in cells_of_study(loaded.study, varied, loaded.source)}
        whole, missing = len(every), len(every - {each.cell for each in cells})
    if missing <= 0:
        return []
    return [f"{missing} of the study's {whole} cells were not run; claims are judged on the others"]


def _varied(loaded: LoadedStudy) -> set[str]:
    study = loaded.study
    return {*study.all_axes, *(case.name for case in study.every_case), *([EVALUATION] if study.evaluate else [])}


def _file(study: str, plan: PlanFile) -> LoadedStudy | None:
    """The study's file: the given one, or the one that was run; None if neither can be read without problems."""
    for path in (study, plan.path):
        if Path(path).is_file() and (loaded := _loaded(path, plan)):
            return loaded
    return None


def _loaded(path: str, plan: PlanFile) -> LoadedStudy | None:
    try:
        loaded = load_study(path)
    except UserError:
        return None
    return None if loaded.problems or loaded.study.name != plan.study else loaded
