"""`ablate status`: the progress of studies, running trials, and failures with their causes."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.options import Json, ResultsFolder, results_in
from ablate.commands.output import Column, make_table, print_json
from ablate.commands.streams import ends_with_ctrl_c
from ablate.errors import visible
from ablate.records.plain import ago, console, line, plural

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from rich.console import Console, RenderableType

    from ablate.records.files import Results
    from ablate.records.status import Running, Standing, Status

    Read = Callable[[], Status]

_REDRAW_SECONDS = 2.0
_INDENT = 2
_COUNTED = ("done", "running", "queued", "failed", "interrupted", "damaged", "new")
_COUNTS = (
    Column("study", least=12), Column("profile"), Column("trials", right=True),
    *(Column(state, right=True) for state in _COUNTED),
)  # fmt: skip
_RUNNING = (
    Column("running"), Column("trial", least=20), Column("epoch", right=True), Column("loss", right=True, rank=1),
    Column("last sign", right=True), Column("attempt", rank=3), Column("host", least=12, rank=2),
)  # fmt: skip
_FAILURES = (
    Column("state"), Column("trials", right=True), Column("cause"), Column("for example"),
    Column("trial", least=24, rank=2), Column("message", least=24, rank=1),
)  # fmt: skip
_SHORT = 12
_CURVE_BLOCKS = 12
_PAPER = "paper"
"""The profile that means each study's own, of its paper."""


def status(
    study: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="Study or suite, by path or name. Default: all.")
    ] = None,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="Only this profile.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every 2 seconds until Ctrl-C.")] = False,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Show each study's progress: trials by state, running trials, and causes of failures."""
    read = _reader(results_in(results), study, profile)
    if json:
        print_json(read())
    elif watch:
        _watch(read)
    elif sys.stdout.isatty():
        terminal = console()
        terminal.print(_drawn(read(), terminal.width))
    else:
        _print_plain(read())


def _watch(read: "Read") -> None:
    """Redraw on a terminal; print a line for each change elsewhere."""
    terminal = console()
    with ends_with_ctrl_c():
        if terminal.is_terminal:
            _redraw(terminal, read)
        before = None
        while True:
            lines = _summary(read())
            if lines != before:
                print("\n".join(lines), flush=True)
                before = lines
            time.sleep(_REDRAW_SECONDS)


