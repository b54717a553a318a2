"""A plan's trials as a submission: what they need, how they are shared out, which code they run."""

import time
from collections.abc import Sequence

from ablate.records.files import Results
from ablate.run.slurm.commands import release
from ablate.run.slurm.ledger import Ledger, Submission, new_id
from ablate.run.slurm.queue import Queue
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


def mend(results: Results, queue: Queue) -> bool:
    """Complete the submissions of those who were killed meanwhile; whether anything was to be done.

    The ledger's lock must be held, and squeue must just have answered. Jobs whose ids were never noted are found by
    their names. What waits for a canary that was never sent is released, and a job that follows is submitted where
    none is left: a controller that dies forgets the jobs of its last seconds.
    """
    ledger = Ledger(results)
    mended = False
    for submission in queue.submissions:
        known = ledger.jobs(submission.id)
        whole = all(array.name in known for array in submission.arrays)
        if whole and (queue.followed(submission) or not submission.follows):
            continue
        mended = True
        recover(results, submission)
        alive = alive_jobs(results, submission, queue)
        if submission.canary and submission.canary.name not in ledger.jobs(submission.id):
            for array in submission.arrays:
                release(array.name)
        if submission.follows:
            follow_again(results, submission, alive)
    return mended


def alive_jobs(results: Results, submission: Submission, queue: Queue) -> tuple[str, ...]:
    """The ids of a submission's jobs that wait or run."""
    known = Ledger(results).jobs(submission.id)
    return tuple(
        known[array.name]
        for array in submission.arrays
        if array.name in known and any(queue.alive(array, index) for index in range(len(array.shares)))
    )


def _follow(results: Results, submission: Submission) -> None:
    """Submit the job that looks after a submission: when the canary has ended, where there is one, or all jobs."""
    jobs = Ledger(results).jobs(submission.id)
    first = [jobs[array.name] for array in submission.arrays if array.canary and array.name in jobs]
    follow_again(results, submission, first or [jobs[array.name] for array in submission.arrays])


def follow_again(results: Results, submission: Submission, after: Sequence[str]) -> None:
    """Submit the job that looks after a submission when these have ended."""
    Ledger(results).note_job(submission.id, FOLLOW, submit_follow_up(results, submission, after))
