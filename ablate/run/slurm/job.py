"""What a job of Slurm does: train its share of a submission's trials, and leave in time."""

from pathlib import Path
from typing import Any

from ablate.records.files import Results
from ablate.run.pool import Outcome, Pool
from ablate.run.slurm.known import pretrainings
from ablate.run.slurm.ledger import Array, Ledger, Submission
from ablate.run.slurm.life import Canary, Leave, Signals, end_own_attempts, in_vain, place
from ablate.run.slurm.shares import Share, grace_seconds, job_memory, job_minutes, ranks

_SLACK_SECONDS = 90
"""A time limit's signal may come a minute early: slurm.conf(5)."""


class RunShare:
    """What submitit pickles: a name, since all else lies in the submission's own file."""

    def __call__(self, root: str, id: str, name: str, index: int) -> dict[str, Outcome]:
        """Train the share at that place of an array; how each trial ended, by key."""
        return run_share(Results(Path(root)), id, name, index)

    def checkpoint(self, root: str, id: str, name: str, index: int) -> Any:
        """Asked by submitit when the job is to be queued again: the same once more, which goes on from the records."""
        from submitit.core.utils import DelayedSubmission

        return DelayedSubmission(self, root, id, name, index)


def run_share(results: Results, id: str, name: str, index: int) -> dict[str, Outcome]:
    """Train one share of a submission in this job."""
    submission = Ledger(results).read(id)
    array = next(array for array in submission.arrays if array.name == name)
    share = array.shares[index]
    _forget_torn_pickle()
    minutes = job_minutes(array.resources, submission.cluster.time, array.shares)
    signals = Signals(minutes * 60 - grace_seconds(minutes) - _SLACK_SECONDS)
    try:
        if ranks(array.resources) > 1:
            from ablate.run.slurm.ranks import run_on_ranks

            return run_on_ranks(results, submission, array, share, signals)
        end_own_attempts(results, share.keys, place())
        return _run(results, submission, array, share, signals)
    except Leave as leave:
        if not leave.in_vain:  # else the rules decide, of the job that follows
            signals.leave()
        raise


def _run(results: Results, submission: Submission, array: Array, share: Share, signals: Signals) -> dict[str, Outcome]:
    """Train with a pool of this job's own."""
    todo = pretrainings(results, [key for key in share.keys if not results.trial(key).result.exists()])
    if not todo:
        return {}
    canary = Canary(submission, array)
    outcomes: dict[str, Outcome] = {}
    size = min(share.at_once, len(set(todo.values())))
    threads = array.resources.cpus_per_task or 1
    code = Path(submission.code)
    cap = job_memory(array.resources, 1)
    with Pool(results, size, threads, submission.device, code, place(), shared=True, memory=cap) as pool:

        def tick() -> None:
            signals.ask()
            for worker in pool.workers:
                canary.look(worker.share, worker.metrics)

        try:
            for key, outcome in pool.run(todo, tick):
                outcomes[key] = outcome
                if outcome["state"] == "done":
                    canary.passed()
        except Leave as leave:
            outcomes.update(pool.stop(leave.cause))
            raise Leave(leave.cause, in_vain(outcomes)) from None
    return outcomes


def _forget_torn_pickle() -> None:
    """Submitit takes a temporary file that a kill left for another process's, and does not queue the job again."""
    from submitit import JobEnvironment

    path = JobEnvironment().paths.submitted_pickle
    path.with_suffix(f"{path.suffix}.save_tmp").unlink(missing_ok=True)
