"""`ablate studies`: what there is, and how far each is."""

from dataclasses import dataclass

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
