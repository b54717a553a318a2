"""`ablate mirror`: recorded rows are copied into a tracker that lacks them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from ablate.errors import UserError

if TYPE_CHECKING:
    from ablate.records.files import Results
    from ablate.run.options import PlanOptions

_POLL_SECONDS = 1.0


def mirror_study(
    study: str, options: PlanOptions, names: Sequence[str], results: Results, watch: bool = False
) -> dict[str, int]:
    """Send what a study has recorded and a tracker lacks; returns tracker -> how many trials were looked at.

    watch: go on as more is recorded, until Ctrl-C. Raises UserError if a tracker did not take everything.
    """
    from ablate.run.history import seeds_run
    from ablate.run.mirrors import checked, mirrored, trackers_of
    from ablate.run.options import RunOptions
    from ablate.study.expansion.tune import name_of
    from ablate.workflow.run import plan_study
    from ablate.workflow.tuning import plan_tuning

    wanted = checked(names) if names else trackers_of(RunOptions())
    if not wanted:
        raise UserError("no tracker is named", help='use --to NAME, or name it in ablate.toml: [log] to = ["wandb"]')
    plan = plan_study(study, options, results)
    name, tuning = name_of(plan.loaded), plan.loaded.tuning
    if options.seeds is None and not tuning and (seeds := seeds_run(results, name, plan.profile)):
        plan = plan_study(study, replace(options, seeds=seeds), results)
    # The trials that chose are rows of another study, NAME_tuning, also once it has ended.
    plans = [plan_tuning(plan.loaded, options, results)] if plan.loaded.study.tune and not tuning else []
    said: list[str] = []
    count = 0
    with ExitStack() as stack:
        for each in (*plans, plan):
            trials = [one for one in each.expansion.trials if watch or each.states[one.key] not in ("new", "queued")]
            count += len(trials)
            called = each.loaded.study.name
            stack.enter_context(mirrored(wanted, trials, results, called, said.append, not watch, name))
        try:
            while watch:
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            pass
    if said:
        raise UserError("\n".join(said))
    return dict.fromkeys(wanted, count)
