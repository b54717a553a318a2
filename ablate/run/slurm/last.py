"""The last job of an array sees to it that somebody watches over its submission: a follow-up job can be lost, too."""

import os
import subprocess
import sys
import time

from ablate.records.attempt import attempt_status, is_done
from ablate.records.coordination import cancel_requested
from ablate.records.files import Results
from ablate.run.slurm.controller import controller_of
from ablate.run.slurm.ledger import Ledger, Submission
from ablate.run.slurm.packing import Array
from ablate.run.slurm.queue import read_queue
from ablate.run.slurm.watch import unwatched
from ablate.run.slurm.waves import submit_follow_up


def see_to_the_watch(results: Results, submission: Submission, array: Array, stopping: bool = False) -> None:
    """If this job is the last of its array and nobody watches, submit a follow-up job, or do its work.

    stopping: whether Slurm ends this job within seconds, so that it cannot do the work itself. Slurm is asked once per
    array, by its last job. Errors are printed: the trials of this job have ended well.
    """
    first = os.environ.get("SLURM_PROCID", "0") == "0"
    number = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID", "")
    ledger, id = Ledger(results), submission.id
    if (
        not first
        or submission.cluster.follow_up.by == "login"
        or ledger.has_ended(id)
        or not _is_over(results, array, number)
    ):
        return
    try:
        with ledger.lock():
            queue = read_queue(results, fresh=True)
            can_ask = queue.answered and id in {each.id for each in queue.submissions}  # a container has no squeue
            if not can_ask or ledger.has_ended(id) or unwatched(submission, queue) is None:
                return
            watch = submit_follow_up(results, submission, [number])
    except Exception as error:  # a full disk, a controller that is away: the next command of a user sees it
        print(f"nobody watches over submission {id}, and no follow-up job could be submitted: {error}", file=sys.stderr)
        return
    if watch.job is None and not stopping:
        command = ["-m", "ablate", "follow", id, "--results", str(results.root.absolute())]
        seen = controller_of(submission.cluster).seen
        command += ["--reports", seen(submission.reports)] if submission.reports else []
        subprocess.run([sys.executable, "-u", "-P", "-B", *command], check=False)


def _is_over(results: Results, array: Array, number: str) -> bool:
    """Whether every trial of an array has ended: looked at from the last, since jobs start in their order."""
    return all(_has_ended(results, key, number) for share in reversed(array.shares) for key in reversed(share.keys))


def _has_ended(results: Results, key: str, number: str) -> bool:
    """Whether a trial is done, is cancelled, or has ended its attempt in the job of that number."""
    folder = results.trial(key)
    if is_done(folder) or cancel_requested(folder):
        return True
    own = [path for path in folder.attempt_folders() if path.name.partition("-slurm-")[2].partition("_")[0] == number]
    return bool(own) and attempt_status(own[-1], time.time()).state != "running"
