"""`ablate show`, `diff`, `logs` and `why`: one trial, or two, from the records."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.options import Json, ResultsFolder, TrialName, results_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ablate.records.detail import Detail
    from ablate.records.files import Results, TrialFolder

_LOG_LINES = 20
_INTERRUPTED = 130
OtherTrial = Annotated[str, typer.Argument(metavar="TRIAL", help="The one to compare it with, named in the same way.")]


def show(trial: TrialName, json: Json = False, results: ResultsFolder = Path("results")) -> None:
    """Show a trial: where it stands, its attempts, results, loss curve, settings, and with what it ran."""
    from ablate.commands.output import print_facts, print_json
    from ablate.commands.portrait import facts

    (detail,) = _details(results_in(results), trial)
    if json:
        print_json(detail)
    else:
        print_facts(facts(detail))


def diff(trial: TrialName, other: OtherTrial, json: Json = False, results: ResultsFolder = Path("results")) -> None:
    """Compare two trials: settings that differ, results side by side, what differs in how they ran."""
    from dataclasses import replace

    from ablate.commands.output import print_json, print_table
    from ablate.commands.portrait import DIFFERENCES, differences
    from ablate.records.compare import compare

    left, right = _details(results_in(results), trial, other)
    comparison = compare(left, right)
    if json:
        print_json({"left": left.key, "right": right.key, **vars(comparison)})
        return
    if sys.stdout.isatty():
        for detail in (left, right):
            print(_title(detail))
        print("one pretraining\n" if comparison.same_pretraining else "")
    names = {"left": left.key[:12], "right": right.key[:12]}
    columns = [replace(column, name=names.get(column.name, column.name)) for column in DIFFERENCES]
    print_table(columns, differences(comparison))


def logs(
    trial: TrialName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the trial ends.")] = False,
    attempt: Annotated[int | None, typer.Option(min=1, metavar="N", help="Not the newest attempt, but this.")] = None,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Print what a trial's newest attempt wrote: its stderr and its stdout."""
    from ablate.commands.cluster import wait_for_attempt
    from ablate.commands.output import print_json
    from ablate.errors import UserError
    from ablate.records.logs import STREAMS, pick_attempt, read_stream

    if follow and json:
        raise UserError("--follow goes with lines, not with --json", help="leave out one of the two")
    (detail,) = _details(results_in(results), trial)
    folder = results_in(results).trial(detail.key)
    path = pick_attempt(folder, attempt)
    if path is None and follow and not attempt:
        with _ctrl_c():
            path = wait_for_attempt(results_in(results), detail.key)
    if path is None:
        raise UserError(f"no attempt at {detail.key[:12]} has begun", help="ablate run STUDY starts it")
    if json:
        streams = {stream: read_stream(path, stream) for stream in STREAMS}
        print_json({"key": detail.key, "attempt": path.name, **streams})
    elif follow:
        with _ctrl_c():
            _follow(path)
            while not attempt and not folder.result.exists():
                if (path := wait_for_attempt(results_in(results), detail.key, after=path)) is None:
                    break
                _follow(path)
    else:
        _print_log(path)


def why(trial: TrialName, json: Json = False, results: ResultsFolder = Path("results")) -> None:
    """Explain why a trial failed or was interrupted: cause, what usually helps, last metrics, the end of its log."""
    from ablate.commands.causes import what_helps
    from ablate.commands.cluster import job_of
    from ablate.commands.output import print_facts, print_json
    from ablate.records.logs import last_lines, last_metrics, pick_attempt

    (detail,) = _details(results_in(results), trial)
    folder = results_in(results).trial(detail.key)
    attempt = pick_attempt(folder)
    job = job_of(results_in(results), detail.key) if detail.state != "done" else None
    explained = detail.state in ("failed", "interrupted", "damaged")
    if json:
        about = {name: getattr(detail, name) for name in ("key", "state", "cause", "message")}
        print_json(
            {
                **about,
                "job": job,
                "help": what_helps(detail.cause or detail.state) if explained else None,
                "last_metrics": last_metrics(folder),
                "log": last_lines(attempt, _LOG_LINES) if attempt else [],
            }
        )
        return
    print_facts(
        [("trial", _title(detail)), ("state", _state(detail, folder)), *([("cluster", job.told)] if job else [])]
    )
    if explained:
        _explain(detail, folder)
    elif job and job.over and attempt is None and job.log and job.log.is_file():
        print(f"\nthe end of {job.log}:")
        for line in job.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]:
            print(f"  {line}")


def _explain(detail: "Detail", folder: "TrialFolder") -> None:
    from ablate.commands.causes import what_helps
    from ablate.commands.output import print_facts
    from ablate.commands.portrait import attempt_in_words, text
    from ablate.records.logs import last_lines, last_metrics, pick_attempt

    metrics = ", ".join(f"{name} {text(value)}" for name, value in last_metrics(folder).items())
    found = [
        ("cause", detail.cause or detail.state),
        ("message", detail.message or "none"),
        ("what helps", what_helps(detail.cause or detail.state)),
        *(("attempt", attempt_in_words(attempt)) for attempt in detail.attempts),
        ("last metrics", metrics or "none were written"),
    ]
    attempt = pick_attempt(folder)
    lines = last_lines(attempt, _LOG_LINES) if attempt else []
    print_facts(found if lines else [*found, ("log", "nothing was printed")])
    if lines:
        print(f"\nthe end of {attempt}:")
    for line in lines:
        print(f"  {line}")


def _state(detail: "Detail", folder: "TrialFolder") -> str:
    """The state, with what there is to say of one that needs no explanation."""
    from ablate.records.cancel import cancel_requested

    short = detail.key[:12]
    asked = "; somebody asked that it end" if cancel_requested(folder) else ""
    told = {
        "done": f"done: there is nothing to explain. Its results: ablate show {short}",
        "running": f"running{asked}. What it prints: ablate logs {short} -f",
        "new": f"new: no attempt has begun{asked or '. ablate run STUDY starts it'}",
    }
    return told.get(detail.state, detail.state)


def _follow(attempt: Path) -> None:
    from ablate.records.attempt import attempt_status
    from ablate.records.logs import follow

    last = None
    for stream, text in follow(attempt):
        if stream != last:
            _print_heading(attempt, stream)
            last = stream
        sys.stdout.write(text)
        sys.stdout.flush()
    status = attempt_status(attempt, 0.0)
    print(f"==> {attempt.name} ended: {status.state}{f', {status.cause}' if status.cause else ''} <==", file=sys.stderr)


def _print_log(attempt: Path) -> None:
    from ablate.records.logs import STREAMS, read_stream

    texts = {stream: read_stream(attempt, stream) for stream in STREAMS}
    for stream, text in texts.items():
        if text:
            _print_heading(attempt, stream)
            sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    if not any(texts.values()):
        print(f"{attempt} printed nothing", file=sys.stderr)


def _print_heading(attempt: Path, stream: str) -> None:
    print(f"==> {attempt / stream} <==", flush=True)


def _details(results: "Results", *names: str) -> "list[Detail]":
    """The trials of these names."""
    from ablate.records.address import find_trial
    from ablate.records.detail import read_detail
    from ablate.records.store import open_store

    with open_store(results) as store:
        return [read_detail(store, find_trial(store, name)) for name in names]


def _title(detail: "Detail") -> str:
    from ablate.records.address import Address

    return Address(detail.key, detail.cells).label


@contextmanager
def _ctrl_c() -> "Iterator[None]":
    """Ctrl-C is how people leave: no traceback, and the exit code that shells give it."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


COMMANDS = (show, diff, logs, why)
