"""A plan's trials as a submission: what they need, how they are shared out, which code they run."""

import time
from collections.abc import Sequence

from ablate.records.files import Results
from ablate.run.slurm.commands import release
from ablate.run.slurm.ledger import Ledger, Submission, new_id
from ablate.run.slurm.submit import Group, arrays_of, recover, room, submit, submit_follow_up

FOLLOW = "follow"
"""Among the names of a submission's jobs, the one that looks after the others."""


def submit_wave(results: Results, base: Submission, groups: Sequence[Group]) -> Submission:
    """Submit groups of trials as a wave like `base`, and the job that looks after it where nobody waits for it.

    The ledger's lock must be held. Raises UserError where sbatch refuses.
    """
    id = new_id()
    arrays, left = arrays_of(groups, f"{base.study}-{id}", room())
    resources = groups[0].resources
    wanted = {"id": id, "created": time.time(), "arrays": arrays, "left": left, "resources": resources}
    submission = submit(results, base.model_copy(update=wanted))
    if submission.follows:
        _follow(results, submission)
    return submission


def mend(results: Results) -> None:
    """Complete the submissions of those who were killed meanwhile; the ledger's lock must be held.

    Jobs whose ids were never noted are found by their names. What waits for a canary that was never sent is released,
    and the job that follows is submitted.
    """
    ledger = Ledger(results)
    for submission in ledger.open():
        names = [array.name for array in submission.arrays]
        if set(names) <= set(ledger.jobs(submission.id)) and not _lacks_follow_up(ledger, submission):
            continue
        recover(results, submission)
        jobs = ledger.jobs(submission.id)
        if submission.canary and submission.canary.name not in jobs:
            for array in submission.arrays:
                release(array.name)
        if sent := [jobs[name] for name in names if name in jobs]:
            if _lacks_follow_up(ledger, submission):
                follow_again(results, submission, sent)
        else:
            ledger.end(submission.id)


def _lacks_follow_up(ledger: Ledger, submission: Submission) -> bool:
    return submission.follows and FOLLOW not in ledger.jobs(submission.id)


def _follow(results: Results, submission: Submission) -> None:
    """Submit the job that looks after a submission: when the canary has ended, where there is one, or all jobs."""
    jobs = Ledger(results).jobs(submission.id)
    first = [jobs[array.name] for array in submission.arrays if array.canary and array.name in jobs]
    follow_again(results, submission, first or [jobs[array.name] for array in submission.arrays])


def follow_again(results: Results, submission: Submission, after: Sequence[str]) -> None:
    """Submit the job that looks after a submission when these have ended."""
    Ledger(results).note_job(submission.id, FOLLOW, submit_follow_up(results, submission, after))
