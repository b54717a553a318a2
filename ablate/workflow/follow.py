"""The work of a cluster's follow-up job: watch on, submit the next wave, or write the page and tell the user."""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.errors import UserError, visible
from ablate.run.slurm.ledger import ON_LOGIN

if TYPE_CHECKING:
    from ablate.records.files import Results
    from ablate.run.slurm.ledger import Submission, Watch

_MOST_FAILURES = 3
"""After that many follow-up jobs in a row that could not do their work, the user is notified."""
_WATCH_SECONDS = 60
"""How often `ablate watch` asks Slurm."""
_PAUSES = (60, 120, 240, 480)
"""Seconds between attempts to submit the next follow-up job, within the half hour that this one has."""


def follow_submission(results: Results, id: str, reports: Path) -> None:
    """Continue a submission: its last step is the page, `on_finish`, and the mark that it has ended.

    If that fails, a later job tries again; if it fails repeatedly, `on_finish` is called, and the exception is raised.
    """
    from ablate.run.slurm.controller import SlurmError
    from ablate.run.slurm.follow import look_after

    try:
        step = look_after(results, id)
    except SlurmError as error:
        _describe(_later(results, id, str(error), failures=0))
        return
    except UserError:  # others could have written what this job would run
        raise
    except Exception as error:
        traceback.print_exc()
        _after_failure(results, id, reports, error)
        return
    if step.watch:
        print(f"jobs {', '.join(step.alive)} have not ended")
        _describe(step.watch)
    elif step.next:
        print(step.next.summary)
    elif step.given_up is not None:
        _end(results, step.submission, reports, step.given_up)


def watch_submissions(results: Results, reports: Path, once: bool) -> None:
    """Do the work of follow-up jobs here, for this user's submissions to clusters with follow_up.by = "login".

    once: look after each of them once; otherwise until all have ended.
    """
    from ablate.run.slurm.controller import controller_of
    from ablate.run.slurm.ledger import Ledger

    ledger = Ledger(results)
    while True:
        mine = [each for each in ledger.open() if each.cluster.follow_up.by == "login" and ledger.owns(each.id)]
        for each in mine:
            named = Path(each.reports) if each.reports else reports
            known = named.parent.is_dir()  # otherwise this machine is one of the cluster's, with other paths
            follow_submission(results, each.id, named if known else Path(controller_of(each.cluster).seen(named)))
        if once or not mine:
            return
        time.sleep(_WATCH_SECONDS)


def _describe(watch: Watch) -> None:
    if watch.trouble == ON_LOGIN:
        return
    if watch.job is None:
        print(f"sbatch refuses a follow-up job: {watch.trouble}; the last job of each array does its work")
    else:
        later = f" in {watch.delay} s" if watch.delay else ""
        print(f"follow-up job {watch.job} continues{later}")


def _later(results: Results, id: str, trouble: str, failures: int) -> Watch:
    """Have a later job try again; waits in this one while the controller does not answer."""
    from ablate.run.slurm.follow import watch_later

    watch = watch_later(results, id, failures, trouble)
    for pause in _PAUSES:
        if watch.job is not None or watch.trouble == ON_LOGIN:
            break
        time.sleep(pause)
        watch = watch_later(results, id, failures, trouble)
    return watch


def _after_failure(results: Results, id: str, reports: Path, error: Exception) -> None:
    """Try again later; once that has been done often enough, or cannot be done, tell the user and raise the error."""
    from ablate.records.attempt import is_done
    from ablate.run.slurm.follow import notify
    from ablate.run.slurm.ledger import Ledger

    ledger = Ledger(results)
    failures = ledger.watch(id).failures + 1
    try:
        if failures <= _MOST_FAILURES:
            watch = _later(results, id, f"{type(error).__name__}: {error}", failures)
            _describe(watch)
            if watch.job is not None or watch.trouble == ON_LOGIN:
                return
    except Exception:  # a full disk: not even the script of a later job can be written
        traceback.print_exc()
    submission = ledger.read_own(id)
    if submission.cluster.on_finish:
        missing = sum(not is_done(results.trial(key)) for key in submission.keys)
        notify(submission.cluster.on_finish, submission, missing, reports)
    raise error


def _end(results: Results, submission: Submission, reports: Path, given_up: dict[str, str]) -> None:
    """Write the page, tell the user, and mark the submission as ended, in this order: a kill in between loses nothing.

    A page that cannot be written does not keep the user from being notified. Of submissions of a study that end at the
    same moment, one writes the page, and writes it again if another has ended meanwhile.
    """
    from ablate.report.formats import write_report
    from ablate.run.slurm.follow import notify
    from ablate.run.slurm.ledger import End, Ledger

    ledger, page = Ledger(results), reports
    for key, why in given_up.items():
        print(f"{key[:12]} will not be retried: {visible(why)}")
    shown: set[str] | None = None
    while True:
        with ledger.lock():
            others = [each for each in ledger.open() if each.id != submission.id]
            left = any((each.study, each.profile) == (submission.study, submission.profile) for each in others)
            ended = {id for id in ledger.all_ids() if ledger.has_ended(id)}
            if left or (shown is not None and ended <= shown):
                ledger.end(submission.id, End(given_up=given_up))
                break
        try:
            page = write_report(results, submission.study, submission.profile, reports)
            print(f"page: {visible(str(page))}")
        except Exception:
            traceback.print_exc()
        if submission.cluster.on_finish and shown is None:
            notify(submission.cluster.on_finish, submission, len(given_up), page)
        shown = ended
    if left:
        print("another submission of this study has not ended: its last job writes the page")
