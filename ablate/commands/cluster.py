"""What `ablate run --on` and the job that follows it do: submit, and look after what was submitted."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.options import ReportsFolder, ResultsFolder, reports_in, results_in

if TYPE_CHECKING:
    from ablate.records.files import Results
    from ablate.run.slurm.clusters import Cluster
    from ablate.run.slurm.follow import Step
    from ablate.run.slurm.queue import Job

_LOOK_SECONDS = 1.0
On = Annotated[str | None, typer.Option(metavar="NAME", help="Train on a cluster of ablate.toml; slurm: the only one.")]
Wait = Annotated[bool, typer.Option("--wait", help="With --on: stay until everything has ended.")]


def cluster_of(
    name: str | None, inline: bool = False, workers: int | None = None, stop: bool = False
) -> "Cluster | None":
    """The cluster of that name; None where none is named. Raises UserError for options that do not go with one."""
    if name is None:
        return None
    from ablate.errors import UserError
    from ablate.run.slurm.clusters import find_cluster

    for option, given in (("--inline", inline), ("--workers", workers), ("--stop-at-first-failure", stop)):
        if given:
            raise UserError(f"{option} does not go with --on {name}", help="it is about training on this machine")
    return find_cluster(name, Path.cwd())


def follow(
    submission: Annotated[str, typer.Argument(metavar="ID", help="A folder of results/slurm.")],
    results: ResultsFolder = Path("results"),
    reports: ReportsFolder = None,
) -> None:
    """Look after a submission whose jobs have ended: what a cluster's last job runs."""
    from ablate.run.slurm.follow import look_after
    from ablate.run.slurm.waves import follow_again

    records = results_in(results)
    step = look_after(records, submission)
    if step.alive:
        follow_again(records, step.submission, step.alive)
        print(f"jobs {', '.join(step.alive)} go on; another job follows them")
    elif step.next:
        print(step.next.told)
    else:
        finish(records, step, reports_in(reports, results))


def finish(results: "Results", step: "Step", reports: Path) -> None:
    """Write the page of a study whose jobs have all ended, and tell whoever asked for it."""
    from ablate.report.page import write_report
    from ablate.run.slurm.notify import notify

    submission = step.submission
    page = write_report(results, submission.study, submission.profile, reports)
    print(f"page: {page}")
    for key, cause in (step.given_up or {}).items():
        print(f"{key[:12]} is not tried again: {cause}")
    if submission.cluster.on_finish:
        notify(submission.cluster.on_finish, submission, len(step.given_up or {}), page)


def job_of(results: "Results", key: str) -> "Job | None":
    """The newest job that was to train a trial, as Slurm tells of it; None where it was never submitted, or is gone."""
    from ablate.run.slurm.queue import find_job

    return find_job(results, key)


def wait_for_attempt(results: "Results", key: str, after: Path | None = None) -> Path | None:
    """The attempt that comes after one (or first) of a trial in a cluster's queue, once it has begun; None: no job is.

    Its job may be a later one, or the same that was put back.
    """
    import time

    from ablate.records.logs import pick_attempt
    from ablate.run.slurm.queue import queued, read_queue

    told = None
    while (attempt := pick_attempt(results.trial(key))) == after:
        job = queued(results, read_queue(results)).get(key)
        if job is None:
            return None
        if told != job.told:
            told = job.told
            print(f"no {'other ' if after else ''}attempt has begun: {told}", file=sys.stderr, flush=True)
        time.sleep(_LOOK_SECONDS)
    return attempt
