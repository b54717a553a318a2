"""`ablate studies`: what there is, and how far each is."""

import json
import sys
from dataclasses import asdict, dataclass

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.plans import current_design, load_plans, planned_trials
from ablate.study.load import known_studies, load_study


@dataclass(frozen=True)
class Overview:
    """One study at one profile; `profile` is None where it was never run."""

    study: str
    title: str
    file: str | None
    profile: str | None
    done: int
    trials: int


def overview(results: Results) -> list[Overview]:
    """All studies that have a file, or a record, by name; one row for each profile at which they were run."""
    files = known_studies()
    recorded = results.root / "studies"
    names = {path.name for path in recorded.iterdir() if path.is_dir()} if recorded.is_dir() else set()
    rows = []
    for name in sorted(files.keys() | names):
        plans = load_plans(results, name)
        file = str(files[name]) if name in files else None
        title = _title(file) or (plans[-1]["title"] if plans else "")
        profiles = list(dict.fromkeys(plan["profile"] for plan in plans))
        for profile in profiles:
            keys = {trial["key"] for trial in planned_trials(current_design(plans, profile))}
            done = sum(results.trial(key).result.exists() for key in keys)
            rows.append(Overview(name, title, file, profile, done, len(keys)))
        if not profiles:
            rows.append(Overview(name, title, file, None, 0, 0))
    return rows


def _title(file: str | None) -> str:
    if file is None:
        return ""
    try:
        loaded = load_study(file)
    except UserError:
        return "cannot be read: see ablate check"
    return loaded.study.title if not loaded.problems else "has mistakes: see ablate check"


def print_overview(rows: list[Overview], as_json: bool) -> None:
    """Print the rows: a table on a terminal, tab-separated lines elsewhere, or JSON."""
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    told = [
        (row.study, row.profile or "-", f"{row.done} of {row.trials}" if row.profile else "not run", row.title)
        for row in rows
    ]
    if not sys.stdout.isatty():
        for line in (("study", "profile", "done", "title"), *told):
            print("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("study", "profile", "done", "title", box=None, header_style="bold", pad_edge=False)
    for line in told:
        table.add_row(*map(Text, line))
    Console(highlight=False).print(table)
