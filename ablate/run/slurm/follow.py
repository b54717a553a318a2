"""Looks after a submission: records how its jobs ended, judges the canary, submits retries, and notifies the user."""

import json
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ablate.records.attempt import is_done
from ablate.records.files import Results
from ablate.run.cluster import Cluster
from ablate.run.slurm.controller import SlurmError, controller_of
from ablate.run.slurm.ends import unfinished_trials
from ablate.run.slurm.ledger import End, Ledger, Submission, Watch
from ablate.run.slurm.packing import Group, share_out
from ablate.run.slurm.queue import Queue, queued, read_queue
from ablate.run.slurm.retry import NOT_THE_TRIALS_FAULT, Need, Unfinished, plan_retries, wants_memory
from ablate.run.slurm.room import with_the_canarys_place
from ablate.run.slurm.scheduler import cancel, change, most_memory, own_job, release
from ablate.run.slurm.watch import next_delay
from ablate.run.slurm.waves import alive_jobs, jobs_of_others, recover, submit_follow_up, submit_next_wave, timing_of

_NOTIFY_SECONDS = 60


@dataclass(frozen=True)
class Step:
    """The result of looking after a submission once."""

    submission: Submission
    alive: tuple[str, ...] = ()
    """Ids of its jobs that are pending or running."""
    watch: Watch | None = None
    """The follow-up job that was submitted to wait for them."""
    next: Submission | None = None
    """The wave that was submitted now."""
    given_up: dict[str, str] | None = None
    """Trial key -> why, of those that are not done and will not be retried; None while jobs are left."""


_AFTER_LAUNCHES = ("launch failed requeued held", "JobHoldMaxRequeue")
"""Why Slurm holds a job that a node failed to launch, once or several times. Holds by people have other reasons."""


def look_after(results: Results, id: str) -> Step:
    """Deal with what the jobs of a submission left; once all have ended, submit the retries.

    Jobs that are left get the next follow-up job. The caller ends the submission once it has written the page. Raises
    SlurmError if the controller does not answer.
    """
    ledger = Ledger(results)
    with ledger.lock():
        submission = ledger.read_own(id)
        if ledger.has_ended(id):  # another process was faster
            return Step(submission)
        recover(results, submission)
        queue = read_queue(results, fresh=True).without(own_job())
        if not queue.answered:
            raise SlurmError("squeue", "no answer, so it is unknown which jobs have ended")
        unfinished = list(unfinished_trials(results, submission, queue))
        if alive := alive_jobs(results, submission, queue):
            return Step(submission, alive, _watch_on(results, submission, queue, unfinished))
        step = _next_wave(results, submission, unfinished, queue)
        if step.next:
            ledger.end(id, End(next=step.next.id, given_up=step.given_up or {}))
        return step


def watch_later(results: Results, id: str, failures: int = 0, trouble: str = "") -> Watch:
    """Submit a follow-up job that tries later what this one could not do. failures, trouble: see submit_follow_up."""
    ledger = Ledger(results)
    with ledger.lock():
        submission = ledger.read_own(id)
        delay = next_delay(ledger.watch(id), calm=False)
        return submit_follow_up(results, submission, (), delay, failures, trouble)


def mend(results: Results, queue: Queue, cluster: Cluster | None = None) -> bool:
    """Watch again over submissions that nobody watches, or whose process was killed; whether there were any.

    The ledger's lock must be held, and squeue must have answered just now. Finds jobs whose ids were not recorded,
    judges canaries that are over or lost, and submits missing follow-up jobs: a controller that dies forgets the jobs
    of its last seconds. Submissions of other users are left to them: their jobs would refuse what this user wrote.
    cluster: as the user's file describes it now, possibly corrected since the submission.
    """
    ledger = Ledger(results)
    mended = False
    for submission in queue.submissions:
        known = ledger.jobs(submission.id)
        if ledger.owns(submission.id):
            _release_requeued(submission, queue)
        if queue.followed(submission) and all(array.name in known for array in submission.arrays):
            continue
        if not ledger.owns(submission.id):
            continue
        mended = True
        recover(results, submission)
        moved = not Path(submission.code).is_dir()  # the paths in its scripts lead nowhere
        if not ledger.jobs(submission.id) or (moved and not alive_jobs(results, submission, queue)):
            ledger.end(submission.id)  # without jobs, its process was killed before the first sbatch
            continue
        if cluster and cluster.name == submission.cluster.name and cluster != submission.cluster:
            submission = submission.model_copy(update={"cluster": cluster})
            ledger.write(submission)
        _watch_on(results, submission, queue, list(unfinished_trials(results, submission, queue)), again=True)
    return mended


def _watch_on(
    results: Results, submission: Submission, queue: Queue, unfinished: Sequence[Unfinished], again: bool = False
) -> Watch:
    """Judge the canary if it is over, and submit the follow-up job of the jobs that are left.

    That job never depends on held jobs, which might wait for ever. again: whether there was no follow-up job.
    """
    ledger = Ledger(results)
    jobs, canary = ledger.jobs(submission.id), submission.canary
    if canary and queue.alive(canary, 0) and canary.name in jobs:
        after, calm = [jobs[canary.name]], True
    else:
        _release_requeued(submission, queue)
        held = _judge_canary(submission, queue, unfinished)
        _give_its_place(submission, jobs)
        alive = alive_jobs(results, submission, queue)
        after = [job for job in alive if job not in {jobs.get(name) for name in held}]
        calm = bool(after) or not alive
    watch = ledger.watch(submission.id)
    delay = 0 if again and calm else next_delay(watch, calm)
    return submit_follow_up(results, submission, after, delay)


