"""`ablate serve`: the records in a browser, live."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ablate.commands.options import ReportsFolder, reports_in, results_in
from ablate.commands.streams import ends_with_ctrl_c
from ablate.errors import as_path


def serve(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", parser=as_path, help="Folder with the records.")] = Path(
        "results"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 for any free one.")] = 8127,
    open_: Annotated[bool, typer.Option("--open", help="Open the address in the browser.")] = False,
    reports: ReportsFolder = None,
) -> None:
    """Show studies, running trials with live curves, logs and the queue in a browser, on this machine only."""
    from ablate.errors import UserError

    try:
        from ablate.serve.server import serve_records
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "anyio"):
            raise
        raise UserError(f"ablate serve needs {error.name}", help="pip install starlette uvicorn") from None
    with ends_with_ctrl_c():
        say = partial(print, flush=True)  # a pipe would keep the address until the server ends
        serve_records(results_in(folder), reports_in(reports, folder), port, open_, say)
