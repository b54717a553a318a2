"""The command line: all commands, and their exit codes. `--help` imports no torch."""

import errno
import sys
from pathlib import Path

import typer

from ablate.commands import (
    attribute,
    data,
    doctor,
    garbage,
    imports,
    judge,
    plan,
    query,
    report,
    run,
    serve,
    status,
    studies,
    trials,
)
from ablate.commands.options import Command, Group

app = typer.Typer(
    cls=Group,
    help="Which part of a method matters? Run ablation studies and test claims against the results.",
    epilog="Exit codes: 0 success; 1 a trial failed; 2 invalid input; 3 a required claim is refuted; 130 after Ctrl-C.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_FREE_SPACE = "free some space: ablate gc --dry-run lists what can be removed; finished trials are kept"
_HELP = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EROFS: "choose a writable folder with --results DIR and --reports DIR",
    errno.EISDIR: "this folder stands where a file belongs: rename or remove it",
    errno.ENOTDIR: "a file stands where one of these folders belongs: rename or remove it",
    errno.EACCES: "choose a folder that you may write to with --results DIR and --reports DIR",
}
_GROUPS = (
    ("Write a study", (studies.new, studies.init, studies.check, studies.schema, studies.studies)),
    ("Run it", (plan.plan, run.run, status.status, run.retry, run.cancel, run.watch, run.mirror)),
    ("Bring runs from elsewhere", (imports.import_,)),
    ("Look at trials", (serve.serve, trials.show, trials.diff, trials.logs, trials.why)),
    (
        "Read the results",
        (
            judge.judge,
            attribute.attribute,
            judge.noise,
            report.report,
            report.compare,
            report.verify,
            report.cite,
            query.query,
            query.export,
        ),
    ),
    ("Maintain", (garbage.gc, doctor.doctor)),
)
for _panel, _commands in _GROUPS:
    for _command in _commands:
        app.command(_command.__name__.rstrip("_"), cls=Command, rich_help_panel=_panel)(_command)
app.command(hidden=True)(run.follow)
app.add_typer(data.data_app, name="data")


def _check_folder() -> None:
    """Raise UserError if the current folder was removed: each path is relative to it."""
    from ablate.errors import UserError

    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise UserError("the current folder does not exist any more", help="change to one that does: cd") from error


def main() -> None:
    """The `ablate` command: prints AblateError without a traceback and exits with its code."""
    from ablate.commands.streams import discard_output, guard_streams, written_whole
    from ablate.errors import AblateError, missing_torch, visible

    guard_streams()
    try:
        _check_folder()
        with written_whole():
            app()
    except AblateError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torchvision"):
            raise
        print(missing_torch(error.name), file=sys.stderr)
        sys.exit(AblateError.exit_code)
    except BrokenPipeError:  # the reader of the pipe has closed it
        discard_output()
        sys.exit(0)
    except OSError as error:
        discard_output()
        print(
            f"error: {error.strerror or error}: {visible(str(error.filename or ''))}".removesuffix(": "),
            file=sys.stderr,
        )
        if error.errno in _HELP:
            print(f"  help: {_HELP[error.errno]}", file=sys.stderr)
        sys.exit(AblateError.exit_code)