def _judge_canary(submission: Submission, queue: Queue, unfinished: Sequence[Unfinished]) -> set[str]:
    """Release the held arrays, or cancel them if all their trials would fail like the canary's, which is over or lost.

    Returns the names of those that are held still, because the controller did not do it.
    """
    at, failed = controller_of(submission.cluster), next((each for each in unfinished if each.array.canary), None)
    left = set()
    for array in [array for array in submission.arrays if array.held]:
        jobs = [job for index in range(len(array.shares)) if (job := queue.job(array, index)) and not job.over]
        if not any(job.reason.startswith("JobHeld") for job in jobs):
            continue
        if failed is None or failed.cancelled or failed.cause in NOT_THE_TRIALS_FAULT:
            if not release(array.name, at):
                left.add(array.name)
        else:
            cancel(sorted({job.id.partition("_")[0] for job in jobs}), at)  # all of them are held
    return left


def _release_requeued(submission: Submission, queue: Queue) -> None:
    """Release jobs that Slurm holds since a node failed to launch them: they would wait for ever."""
    for array in submission.arrays:
        for index in range(len(array.shares)):
            job = queue.job(array, index)
            if job and not job.over and job.reason in _AFTER_LAUNCHES:
                release(array.name, controller_of(submission.cluster), job.id)


def _give_its_place(submission: Submission, jobs: Mapping[str, str]) -> None:
    """Let another job have the place of the canary, which is over, where the number of jobs at once is limited.

    jobs: array name -> id.
    """
    if submission.canary and submission.cluster.most_jobs and len(submission.arrays) > 1:
        for name, what in with_the_canarys_place(submission.arrays).items():
            if name in jobs:
                change(jobs[name], what, controller_of(submission.cluster))


def _next_wave(results: Results, submission: Submission, every: Sequence[Unfinished], queue: Queue) -> Step:
    """Submit the trials to retry, and those that had no room so far. every: all that are unfinished.

    What sbatch refuses is given up, with sbatch's words.
    """
    again = queued(results, queue)  # submitted since by another run, or by this one before it was interrupted
    unfinished = [trial for trial in every if trial.key not in again]
    at, own = controller_of(submission.cluster), submission.cluster.partition
    used = {trial.array.resources.partition or own for trial in unfinished if wants_memory(trial)}
    largest = most_memory(",".join(filter(None, used)) if None not in used else None, at) if used else None
    retries = plan_retries(submission, unfinished, largest)
    said = {trial.key: trial.message.partition("\n")[0] for trial in unfinished}
    given_up = {key: ": ".join(filter(None, (cause, said[key]))) for key, cause in retries.given_up.items()}
    groups = dict(retries.groups)
    left = [key for key in submission.left if key not in again and not is_done(results.trial(key))]
    for key in left:
        need = Need(submission.needs.get(key, submission.resources))
        groups[need] = [*groups.get(need, ()), key]
    if not groups:
        return Step(submission, given_up=given_up)
    behind = jobs_of_others(results, queue, submission)
    update = {"causes": retries.causes, "wave": submission.wave + 1, "behind": behind}
    base = submission.model_copy(update=update)
    # Trials that waited for a canary which failed have not been tried: one of them goes first again.
    first = any(trial.array.canary and trial.cause not in NOT_THE_TRIALS_FAULT for trial in unfinished)
    waves = [
        replace(_group(results, submission, need, keys), canary=first and number == 0)
        for number, (need, keys) in enumerate(groups.items())
    ]
    wave, refused = submit_next_wave(results, base, waves)
    words = {key: f"refused: {text}" for key, text in refused.items()}
    return Step(submission, next=wave, given_up=given_up | words)


def _group(results: Results, submission: Submission, need: Need, keys: Sequence[str]) -> Group:
    resources = need.resources.model_copy(update={"at_once": 1}) if need.alone else need.resources
    pretrainings = {key: results.trial(key).pretrain_key for key in keys}
    shares = share_out(pretrainings, resources, timing_of(results, submission.keys))
    return Group(resources, shares, need.avoid)


def notify(target: str | Sequence[str], submission: Submission, failed: int, page: Path) -> None:
    """Tell the user that a study has ended; prints why that failed, if it did.

    target: a command to run with ABLATE_* variables, whose words no shell reads; or an https address to which the same
    is posted as JSON. failed: how many trials are not done and will not be retried.
    """
    about = {
        "study": submission.study,
        "profile": submission.profile,
        "trials": str(len(submission.keys)),
        "failed": str(failed),
        "page": str(page.absolute()),
    }
    try:
        if isinstance(target, str) and target.startswith("https://"):
            text = f"{submission.study} [{submission.profile}] has ended; {failed} trials failed"
            import urllib.request  # as slow to import as all of this module

            body = json.dumps({"text": text, **about}).encode()
            request = urllib.request.Request(target, body, {"Content-Type": "application/json"})
            urllib.request.urlopen(request, timeout=_NOTIFY_SECONDS).close()
        else:
            variables = {f"ABLATE_{name.upper()}": value for name, value in about.items()}
            environment = {**os.environ, **variables}
            words = shlex.split(target) if isinstance(target, str) else target
            subprocess.run(words, stdin=subprocess.DEVNULL, check=True, timeout=_NOTIFY_SECONDS, env=environment)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"on_finish = {target!r}: {error}")
