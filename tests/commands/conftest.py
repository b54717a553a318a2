"""The commands that read records, called in this process: what they print and with which exit code they end."""

from collections.abc import Callable

import pytest
import typer
from typer.testing import CliRunner

from ablate.commands import doctor, garbage, status, trials
from ablate.errors import UserError

Call = Callable[..., str]


@pytest.fixture
def call() -> Call:
    """Runs a command as in a pipe and returns its standard output; raises UserError as it comes."""
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    for command in (trials.show, trials.diff, trials.logs, trials.why, status.status, garbage.gc, doctor.doctor):
        app.command()(command)

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, arguments)
        if isinstance(result.exception, UserError):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    return run
