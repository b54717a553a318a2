"""Which cells undecided claims compare: their seeds are trained before those of other cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ablate.errors import UserError
from ablate.run.order import in_order, seeds_of

if TYPE_CHECKING:
    from ablate.records.files import Results
    from ablate.run.plan import Plan
    from ablate.study.cells.cell import Cell
    from ablate.study.expansion.trial import Trial

_MOST_TRIALS = 20_000
"""Beyond, the cells are not looked for: judging takes longer than it is worth."""


def ordered(plan: Plan, results: Results) -> list[Trial]:
    """The trials that a plan is to run, in the order of `ablate.run.order`."""
    trials, seeds = plan.to_run, seeds_of(plan.expansion.trials)
    worth = len({trial.seed for trial in trials} - set(seeds[:1])) > 0 and len(trials) <= _MOST_TRIALS
    return in_order(trials, seeds, needed_cells(plan, results) if worth and plan.loaded.study.claims else ())


def needed_cells(plan: Plan, results: Results) -> frozenset[Cell]:
    """The cells that undecided claims compare; before the first result, those of all claims."""
    if plan.counts["done"]:
        try:
            return _undecided(plan, results)
        except UserError:  # no earlier run has a plan with these claims
            pass
    return _compared(plan)


def _undecided(plan: Plan, results: Results) -> frozenset[Cell]:
    from ablate.judge.study import judge_study

    judged = judge_study(results, str(plan.loaded.source.path), plan.profile)
    open_claims = [verdict for verdict in judged.verdicts if verdict.state not in ("supported", "refuted")]
    return frozenset(judged.cells[number].cell for verdict in open_claims for number in verdict.cells)


def _compared(plan: Plan) -> frozenset[Cell]:
    from ablate.judge.answer import wanted_by
    from ablate.judge.evidence import MeasuredCell

    asked: dict[Cell, list[int]] = {}
    for trial in plan.expansion.trials:
        asked.setdefault(trial.cell, []).append(trial.seed)
    metric = plan.loaded.study.metric
    cells = [MeasuredCell(cell, cell.label, cell.label, metric, asked=tuple(seeds)) for cell, seeds in asked.items()]
    axes = {name: axis.names for name, axis in plan.expansion.axes.items()}
    around: dict[str, Any] = {"metric": metric, "axes": axes, "at_paper_scale": False}
    compared = [wanted_by(claim, cells, **around) for claim in plan.loaded.study.claims]
    return frozenset(cells[number].cell for each in compared for number, _ in each)
