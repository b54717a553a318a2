"""`ablate export`: one row a trial, as CSV, JSON or Parquet."""

import sys
import tempfile
from pathlib import Path

from ablate.errors import UserError, nearest
from ablate.records.files import Results
from ablate.records.store import open_store

_COPY = {"csv": "FORMAT csv, HEADER", "json": "FORMAT json, ARRAY true", "parquet": "FORMAT parquet"}


def export_study(results: Results, study: str, format: str, profile: str | None, output: Path | None) -> None:
    """Write one row a trial: the study's view in the store.

    Columns: study, profile, case, each axis, seed, key, state, top1 (percent), loss (the last epoch's),
    seconds, images (synthetic, or of a folder).
    """
    if format not in _COPY:
        raise UserError(f"unknown format '{format}'{nearest(format, _COPY)}", help=f"formats are: {', '.join(_COPY)}")
    if format == "parquet" and output is None and sys.stdout.isatty():
        raise UserError("Parquet is no text, and this is a terminal", help=f"add --output {Path(study).stem}.parquet")
    name = Path(study).stem
    with open_store(results) as store, tempfile.TemporaryDirectory() as folder:
        known = [view for (view,) in store.execute("SELECT DISTINCT study FROM cells ORDER BY study").fetchall()]
        if name not in known:
            help = f"studies with records are: {', '.join(known)}" if known else "run it first: ablate run STUDY"
            raise UserError(f"no record of a study '{name}' in {results.root}{nearest(name, known)}", help=help)
        profiles = store.execute(
            "SELECT DISTINCT profile FROM cells WHERE study = ? ORDER BY profile", [name]
        ).fetchall()
        if profile is not None and (profile,) not in profiles:
            help = f"it was at: {', '.join(each for (each,) in profiles)}"
            raise UserError(f"'{name}' was not run at the profile '{profile}'", help=help)
        where = "WHERE profile = $profile" if profile else ""
        temporary = Path(folder) / f"export.{format}"
        store.execute(
            f"""COPY (SELECT * FROM "{name}" {where}) TO '{temporary}' ({_COPY[format]})""",
            {"profile": profile} if profile else None,
        )
        if output is None:
            sys.stdout.buffer.write(temporary.read_bytes())
            return
        try:
            output.write_bytes(temporary.read_bytes())
        except OSError as error:
            raise UserError(f"{output} cannot be written: {error.strerror}") from error
