"""Submits a plan to a cluster, or shows the scripts that it would submit."""

import getpass
import os
import platform
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.errors import visible
from ablate.records.attempt import trial_status
from ablate.records.code import snapshot, snapshot_folder
from ablate.records.files import Results, TrialFolder
from ablate.run.cluster import Cluster
from ablate.run.options import RunOptions
from ablate.run.order import in_order, seeds_of
from ablate.run.slurm.controller import SlurmError, dropped_choices
from ablate.run.slurm.ledger import ON_LOGIN, Ledger, Submission, Watch
from ablate.run.slurm.packing import Group, Room, Timing, resources_on, share_out, unused_gpus
from ablate.run.slurm.queue import ENDING, queued, read_queue
from ablate.run.slurm.room import room
from ablate.run.slurm.script import array_script, follow_up_script
from ablate.run.slurm.waves import first_to_end, jobs_of_others, make_wave, submit_wave, timing_of
from ablate.study.schema.resources import Resources
from ablate.trainer.find import sources_of

if TYPE_CHECKING:
    from ablate.run.plan import Plan
    from ablate.study.expansion.trial import Trial

PREVIEW = "ID"
"""The id of a submission that is only shown."""


def submit_plan(plan: "Plan", results: Results, options: RunOptions) -> Submission | None:
    """Submit the trials of a recorded plan that no job has yet; None if there are none.

    Raises UserError for what the cluster cannot do, SlurmError if the controller does not answer.
    """
    from ablate.run.slurm.follow import mend

    trainer = plan.expansion.trainer
    code = snapshot(results, sources_of(trainer.name), trainer.files)
    for note in filter(None, (*code.notes, dropped_choices(os.environ))):
        print(visible(note), file=sys.stderr)
    base = _base(plan, options, code.folder)
    with Ledger(results).lock():
        queue = read_queue(results, fresh=True)
        if not queue.answered:
            raise SlurmError(
                "squeue", "no answer, so queued trials are unknown; nothing was submitted, and nothing is lost"
            )
        if mend(results, queue, options.cluster):
            queue = read_queue(results, fresh=True)
        # jobs that are COMPLETING end: the plan has already left out those that may be requeued
        waiting = {key for key, job in queued(results, queue).items() if job.state != ENDING}
        todo = _todo(plan, results, waiting)
        if not todo:
            return None
        base = base.model_copy(update={"behind": jobs_of_others(results, queue, base)})
        submission = submit_wave(results, base, _groups(plan, results, base.cluster, todo))
        watch = Ledger(results).watch(submission.id)
    if unused := unused_gpus(submission.resources, submission.cluster):
        print(visible(unused), file=sys.stderr)
    if watch.job is None:
        note = f"sbatch refuses the follow-up job: {watch.trouble}; the last job of each array does its work"
        if watch.trouble == ON_LOGIN:
            note = "no job looks after these jobs: keep ablate watch running on a login node, in tmux or from cron"
        print(visible(note), file=sys.stderr)
    return submission


def preview(plan: "Plan", results: Results, options: RunOptions) -> dict[Path, str]:
    """The scripts that submit_plan would send now, by the paths that it would keep them at; writes and sends nothing.

    The id of the submission is PREVIEW, and the follow-up job depends on names of arrays instead of ids of jobs.
    Without Slurm on this machine, its default limits apply.
    """
    trainer = plan.expansion.trainer
    base = _base(plan, options, snapshot_folder(results, sources_of(trainer.name), trainer.files))
    todo = _todo(plan, results, queued(results, read_queue(results)))
    if not todo:
        return {}
    free = room(base.cluster) if shutil.which("scontrol") else Room()
    submission = make_wave(base, _groups(plan, results, base.cluster, todo), PREVIEW, free)
    log = Ledger(results).log(PREVIEW)
    scripts = {log / f"{array.name}.sh": array_script(results, submission, array) for array in submission.arrays}
    after, first = first_to_end(submission), Watch(number=1)
    return scripts | {log / f"{first.name(PREVIEW)}.sh": follow_up_script(results, submission, after, first)}


def _base(plan: "Plan", options: RunOptions, code: Path) -> Submission:
    """What all submissions of a plan have in common. Raises UserError if the cluster's nodes lack GPUs."""
    cluster = options.cluster or Cluster()
    return Submission(
        id="",
        study=plan.loaded.study.name,
        profile=plan.profile,
        created=time.time(),
        by=f"{getpass.getuser()}@{platform.node()}",
        cluster=cluster,
        arrays=(),
        code=str(code),
        path=tuple(_python_path(code)),
        device=options.device,
        reports=str(options.reports.absolute()) if options.reports else None,
        resources=resources_on(plan.expansion.resources, cluster).model_copy(update={"when": ()}),
        fresh=not plan.expansion.trainer.shares_process,
    )


def _python_path(code: Path) -> Iterator[str]:
    """Where this Python finds modules and a job's own would not: the project's folder, a PYTHONPATH."""
    for entry in dict.fromkeys(str(Path(entry).absolute()) for entry in sys.path):
        if entry != str(code) and not entry.startswith((sys.prefix, sys.base_prefix)) and Path(entry).is_dir():
            yield entry


def _todo(plan: "Plan", results: Results, waiting: Collection[str]) -> "list[Trial]":
    """The trials to submit: those of the plan that are neither queued nor, by now, running or done."""
    now = time.time()
    trials = [trial for trial in in_order(plan.to_run, seeds_of(plan.expansion.trials)) if trial.key not in waiting]
    return [trial for trial in trials if not _is_taken(results.trial(trial.key), now)]


def _is_taken(folder: TrialFolder, now: float) -> bool:
    """Whether a trial is done or running. It is neither without an attempt and a result, which is quick to tell."""
    begun = os.path.lexists(folder.attempts) or os.path.lexists(folder.result)
    return begun and trial_status(folder, now).state in ("done", "running")


def _groups(plan: "Plan", results: Results, cluster: Cluster, todo: "Sequence[Trial]") -> list[Group]:
    """The trials in groups that need the same. If none of the plan has run yet, one trial runs first.

    Raises UserError if the cluster's nodes lack GPUs.
    """
    timing = timing_of(results, [key for key in plan.distinct if plan.states[key] == "done"])
    if timing.seconds is None:
        hours = [price.pretraining[1] + price.evaluation for price in plan.cost.prices if not price.assumed]
        timing = Timing(3600 * sum(hours) / len(hours), timing.gpu_memory) if hours else timing
    together: dict[Resources, dict[str, str]] = {}
    for trial in todo:
        needed = resources_on(plan.expansion.resources_of(trial.cell), cluster)
        together.setdefault(needed, {})[trial.key] = trial.pretrain_key
    groups = [Group(needed, share_out(own, needed, timing)) for needed, own in together.items()]
    return [replace(group, canary=not plan.counts["done"] and group is groups[0]) for group in groups]
