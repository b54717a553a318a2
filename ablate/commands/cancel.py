"""`ablate cancel`: trials that are to end, or not to start."""

from pathlib import Path
from typing import Annotated

import typer

from ablate.commands.options import Json, ResultsFolder, results_in


def cancel(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY | TRIAL]...", help="All trials of a study, or single ones.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="Only where this holds: \"first = 'crop' AND seed > 0\".")
    ] = None,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Ask running trials to end at their next step, and waiting ones not to start, until they are run again."""
    from ablate.commands.output import plural, print_json
    from ablate.records.cancel import request_cancel
    from ablate.records.selection import selected
    from ablate.run.slurm.cancel import cancel_jobs

    records = results_in(results)
    keys: dict[str, list[str]] = {"running": [], "waiting": [], "done": []}
    for key, state in selected(records, names or [], where).items():
        keys[state if state in ("running", "done") else "waiting"].append(key)
    for key in (*keys["running"], *keys["waiting"]):
        if records.trial(key).trial.exists():  # a cell that no run has asked for yet has no record to write into
            request_cancel(records.trial(key))
    jobs = cancel_jobs(records)
    if json:
        print_json({**keys, "jobs": jobs})
        return
    told = {
        "running": "asked to end at the next step",
        "waiting": "will not start, until ablate run or ablate retry asks for it again",
        "done": "already done",
    }
    for state, words in told.items():
        if keys[state]:
            print(f"{plural(len(keys[state]), 'trial')} {words}")
    if jobs:
        print(f"{plural(len(jobs), 'job')} of a cluster ended: {', '.join(jobs)}")
    if not any(keys.values()):
        print("no trial is like that")
