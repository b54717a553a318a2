"""The command line: which commands there are, and how they end. `--help` needs no torch."""

import errno
import sys

import typer

from ablate.commands import cancel, cluster, data, judge, maintain, report, run, status, studies, trials, verify

app = typer.Typer(
    help="Which part of a method matters? Run ablation studies, and judge claims by what was measured.",
    epilog="Exit codes: 0; 1 a trial failed; 2 a mistake of yours; 3 a required claim is refuted; 130 after Ctrl-C.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_HELP = {
    errno.ENOSPC: "make room: ablate gc --dry-run lists what nothing needs; what is done stays done",
    errno.EDQUOT: "make room: ablate gc --dry-run lists what nothing needs; what is done stays done",
    errno.EROFS: "choose a folder that can be written: --results DIR, --reports DIR",
    errno.EACCES: "choose a folder that you may write: --results DIR, --reports DIR",
}
_GROUPS = (
    ("Write a study", (studies.new, studies.check, studies.schema, studies.studies)),
    ("Run it", (run.plan, run.run, status.status, run.retry, cancel.cancel)),
    ("Look at trials", (trials.show, trials.diff, trials.logs, trials.why)),
    (
        "Read the results",
        (judge.judge, report.report, report.compare, verify.verify, report.query, report.export),
    ),
    ("Look after it", (maintain.gc, maintain.doctor)),
)
for _panel, _commands in _GROUPS:
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)
app.command(hidden=True)(cluster.follow)
app.add_typer(data.data_app, name="data")


def main() -> None:
    """The `ablate` command: errors of ours without a traceback, with their exit code."""
    from ablate.errors import AblateError

    try:
        app()
    except AblateError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or ''}".removesuffix(": "), file=sys.stderr)
        if error.errno in _HELP:
            print(f"  help: {_HELP[error.errno]}", file=sys.stderr)
        sys.exit(AblateError.exit_code)
