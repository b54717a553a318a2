"""`ablate status`: how far the studies are, what runs, what failed and why."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.options import Json, ResultsFolder, results_in, scale_in
from ablate.commands.output import ago, console, plural, print_json
from ablate.records.table import Column, make_table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from ablate.records.files import Results
    from ablate.records.status import Standing, Status

    Read = Callable[[], Status]

_REDRAW_SECONDS = 2.0
_INTERRUPTED = 130
_INDENT = 2
_COUNTED = ("done", "running", "queued", "failed", "interrupted", "damaged", "new")
_COUNTS = (
    Column("study", least=12), Column("profile"), Column("trials", right=True),
    *(Column(state, right=True) for state in _COUNTED),
)  # fmt: skip
_RUNNING = (
    Column("running"), Column("trial", least=32), Column("epoch", right=True), Column("loss", right=True, rank=1),
    Column("last sign", right=True), Column("attempt", rank=3), Column("host", least=12, rank=2),
)  # fmt: skip
_FAILURES = (
    Column("state"), Column("trials", right=True), Column("cause"), Column("one of them"),
    Column("trial", least=24, rank=2), Column("message", least=24, rank=1),
)  # fmt: skip
_SHORT = 12


def status(
    study: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="A study or a suite, by its file or name; all by default.")
    ] = None,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="At this scale only.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every 2 seconds, until Ctrl-C.")] = False,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Show how far each study is: trials by state, those under way, and what ended the others."""
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
    """Redraw on a terminal; a line for each change elsewhere."""
    import time

    terminal = console()
    try:
        if terminal.is_terminal:
            _redraw(terminal, read)
        before = None
        while True:
            lines = _summary(read())
            if lines != before:
                print("\n".join(lines), flush=True)
                before = lines
            time.sleep(_REDRAW_SECONDS)
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


def _redraw(terminal: "Console", read: "Read") -> None:
    import time

    from rich.live import Live

    drawn = _drawn(read(), terminal.width)
    with Live(drawn, console=terminal, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            time.sleep(_REDRAW_SECONDS)
            live.update(_drawn(read(), terminal.width), refresh=True)


def _reader(results: "Results", study: str | None, profile: str | None) -> "Read":
    """A function that looks how all studies are, or one, or those of a suite."""
    from dataclasses import replace

    from ablate.commands.suites import suite_of
    from ablate.records.status import read_status
    from ablate.records.store import open_store
    from ablate.run.slurm.queue import queued, read_queue
    from ablate.study.scale import OF_THE_PAPER

    suite = suite_of(study, recorded=True) if study else None
    files = suite.studies if suite else {}
    one = Path(study).stem if study and not suite else None
    if study and one:
        profile = scale_in(results, study, profile)
    each_own = profile == OF_THE_PAPER  # which none is called: a study's own stands here already

    def meant(standing: "Standing") -> bool:
        if suite and standing.study not in files:
            return False
        file = files.get(standing.study, standing.study)
        return not each_own or standing.profile == scale_in(results, file, profile)

    def read() -> "Status":
        with open_store(results) as store:
            now = queued(results, read_queue(results))
            status = read_status(store, results, one, None if each_own else profile, now)
        if suite is None and not each_own:
            return status
        return replace(status, standings=tuple(filter(meant, status.standings)), elsewhere={})

    return read


def _drawn(status: "Status", width: int) -> "RenderableType":
    """The counts of all studies, and below them what runs and what failed in each."""
    from rich.console import Group
    from rich.text import Text

    if not status.standings:
        return Text("no study has run yet: ablate run STUDY starts one")
    # States that no trial is in are not shown.
    used = [column for column in _COUNTS if column.name not in _COUNTED or _any(status, column.name)]
    rows = [[_count(standing, column.name) for column in used] for standing in status.standings]
    parts: list[RenderableType] = [make_table(used, rows, width)]
    for standing in status.standings:
        if standing.running or standing.failures:
            parts += [Text(""), Text(f"{standing.study} [{standing.profile}]", style="bold")]
        if standing.running:
            parts.append(make_table(_RUNNING, _running(standing), width, _INDENT))
        if standing.failures:
            parts.append(make_table(_FAILURES, _failures(standing), width, _INDENT))
            parts.append(Text(f"  ablate why {standing.failures[0].key[:_SHORT]} tells more"))
    if told := _elsewhere(status):
        parts += [Text(""), Text(told)]
    return Group(*parts)


def _print_plain(status: "Status") -> None:
    """Tab-separated: the counts, and after an empty line each, what runs and what failed."""
    from ablate.records.plain import line

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
    if told := _elsewhere(status):
        print(told, file=sys.stderr)


def _summary(status: "Status") -> list[str]:
    """A line for each study, and one for each trial under way."""
    lines = []
    for standing in status.standings:
        states = ", ".join(f"{count} {state}" for state, count in standing.counts.items() if count)
        lines.append(f"{standing.study} [{standing.profile}]: {plural(standing.trials, 'trial')}; {states}")
        for trial in standing.running:
            loss = f"  loss {trial.loss:.4g}" if trial.loss is not None else ""
            lines.append(f"  {trial.key[:_SHORT]}  {trial.label}  epoch {_epoch(trial.epoch, trial.epochs)}{loss}")
    return lines


def _count(standing: "Standing", name: str) -> str | int:
    own: dict[str, str | int] = {"study": standing.study, "profile": standing.profile, "trials": standing.trials}
    return own.get(name, standing.counts.get(name, 0))


def _any(status: "Status", state: str) -> bool:
    return any(standing.counts.get(state) for standing in status.standings)


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


def _epoch(epoch: int | None, epochs: int | None) -> str:
    return f"{epoch or 0} of {epochs}" if epochs is not None else str(epoch or 0)


def _failures(standing: "Standing") -> list[list[str | int]]:
    return [
        [each.state, each.count, each.cause, each.key[:_SHORT], each.label, each.message] for each in standing.failures
    ]


def _elsewhere(status: "Status") -> str:
    """A sentence about the trials that stand in no study."""
    states = ", ".join(f"{count} {state}" for state, count in status.elsewhere.items())
    return (
        f"and trials that no study's newest design asks for: {states}. ablate gc --abandoned --dry-run lists them"
        if states
        else ""
    )


COMMANDS = (status,)
