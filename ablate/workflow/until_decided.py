"""Running a study until its claims are decided: adding seeds to the cells that undecided claims compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ablate.records.plain import plural
from ablate.workflow.run import FinishedRun, plan_after_tuning, plan_study, run_plan

if TYPE_CHECKING:
    from ablate.judge.study import Judged
    from ablate.judge.verdict import Verdict
    from ablate.records.files import Results
    from ablate.run.options import PlanOptions, RunOptions
    from ablate.run.plan import Plan
    from ablate.study.expansion.trial import Trial
    from ablate.study.schema.study import LoadedStudy


def run_until_decided(study: str | LoadedStudy, options: PlanOptions, how: RunOptions, results: Results) -> FinishedRun:
    """Train three seeds of every cell, then more of those that undecided comparisons need; returns the last run.

    options.seeds limits the seeds: by default 30. Claims are judged at the looks of
    ablate.judge.statistics.sequential, which keep verdicts valid. A comparison that is decided needs no more seeds, and
    a trial that fails ends only its own comparisons. The run ends when every claim is decided, at the largest number of
    seeds, before a round that may exceed the budget, or when a trial is running in another process. Raises UserError if
    the first round may exceed the budget.
    """
    from ablate.judge.statistics.sequential import MOST_SEEDS, looks
    from ablate.workflow.budget import check_budget

    most = MOST_SEEDS if options.seeds is None else len(options.seeds)
    counts = looks(most)
    plan = plan_after_tuning(study, _with_seeds(options, counts[0]), how, results)
    if isinstance(plan, FinishedRun):
        return plan
    first = replace(plan, sequential=True, most_seeds=most)
    check_budget(first, how.budget)
    rounds = [run_plan(first, results, how)]
    for seeds in (*counts[1:], None):
        judged = _judge_round(rounds, first)
        if judged is None:
            break
        undecided = _open_claims(judged, first)
        names = ", ".join(verdict.claim.id for verdict in undecided)
        if seeds is None:
            print(f"still undecided after {plural(most, 'seed')} (the limit): {names}")
            break
        plan = plan_study(study, _with_seeds(options, seeds), results, _needed(judged, undecided, rounds))
        plan = replace(plan, sequential=True, most_seeds=most)
        if how.budget is not None and not _is_affordable(plan, how.budget, rounds):
            print(f"undecided: {names}; going to {seeds} seeds may exceed what is left of --budget {how.budget}")
            break
        print(f"undecided: {names}; adding seeds to {_cells(judged, undecided)} that they need ({seeds} per cell)")
        rounds.append(run_plan(plan, results, how))
    return replace(rounds[-1], outcomes={key: each for one in rounds for key, each in one.outcomes.items()})


def _with_seeds(options: PlanOptions, count: int) -> PlanOptions:
    return replace(options, seeds=range(count) if options.seeds is None else options.seeds[:count])


def _judge_round(rounds: Sequence[FinishedRun], first: Plan) -> Judged | None:
    """The verdicts after a round; None if no other round follows, after printing the reason."""
    from ablate.judge.study import judge_study

    finished = rounds[-1]
    if left := _not_done(finished):
        print(f"not judged yet: no result of {plural(left, 'trial')} that another process is running or has stopped")
        print("run the same command again when they are done")
        return None
    judged = judge_study(finished.results, str(first.loaded.source.path), first.profile, sequential=True)
    if not _open_claims(judged, first):
        print(f"claims: {judged.summary}" if judged.verdicts else "the study has no claims to decide")
        return None
    return judged


def _open_claims(judged: Judged, plan: Plan) -> list[Verdict]:
    """The undecided claims that more seeds can decide: those of which --only left out no cell."""
    planned = {trial.cell for trial in plan.expansion.trials}
    undecided = [verdict for verdict in judged.verdicts if verdict.open_cells]
    return [each for each in undecided if all(judged.cells[number].cell in planned for number in each.cells)]


def _needed(judged: Judged, verdicts: Sequence[Verdict], rounds: Sequence[FinishedRun]) -> Callable[[Trial], bool]:
    """A predicate: whether open comparisons need a trial that did not fail in an earlier round."""
    wanted = {judged.cells[number].cell for verdict in verdicts for number in verdict.open_cells}
    failed = {key for each in rounds for key in each.failed}
    return lambda trial: trial.cell in wanted and trial.key not in failed


def _cells(judged: Judged, verdicts: Sequence[Verdict]) -> str:
    """`the 3 of 49 cells`."""
    count = len({number for verdict in verdicts for number in verdict.open_cells})
    return (
        f"the {plural(len(judged.cells), 'cell')}"
        if count == len(judged.cells)
        else f"the {count} of {len(judged.cells)} cells"
    )


def _is_affordable(plan: Plan, budget: str, rounds: Sequence[FinishedRun]) -> bool:
    from ablate.study.schema.resources import hours

    spent = sum(each.hours for each in rounds)
    likely = (plan.cost.high or 0.0) * plan.units if not plan.cost.unknown else float("inf")
    return spent + likely <= hours(budget)


def _not_done(finished: FinishedRun) -> int:
    """How many trials of a round have not ended: judging without them would be a look that was not planned."""
    from ablate.records.attempt import is_done

    planned = (key for key in finished.plan.distinct if key not in finished.failed)
    return sum(not is_done(finished.results.trial(key)) for key in planned)
