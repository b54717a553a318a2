"""Waves of a submission: sent as arrays with a follow-up job, without what sbatch refuses."""

import contextlib
import time
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.reading import read_json_lines, read_object
from ablate.run.gpu import CONTEXT_MIB
from ablate.run.slurm.controller import SlurmError, controller_of
from ablate.run.slurm.ledger import ON_LOGIN, Ledger, Submission, Watch, new_id
from ablate.run.slurm.packing import Array, Group, Room, Timing, pack
from ablate.run.slurm.queue import Queue, forget_queue
from ablate.run.slurm.room import half, is_full, room, without
from ablate.run.slurm.scheduler import cancel, is_busy, job_named, submit
from ablate.run.slurm.script import array_script, follow_up_script

_MOST_TIMED = 50


def submit_wave(results: Results, base: Submission, groups: Sequence[Group]) -> Submission:
    """Submit groups of trials as a wave like `base`, and its follow-up job.

    The ledger's lock must be held. Raises UserError, with nothing submitted, if sbatch refuses any trial, or has
    no room for a follow-up job beside a single one.
    """
    submission, refused = _submit_arrays(results, make_wave(base, groups, new_id(), room(base.cluster)), keep=False)
    if refused or submission is None:
        message = f"sbatch refuses the jobs of '{base.study}': {next(iter(refused.values()), 'there is no room')}"
        raise UserError(message, help="ablate doctor --on NAME compares the cluster file with the cluster")
    submission = _followed(results, submission)
    watch = Ledger(results).watch(submission.id)
    if watch.job is None and is_full(SlurmError("sbatch", watch.trouble)):
        _withdraw(results, submission)
        raise UserError(f"sbatch refuses the follow-up job of '{submission.study}': {watch.trouble}")
    return submission


def submit_next_wave(
    results: Results, base: Submission, groups: Sequence[Group]
) -> tuple[Submission | None, dict[str, str]]:
    """Submit groups of trials as a wave like `base`, as far as sbatch accepts them, and its follow-up job.

    The ledger's lock must be held. Returns the wave, or None if nothing was accepted, and sbatch's words by the key of
    each trial that it refused.
    """
    submission, refused = _submit_arrays(results, make_wave(base, groups, new_id(), room(base.cluster)), keep=True)
    return (_followed(results, submission) if submission else None), refused


def _followed(results: Results, submission: Submission) -> Submission:
    """Submit the follow-up job of a submission; it takes the place of some jobs if there is no room beside them."""
    ledger = Ledger(results)
    while True:
        jobs = ledger.jobs(submission.id)
        watch = submit_follow_up(results, submission, [jobs[name] for name in first_to_end(submission)])
        spare = next((array for array in reversed(submission.arrays) if not array.canary), None)
        full = watch.job is None and is_full(SlurmError("sbatch", watch.trouble))
        if not full or spare is None or (submission.arrays == (spare,) and len(spare.shares) < 2):
            return submission
        if submission.arrays == (spare,):
            cancel([jobs[spare.name]], controller_of(submission.cluster))
            submission, smaller = half(submission, spare, f"{spare.name}-half")
            ledger.write(submission)
            submission = _send(results, submission, smaller)
        else:
            submission = give_up_place(results, submission, spare)


def give_up_place(results: Results, submission: Submission, array: Array) -> Submission:
    """Cancel an array whose place another job needs; its trials are left for the next wave."""
    ledger = Ledger(results)
    cancel([ledger.jobs(submission.id)[array.name]], controller_of(submission.cluster))
    submission = without(submission, [array])
    ledger.write(submission)
    return submission


def make_wave(base: Submission, groups: Sequence[Group], id: str, free: Room) -> Submission:
    """Groups of trials as a submission like `base`, which is not recorded or sent."""
    arrays, left = pack(groups, f"{base.study}-{id}", free, base.cluster.most_jobs)
    common = groups[0].resources
    others = [group for group in groups if group.resources != common]
    needs = {key: group.resources for group in others for share in group.shares for key in share.keys}
    wave = {"id": id, "created": time.time(), "arrays": arrays, "left": left, "resources": common, "needs": needs}
    return base.model_copy(update=wave)


def first_to_end(submission: Submission) -> list[str]:
    """The names of the arrays whose end the follow-up job awaits: the canary if there is one, otherwise all."""
    return [array.name for array in ([submission.canary] if submission.canary else submission.arrays)]


def _submit_arrays(results: Results, submission: Submission, keep: bool) -> tuple[Submission | None, dict[str, str]]:
    """Record a submission, and send its arrays.

    Returns it without the arrays that found no room or were refused, and sbatch's words by the key of each refused
    trial. keep: whether the rest is submitted if sbatch refuses an array. Otherwise, or if nothing is left, all that
    sbatch had accepted is cancelled. Raises SlurmError if the controller does not answer for minutes: what it may have
    accepted is found again by its name.
    """
    ledger, at = Ledger(results), controller_of(submission.cluster)
    ledger.write(submission)
    refused: dict[str, str] = {}
    for name in [array.name for array in submission.arrays]:
        array = next((each for each in submission.arrays if each.name == name), None)
        if array is None or (refused and not keep):
            continue
        try:
            submission = _send(results, submission, array)
        except SlurmError as error:
            if is_busy(error):
                raise
            dropped = [each for each in submission.arrays if each.name == name or (array.canary and each.held)]
            cancel([job for each in dropped if (job := ledger.jobs(submission.id).get(each.name))], at)
            words = error.text.strip() or "it failed without a message"
            refused |= {key: words for each in dropped for share in each.shares for key in share.keys}
            submission = without(submission, dropped).model_copy(update={"left": submission.left})
            ledger.write(submission)
    if (refused and not keep) or not (submission.arrays or submission.left):
        _withdraw(results, submission)
        return None, refused
    return submission, refused


