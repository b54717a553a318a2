"""`ablate show`, `diff`, `logs` and `why`: single trials."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.options import Json, ResultsFolder, TrialName, results_in
from ablate.commands.streams import ends_with_ctrl_c, write_log
from ablate.errors import visible

if TYPE_CHECKING:
    from ablate.records.detail import Detail
    from ablate.records.files import Results, TrialFolder

_LOG_LINES = 20
_LONGEST_LINE = 1000
_POLL_SECONDS = 1.0
OtherTrial = Annotated[str, typer.Argument(metavar="TRIAL", help="Trial to compare with, given in the same way.")]


def show(trial: TrialName, json: Json = False, results: ResultsFolder = Path("results")) -> None:
    """Show a trial: state, attempts, results, loss curve, settings and environment."""
    from ablate.commands.output import print_facts, print_json
    from ablate.commands.trial_text import facts

    (detail,) = _details(results_in(results), trial)
    if json:
        cells = [
            {
                "study": each.study,
                "profile": each.profile,
                "axes": each.cell.axes,
                "case": each.cell.case,
                "seed": each.seed,
            }
            for each in detail.cells
        ]
        print_json({**vars(detail), "cells": cells})
    else:
        print_facts(facts(detail))


def diff(trial: TrialName, other: OtherTrial, json: Json = False, results: ResultsFolder = Path("results")) -> None:
    """Compare two trials: settings, results and environment."""
    from dataclasses import replace

    from ablate.commands.output import print_json, print_table
    from ablate.commands.trial_text import DIFFERENCES, differences
    from ablate.records.compare import compare

    left, right = _details(results_in(results), trial, other)
    comparison = compare(left, right)
    if json:
        print_json({"left": left.key, "right": right.key, **vars(comparison)})
        return
    if sys.stdout.isatty():
        for detail in (left, right):
            print(_title(detail))
        print("They share one pretraining.\n" if comparison.same_pretraining else "")
    names = {"left": left.key[:12], "right": right.key[:12]}
    columns = [replace(column, name=names.get(column.name, column.name)) for column in DIFFERENCES]
    print_table(columns, differences(comparison))


def logs(
    trial: TrialName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing until the trial ends.")] = False,
    attempt: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Print this attempt instead of the latest.")
    ] = None,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Print the stderr and stdout of a trial's latest attempt."""
    from ablate.commands.output import print_json
    from ablate.errors import UserError
    from ablate.records.attempt import STREAMS, is_done
    from ablate.records.logs import pick_attempt, read_stream

    if follow and json:
        raise UserError("--follow and --json cannot be combined", help="leave out one of the two")
    (detail,) = _details(results_in(results), trial)
    folder = results_in(results).trial(detail.key)
    path = pick_attempt(folder, attempt)
    if path is None and follow and not attempt:
        with ends_with_ctrl_c():
            path = _wait_for_attempt(results_in(results), detail.key)
    if path is None and detail.state == "damaged":
        raise UserError(f"trial {detail.key[:12]}: {detail.message}", help=f"ablate why {detail.key[:12]} says more")
    if path is None:
        raise UserError(f"trial {detail.key[:12]} has no attempt yet", help="ablate run STUDY starts it")
    if json:
        streams = {stream: read_stream(path, stream) for stream in STREAMS}
        print_json({"key": detail.key, "attempt": path.name, **streams})
    elif follow:
        with ends_with_ctrl_c():
            _follow(path)
            while not attempt and not is_done(folder):
                if (path := _wait_for_attempt(results_in(results), detail.key, after=path)) is None:
                    break
                _follow(path)
    else:
        _print_log(path)


def why(trial: TrialName, json: Json = False, results: ResultsFolder = Path("results")) -> None:
    """Explain why a trial failed or was interrupted: cause, advice, last metrics, end of the log."""
    from ablate.commands.output import print_facts, print_json
    from ablate.commands.trial_text import what_helps
    from ablate.records.logs import last_lines, last_metrics, pick_attempt, returned_by
    from ablate.run.slurm.ledger import Ledger
    from ablate.run.slurm.queue import find_job

    (detail,) = _details(results_in(results), trial)
    folder = results_in(results).trial(detail.key)
    attempt = pick_attempt(folder)
    job = find_job(results_in(results), detail.key) if detail.state != "done" else None
    explained = detail.state in ("failed", "interrupted", "damaged") or detail.cause is not None
    if json:
        found = {name: getattr(detail, name) for name in ("key", "state", "cause", "message")}
        help = what_helps(detail) if explained else None
        log = last_lines(attempt, _LOG_LINES) if attempt else []
        numbers = {"returned": returned_by(attempt), "last_metrics": last_metrics(folder)}
        print_json({**found, "job": job, "help": help, **numbers, "log": log})
        return
    given_up = Ledger(results_in(results)).why_given_up(detail.key) if detail.state not in ("done", "running") else None
    on_cluster = [job.summary] if job else []
    on_cluster += [f"not retried: {given_up}"] if given_up else []
    facts = [("trial", _title(detail)), ("state", _state(detail, folder))]
    print_facts([*facts, *(("cluster", each) for each in on_cluster)])
    if explained:
        _explain(detail, folder)
    elif job and job.over and attempt is None and job.log and job.log.is_file():
        lines = job.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        _print_end(str(job.log), lines)


