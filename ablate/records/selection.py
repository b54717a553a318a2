"""Choosing trials by study, by name, or by an SQL condition."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from ablate.errors import UserError
from ablate.records.address import find_trial
from ablate.records.files import Results
from ablate.records.store import open_store


def selected(results: Results, names: Sequence[str], where: str | None) -> dict[str, str]:
    """Key -> state of the trials that are meant.

    names: studies, by name or file, and single trials. where: a condition over the views of these studies, or over
    the table `trials` where no study is named. Raises UserError for a name that is none, and for a bad condition.
    """
    if not names and where is None:
        raise UserError("no trial is named", help="name a study, a trial, or give --where \"state = 'running'\"")
    with open_store(results) as store:
        known = {study for (study,) in store.execute("SELECT DISTINCT study FROM cells").fetchall()}
        studies = [Path(name).stem for name in names if Path(name).stem in known and ":" not in name]
        trials = [name for name in names if Path(name).stem not in studies]
        if trials and where is not None:
            raise UserError(
                f"--where goes with studies, and '{trials[0]}' is none", help=f"studies are: {', '.join(sorted(known))}"
            )
        views = studies or ([] if trials else ["trials"])
        found = {key: state for view in views for key, state in _fitting(store, view, where or "true").items()}
        keys = [find_trial(store, name).key for name in trials]
        rows = store.execute("SELECT key, state FROM trials WHERE key IN (SELECT unnest(?::VARCHAR[]))", [keys])
        return found | dict.fromkeys(keys, "new") | dict(rows.fetchall())


def _fitting(store: duckdb.DuckDBPyConnection, view: str, where: str) -> dict[str, str]:
    try:
        rows = store.execute(f'SELECT key, state FROM "{view}" WHERE (\n{where}\n)').fetchall()
    except duckdb.Error as error:
        columns = [name for name, *_ in store.execute(f'DESCRIBE "{view}"').fetchall()]
        told = str(error).partition("\n")[0]
        raise UserError(f"--where {where}: {told}", help=f"columns of {view} are: {', '.join(columns)}") from error
    return dict(rows)
