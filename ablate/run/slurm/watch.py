"""Who watches over a submission: its follow-up job, which must neither be missing unseen nor spin."""

import time

from ablate.run.slurm.ledger import ON_LOGIN, Submission, Watch
from ablate.run.slurm.queue import Queue

SENDING_SECONDS = 180
"""A job of which nothing is known may still be on its way for so long: sbatch is repeated for two minutes."""
_LEAST_DELAY, _LONGEST_DELAY = 60, 3600
_CALM_SECONDS = 600
"""Follow-up jobs that are further apart than this do not spin."""


def next_delay(watch: Watch, calm: bool) -> int:
    """Seconds before which the job after this one must not begin.

    calm: whether squeue answered, and jobs that are not held are left to wait for. Two follow-up jobs are usual, one
    after the canary and one after the others. From then on, and in a controller's trouble, the delays double, so that
    follow-up jobs do not add to the trouble.
    """
    if calm and (watch.number < 2 or time.time() - watch.sent > _CALM_SECONDS):
        return 0
    return min(_LONGEST_DELAY, max(_LEAST_DELAY, 2 * watch.delay))


def unwatched(submission: Submission, queue: Queue) -> str | None:
    """Why nobody watches over a submission; None if its follow-up job is pending, running, or on its way."""
    if queue.followed(submission):
        return None
    watch, job = queue.watches.get(submission.id, Watch()), queue.watcher(submission)
    if watch.trouble == ON_LOGIN:
        return ON_LOGIN
    if watch.job is None and watch.trouble:
        return f"sbatch refused the follow-up job: {watch.trouble}"
    if watch.job is None and time.time() - max(submission.created, watch.sent) < SENDING_SECONDS:
        return None
    if job:
        return f"follow-up {job.summary}"
    return f"follow-up job {watch.job} has disappeared" if watch.job else "it has no follow-up job"
