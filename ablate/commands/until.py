"""`ablate run --until-decided`: seeds are added to the cells that undecided claims need, until none is left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ablate.judge.study import Judged
    from ablate.judge.verdict import Verdict
    from ablate.records.files import Results
    from ablate.run.command import FinishedRun
    from ablate.run.plan import Plan
    from ablate.study.trial import Trial

_AGAIN = "when all are done, the same command goes on"
MOST_SEEDS = 30
"""A claim that so many seeds do not decide is left undecided, unless --seeds says another number."""


@dataclass(frozen=True)
class Steps:
    """What the rounds are made of: the command's own planning and training."""

    results: "Results"
    plan: "Callable[[int, Callable[[Trial], bool] | None], Plan]"
    """Plans so many seeds of the trials to keep, or of all."""
    train: "Callable[[Plan], FinishedRun]"

    def judge(self, plan: "Plan") -> "Judged":
        """The verdicts on the study of a plan, by its file."""
        from ablate.judge.study import judge_study

        return judge_study(self.results, str(plan.loaded.source.path), plan.profile, sequential=True)


def run_until_decided(steps: Steps, budget: str | None, most_seeds: int | None) -> "FinishedRun":
    """Train three seeds of every cell, then more of those that undecided claims compare; returns the last run.

    Claims are judged at the looks of ablate.judge.sequential, which keep verdicts valid however often one looks. It
    ends when all are decided, at the most seeds, where the next round may cost more than is left of the budget, when a
    trial fails, or is another process's. Raises UserError where the first round may cost more than the budget.
    """
    from ablate.commands.output import plural
    from ablate.judge.sequential import looks
    from ablate.run.command import check_budget

    counts = looks(most_seeds or MOST_SEEDS) or [most_seeds or MOST_SEEDS]
    first = replace(steps.plan(counts[0], None), sequential=True)
    if budget is not None:
        check_budget(first, budget)
    rounds = [steps.train(first)]
    for seeds in (*counts[1:], None):
        if (left := _not_done(rounds[-1])) and not _failed(rounds[-1]):
            print(f"not judged yet: another process runs, or ended, {plural(left, 'trial')} of these seeds; {_AGAIN}")
            break
        judged = steps.judge(first)
        open_claims = _open(judged, first)
        if _failed(rounds[-1]) or not open_claims:
            print(f"claims: {judged.summary}" if judged.verdicts else "the study makes no claims: nothing to decide")
            break
        if seeds is None:
            print(
                f"undecided after {plural(counts[-1], 'seed')}, {_last(counts[-1], most_seeds)}: {_names(open_claims)}"
            )
            break
        plan = replace(steps.plan(seeds, _of_cells(judged, open_claims)), sequential=True)
        if budget is not None and not _affordable(plan, budget, rounds):
            print(f"undecided: {_names(open_claims)}; {seeds} seeds may cost more than is left of --budget {budget}")
            break
        print(f"undecided: {_names(open_claims)}; going on to {seeds} seeds of the cells that they compare")
        rounds.append(steps.train(plan))
    return rounds[-1]


def _last(seeds: int, most_seeds: int | None) -> str:
    """Why there are no more: all that are allowed, or the next look needs more than that."""
    from ablate.judge.sequential import to_next_look

    if most_seeds is None or seeds >= most_seeds:
        return "the most allowed"
    return f"as the next look is at {seeds + to_next_look(seeds)} and --seeds allows {most_seeds}"


def _open(judged: "Judged", plan: "Plan") -> "list[Verdict]":
    """The undecided claims all of whose cells get seeds: no seed decides one that needs a cell left out by --only."""
    from ablate.judge.cells import place

    planned = {place(trial) for trial in plan.expansion.trials}
    undecided = [verdict for verdict in judged.verdicts if verdict.state == "undecided"]
    return [each for each in undecided if all(place(judged.cells[number]) in planned for number in each.cells)]


def _of_cells(judged: "Judged", verdicts: "Sequence[Verdict]") -> "Callable[[Trial], bool]":
    """Whether a trial is of a cell that one of these verdicts compares."""
    from ablate.judge.cells import place

    wanted = {place(judged.cells[number]) for verdict in verdicts for number in verdict.cells}
    return lambda trial: place(trial) in wanted


def _affordable(plan: "Plan", budget: str, rounds: "Sequence[FinishedRun]") -> bool:
    from ablate.study.schema import hours

    spent = sum(each.hours for each in rounds)
    likely = (plan.cost.high or 0.0) * plan.units if not plan.cost.unknown else float("inf")
    return spent + likely <= hours(budget)


def _failed(finished: "FinishedRun") -> bool:
    return any(outcome["state"] == "failed" for outcome in finished.outcomes.values())


def _not_done(finished: "FinishedRun") -> int:
    """How many trials of a round have no result: a look taken without them is none of the looks that were planned."""
    return sum(not finished.results.trial(key).result.exists() for key in finished.plan.distinct)


def _names(verdicts: "Sequence[Verdict]") -> str:
    return ", ".join(verdict.claim.id for verdict in verdicts)