def _redraw(terminal: "Console", read: "Read") -> None:
    from rich.live import Live

    drawn = _drawn(read(), terminal.width)
    with Live(drawn, console=terminal, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            time.sleep(_REDRAW_SECONDS)
            live.update(_drawn(read(), terminal.width), refresh=True)


def _reader(results: "Results", study: str | None, profile: str | None) -> "Read":
    """A function that reads the status of all studies, of one, or of those of a suite."""
    from dataclasses import replace

    from ablate.records.status import read_status
    from ablate.records.store import open_store

    one, profile, meant = _meant(results, study, profile)
    of_store = None if profile == _PAPER else profile  # the studies' own profiles have different names

    def read() -> "Status":
        with open_store(results, curves=False) as store:
            if results.submissions.is_dir():
                status = _with_clusters(store, results, one, of_store)
            else:
                status = read_status(store, results, one, of_store)
        if meant is None:
            return status
        return replace(status, standings=tuple(filter(meant, status.standings)), elsewhere={})

    return read


def _meant(
    results: "Results", study: str | None, profile: str | None
) -> tuple[str | None, str | None, "Callable[[Standing], bool] | None"]:
    """The one study that is meant, the profile, and which standings are meant; None for all.

    The profile is `paper` where each study's own is meant.
    """
    if not study and profile != _PAPER:
        return None, profile, None
    # Imported here, since schemas of studies take longer to import than a status of all of them takes.
    from ablate.workflow.overview import recorded_profile, suite_named

    suite = suite_named(study, recorded=True) if study else None
    if study and not suite:
        return Path(study).stem, recorded_profile(results, study, profile), None
    files = suite.studies if suite else {}

    def meant(standing: "Standing") -> bool:
        if suite and standing.study not in files:
            return False
        file = files.get(standing.study, standing.study)
        return profile != _PAPER or standing.profile == recorded_profile(results, file, profile)

    return None, profile, meant


def _with_clusters(store: "DuckDBPyConnection", results: "Results", study: str | None, profile: str | None) -> "Status":
    """The status with the trials that cluster jobs will train, and how the jobs stand."""
    from dataclasses import replace

    from ablate.records.status import read_status
    from ablate.run.slurm.queue import read_queue
    from ablate.run.slurm.standing import on_clusters, waiting_trials

    queue = read_queue(results)  # before the records: a trial that ends in between is done, not new
    waiting = waiting_trials(results, queue)
    status = read_status(store, results, study, profile, waiting)
    shown = {(each.study, each.profile) for each in status.standings}
    clusters = on_clusters(store, results, queue, waiting)
    return replace(status, clusters=tuple(each for each in clusters if (each.study, each.profile) in shown))


def _drawn(status: "Status", width: int) -> "RenderableType":
    """The counts of all studies, followed by the running and failed trials of each."""
    from rich.console import Group
    from rich.text import Text

    if not status.standings:
        return Text("no study has run yet: ablate run STUDY starts one")
    # Columns of states without a trial are not shown.
    seen = {state for standing in status.standings for state, count in standing.counts.items() if count}
    used = [column for column in _COUNTS if column.name not in _COUNTED or column.name in seen]
    rows = [[_count(standing, column.name) for column in used] for standing in status.standings]
    parts: list[RenderableType] = [make_table(used, rows, width)]
    for standing in status.standings:
        if standing.running or standing.failures:
            parts += [Text(""), Text(f"{standing.study} [{standing.profile}]", style="bold")]
        if standing.running:
            drawn = [[*row, _curve(trial)] for row, trial in zip(_running(standing), standing.running, strict=True)]
            parts.append(make_table((*_RUNNING, Column("curve")), drawn, width, _INDENT))
        if standing.failures:
            parts.append(make_table(_FAILURES, _failures(standing), width, _INDENT))
            parts.append(Text(f"  details: ablate why {standing.failures[0].key[:_SHORT]}"))
    parts += [Text(visible(each.text)) for each in status.clusters]
    if remark := _elsewhere(status):
        parts += [Text(""), Text(remark)]
    parts += [Text(visible(each)) for each in status.damage]
    return Group(*parts)


def _print_plain(status: "Status") -> None:
    """Print tab-separated tables: the counts, the running trials, the failed trials."""
    print(line([column.name for column in _COUNTS]))
    for standing in status.standings:
        print(line([_count(standing, column.name) for column in _COUNTS]))
    for columns, rows in ((_RUNNING, _running), (_FAILURES, _failures)):
        if not any(rows(standing) for standing in status.standings):
            continue
        print("\n" + line(["study", "profile", *(column.name for column in columns)]))
        for standing in status.standings:
            for row in rows(standing):
                print(line([standing.study, standing.profile, *row]))
    for each in status.clusters:
        print(visible(each.text), file=sys.stderr)
    if remark := _elsewhere(status):
        print(remark, file=sys.stderr)
    for damaged in status.damage:
        print(visible(damaged), file=sys.stderr)


def _summary(status: "Status") -> list[str]:
    """One line per study, and one per running trial."""
    lines = []
    for standing in status.standings:
        states = ", ".join(f"{count} {state}" for state, count in standing.counts.items() if count)
        lines.append(f"{standing.study} [{standing.profile}]: {plural(standing.trials, 'trial')}; {states}")
        for trial in standing.running:
            loss = f"  loss {trial.loss:.4g}" if trial.loss is not None else ""
            lines.append(f"  {trial.key[:_SHORT]}  {trial.label}  epoch {_epoch(trial.epoch, trial.epochs)}{loss}")
    alone = (each for each in status.clusters if each.unwatched)
    return lines + [f"nobody is watching over {each.study}: {each.unwatched}" for each in alone]


def _count(standing: "Standing", name: str) -> str | int:
    own: dict[str, str | int] = {"study": standing.study, "profile": standing.profile, "trials": standing.trials}
    return own.get(name, standing.counts.get(name, 0))


def _running(standing: "Standing") -> list[list[str]]:
    return [
        [
            trial.key[:_SHORT],
            trial.label,
            _epoch(trial.epoch, trial.epochs),
            f"{trial.loss:.4g}" if trial.loss is not None else "",
            f"{ago(trial.beat)} ago",
            trial.attempt,
            ", ".join(filter(None, (trial.host, trial.device))),
        ]
        for trial in standing.running
    ]


def _curve(trial: "Running") -> str:
    """The curve of the loss, or else of the first number that the trial logs, in blocks; the newest is the last."""
    from ablate.commands.trial_text import sparkline

    return sparkline(trial.curve, _CURVE_BLOCKS)


def _epoch(epoch: float | None, epochs: int | None) -> str:
    return f"{epoch or 0:.6g} of {epochs}" if epochs is not None else f"{epoch or 0:.6g}"


def _failures(standing: "Standing") -> list[list[str | int]]:
    return [
        [each.state, each.count, each.cause, each.key[:_SHORT], each.label, each.message] for each in standing.failures
    ]


def _elsewhere(status: "Status") -> str:
    """A sentence about trials in no study's current version; empty if there are none."""
    states = ", ".join(f"{count} {state}" for state, count in status.elsewhere.items())
    return f"Trials of earlier versions: {states} (ablate gc --abandoned --dry-run lists them)" if states else ""