def _withdraw(results: Results, submission: Submission) -> None:
    """Cancel all jobs of a submission, and mark it as ended."""
    ledger = Ledger(results)
    cancel(list(ledger.jobs(submission.id).values()), controller_of(submission.cluster))
    ledger.end(submission.id)


def _send(results: Results, submission: Submission, array: Array) -> Submission:
    """Send an array: half of it, half of that and so on where it finds no room; returns what is left of the submission.

    A canary without room takes that of the array before it. If no other nodes are suitable than those to avoid, they
    are not avoided. Raises SlurmError if sbatch refuses for another reason.
    """
    ledger, at = Ledger(results), controller_of(submission.cluster)
    while True:
        script = array_script(results, submission, array, ledger.jobs(submission.id))
        try:
            job = submit(script, ledger.log(submission.id) / f"{array.name}.sh", array.name, at)
            ledger.note_job(submission.id, array.name, job)
            return submission
        except SlurmError as error:
            if array.avoid and not is_full(error) and not is_busy(error):
                array = array.model_copy(update={"avoid": ()})
                continue
            if not is_full(error):
                raise
        sent = [each for each in submission.arrays if each.name in ledger.jobs(submission.id)]
        if len(array.shares) > 1:
            submission, array = half(submission, array, array.name)
        elif array.canary and sent:
            submission = give_up_place(results, submission, sent[-1])
        else:
            submission = without(submission, [array])
        ledger.write(submission)
        if array.name not in {each.name for each in submission.arrays}:
            return submission


def submit_follow_up(
    results: Results,
    submission: Submission,
    after: Sequence[str],
    delay: int = 0,
    failures: int = 0,
    trouble: str = "",
) -> Watch:
    """Submit the job that looks after a submission, once these jobs have ended; returns what was noted about it.

    The ledger's lock must be held. delay: seconds before which it does not begin. failures, trouble: how many such jobs
    in a row could not do their work, and why. If sbatch refuses the job, nothing is raised: `job` is None, `trouble`
    holds sbatch's words, and the last job of each array does the work. Raises OSError if the script cannot be written.
    """
    ledger, id = Ledger(results), submission.id
    number = ledger.watch(id).number + 1
    watch = Watch(number=number, sent=time.time(), delay=delay, failures=failures, trouble=trouble)
    if submission.cluster.follow_up.by == "login":
        watch = watch.model_copy(update={"trouble": ON_LOGIN})
        ledger.note_watch(id, watch)
        return watch
    ledger.note_watch(id, watch)  # a process that is killed after sbatch leaves a job that can be found by its name
    refusal, path = "", ledger.log(id) / f"{watch.name(id)}.sh"
    for plain in (False, True) if submission.cluster.options or submission.cluster.follow_up.options else (False,):
        script = follow_up_script(results, submission, after, watch, plain)
        try:
            job = submit(script, path, watch.name(id), controller_of(submission.cluster))
        except SlurmError as error:
            refusal = refusal or error.text.strip() or "sbatch failed without a message"
            if is_busy(error):
                break
        else:
            watch = watch.model_copy(update={"job": job})
            break
    if watch.job is None:
        watch = watch.model_copy(update={"trouble": refusal})
    with contextlib.suppress(OSError):
        ledger.note_watch(id, watch)
    forget_queue(results)
    return watch


def recover(results: Results, submission: Submission) -> None:
    """Find the jobs whose ids were not recorded because their submitter was killed."""
    ledger = Ledger(results)
    known, at = ledger.jobs(submission.id), controller_of(submission.cluster)
    for array in submission.arrays:
        if array.name not in known and (job := job_named(array.name, at)):
            ledger.note_job(submission.id, array.name, job)


def jobs_of_others(results: Results, queue: Queue, one: Submission) -> tuple[str, ...]:
    """The ids of jobs that the others of a study's submissions have left, if its cluster limits their number."""
    if one.cluster.most_jobs is None:
        return ()
    others = [each for each in queue.submissions if each.id != one.id and each.study == one.study]
    same = [each for each in others if each.cluster.name == one.cluster.name]
    return tuple(job for each in same for job in alive_jobs(results, each, queue))


def alive_jobs(results: Results, submission: Submission, queue: Queue) -> tuple[str, ...]:
    """The ids of a submission's jobs that are pending or running."""
    known = Ledger(results).jobs(submission.id)
    return tuple(
        known[array.name]
        for array in submission.arrays
        if array.name in known and any(queue.alive(array, index) for index in range(len(array.shares)))
    )


def timing_of(results: Results, keys: Iterable[str]) -> Timing:
    """What the first finished trials took: their median seconds, and the largest part of a GPU's memory."""
    seconds: list[float] = []
    parts: list[float] = []
    for key in keys:
        if not (result := read_object(results.trial(key).result)):
            continue
        seconds.append(float(result.get("seconds", 0.0)))
        events = read_json_lines(results.trial(key).attempts / str(result.get("attempt")) / "events.jsonl")
        memory: dict[str, Any] = next(
            (event.get("memory", {}) for event in events if event.get("event") == "ended"), {}
        )
        fused = "fused_trials" in (result.get("metrics") or {})  # its attempt had the memory of several trials
        if memory.get("gpu") and memory.get("gpu_total") and not fused:
            parts.append((memory["gpu"] + CONTEXT_MIB) / memory["gpu_total"])
        if len(seconds) == _MOST_TIMED:
            break
    return Timing(median(seconds) if seconds else None, max(parts) if parts else None)
