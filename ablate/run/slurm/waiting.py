"""Waits in the foreground for the end of a submission, which its follow-up jobs look after as they do for any other."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ablate.records.attempt import is_done, trial_status
from ablate.records.files import Results
from ablate.records.reading import result_if_any
from ablate.run.progress import Progress
from ablate.run.slurm.ledger import Ledger, Submission
from ablate.run.slurm.queue import read_queue
from ablate.run.slurm.watch import unwatched

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.run.causes import Outcome
    from ablate.run.plan import Plan

_ASK_SECONDS = 20.0
"""How often a waiting process asks Slurm."""
_READ_SECONDS = 1.0
"""How often it reads the records."""
_MEND_SECONDS = 60
"""Least time between two follow-up jobs that it submits; it doubles with each."""


def wait(
    plan: "Plan", results: Results, submission: Submission, console: "Console", follow: Callable[[str], None]
) -> "dict[str, Outcome]":
    """Wait until a submission and the waves that follow it have ended; returns how each trial ended, by key.

    follow: does the work of a follow-up job for the submission of an id, where sbatch refuses such a job.
    """
    labels = {trial.key: trial.label for trial in plan.expansion.trials if trial.key in submission.keys}
    outcomes: dict[str, Outcome] = {}
    asked = time.monotonic()
    ledger, current = Ledger(results), submission
    with Progress(console, labels, 1, plan.loaded.study.metric) as progress:

        def report(key: str, outcome: "Outcome") -> None:
            outcomes[key] = outcome
            progress.ended(key, outcome, result_if_any(results.trial(key).result))

        while True:
            for key in [key for key in labels if key not in outcomes and is_done(results.trial(key))]:
                report(key, {"state": "done"})
            if all(key in outcomes for key in current.keys):
                break
            if ledger.has_ended(current.id):
                following = ledger.end_of(current.id).next
                if following is None:
                    break
                current = ledger.read(following)
            elif time.monotonic() - asked > _ASK_SECONDS:
                _watch(results, current, follow)
                asked = time.monotonic()
            time.sleep(_READ_SECONDS)
        for key in [key for key in labels if key not in outcomes]:
            report(key, _outcome(results, key))
    return outcomes


def _watch(results: Results, submission: Submission, follow: Callable[[str], None]) -> None:
    """See to it that somebody watches over a submission."""
    from ablate.run.slurm.follow import mend

    ledger, id = Ledger(results), submission.id
    queue = read_queue(results)
    if not queue.answered or unwatched(submission, queue) is None:
        return
    watch = ledger.watch(id)
    if time.time() - watch.sent < _MEND_SECONDS * 2 ** min(watch.number, 6):
        return
    with ledger.lock():
        queue = read_queue(results, fresh=True)
        if queue.answered and not ledger.has_ended(id):
            mend(results, queue)
    if ledger.watch(id).job is None:
        follow(id)


def _outcome(results: Results, key: str) -> "Outcome":
    """How a trial without a result ended, from its records."""
    status = trial_status(results.trial(key), time.time())
    outcome: Outcome = {"state": status.state, "cause": status.cause, "message": status.message or ""}
    attempts = results.trial(key).attempt_folders()
    return {**outcome, "attempt": attempts[-1].name} if attempts else outcome