def _explain(detail: "Detail", folder: "TrialFolder") -> None:
    from ablate.commands.output import print_facts
    from ablate.commands.trial_text import attempt_in_words, text, what_helps
    from ablate.records.logs import last_lines, last_metrics, pick_attempt, returned_by

    attempt = pick_attempt(folder)
    returned, metrics = (
        ", ".join(f"{name} {text(value)}" for name, value in numbers.items())
        for numbers in (returned_by(attempt) or {}, last_metrics(folder))
    )
    found = [
        ("cause", detail.cause or detail.state),
        ("message", detail.message or "none"),
        ("what helps", what_helps(detail)),
        *(("attempt", attempt_in_words(attempt)) for attempt in detail.attempts),
        *([("returned", returned)] if returned else []),
        ("last metrics", metrics or "none"),
    ]
    lines = last_lines(attempt, _LOG_LINES) if attempt else []
    print_facts(found if lines else [*found, ("log", "no output")])
    if lines:
        _print_end(f"the log of {attempt}", lines)


def _print_end(what: str, lines: list[str]) -> None:
    print(f"\nend of {visible(what)}:", *(visible(line, _LONGEST_LINE) for line in lines), sep="\n  ")


def _state(detail: "Detail", folder: "TrialFolder") -> str:
    """The state, with the command that says more about a trial that has not failed."""
    from ablate.records.coordination import cancel_requested

    short = detail.key[:12]
    cancelled = "; cancelled" if cancel_requested(folder) else ""
    texts = {
        "done": "done" if detail.cause else f"succeeded; see ablate show {short}",
        "running": f"running{cancelled}; follow its output with ablate logs {short} -f",
        "new": f"new: not attempted yet{cancelled or '; ablate run STUDY starts it'}",
    }
    return texts.get(detail.state, detail.state)


def _follow(attempt: Path) -> None:
    from ablate.records.attempt import attempt_status
    from ablate.records.logs import follow

    last = None
    for stream, text in follow(attempt):
        if stream != last:
            _print_heading(attempt, stream)
            last = stream
        write_log(text)
    status = attempt_status(attempt, time.time())
    print(f"==> {attempt.name} ended: {status.state}{f', {status.cause}' if status.cause else ''} <==", file=sys.stderr)


def _print_log(attempt: Path) -> None:
    from ablate.records.attempt import STREAMS
    from ablate.records.logs import read_stream

    texts = {stream: read_stream(attempt, stream) for stream in STREAMS}
    for stream, text in texts.items():
        if text:
            _print_heading(attempt, stream)
            write_log(text if text.endswith("\n") else f"{text}\n")
    if not any(texts.values()):
        print(f"{attempt} printed nothing", file=sys.stderr)


def _print_heading(attempt: Path, stream: str) -> None:
    print(f"==> {visible(str(attempt / stream))} <==", flush=True)


def _details(results: "Results", *names: str) -> "list[Detail]":
    """Everything that the records have about these trials."""
    from ablate.records.address import find_trial
    from ablate.records.detail import read_detail
    from ablate.records.store import open_store

    with open_store(results) as store:
        return [read_detail(store, find_trial(store, name)) for name in names]


def _title(detail: "Detail") -> str:
    from ablate.records.address import Address

    return Address(detail.key, detail.cells).label


def _wait_for_attempt(results: "Results", key: str, after: Path | None = None) -> Path | None:
    """Wait for the next attempt at a trial in a cluster's queue, or for the first; None if no job will start one.

    The attempt may belong to another job, or to the same job if that was requeued.
    """
    from ablate.records.logs import pick_attempt
    from ablate.run.slurm.queue import queued, read_queue

    printed = None
    while (attempt := pick_attempt(results.trial(key))) == after:
        job = queued(results, read_queue(results)).get(key)
        if job is None:
            return None
        if printed != job.summary:
            printed = job.summary
            print(f"no {'further ' if after else ''}attempt has started: {printed}", file=sys.stderr, flush=True)
        time.sleep(_POLL_SECONDS)
    return attempt
