"""`ablate attribute`: what each part of a method contributes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.commands.options import Json, RecordedProfile, ResultsFolder, StudyName, results_in
from ablate.errors import visible

if TYPE_CHECKING:
    from ablate.judge.attribution import Attribution
    from ablate.judge.evidence import Evidence


def attribute(
    study: StudyName,
    profile: RecordedProfile = None,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Print what each part of a method contributes, as far as the cells that were run can tell."""
    from ablate.commands.output import print_json
    from ablate.errors import UserError
    from ablate.judge.attribution import attribute as attribution_of
    from ablate.judge.statistics.attribution import MOST_PARTS
    from ablate.judge.study import judge_study
    from ablate.workflow.overview import check_is_study, recorded_profile

    check_is_study(study)
    records = results_in(results)
    judged = judge_study(records, study, recorded_profile(records, study, profile))
    found = attribution_of(judged.evidence)
    if found is None or not found.effects:
        message = f"'{judged.plan.study}' has no results from which the effects of parts can be estimated"
        rule = f"a part is an axis of two values; at least one, and at most {MOST_PARTS}, must be varied and run"
        raise UserError(message, help="; ".join(found.notes) if found else rule)
    if json:
        print_json(
            {"study": judged.plan.study, "profile": judged.plan.profile, "metric": judged.plan.metric, **found.plain()}
        )
        return
    _print(judged.evidence, found)


def _print(evidence: "Evidence", found: "Attribution") -> None:
    from ablate.commands.output import Column, print_table
    from ablate.judge.attribution import KINDS

    plan = evidence.plan
    out = sys.stdout if sys.stdout.isatty() else sys.stderr  # a pipe gets rows only
    print(f"{visible(plan.title)} [{plan.profile}]: effects on {visible(evidence.metric)}", file=out)
    for note in found.notes:
        print(f"note: {visible(note)}.", file=out)
    sampled = any(effect.error is not None for effect in found.effects)
    rows = []
    for effect in found.effects:
        low, high = effect.interval or (None, None)
        numbers = [effect.mean, low, high, len(effect.values), *([effect.error] if sampled else [])]
        rows.append([KINDS[effect.kind], " x ".join(effect.parts), *numbers])
    names = ("effect", "low", "high", "seeds", *(["sampling error"] if sampled else []))
    print_table(
        [Column("kind", least=11), Column("part", least=12), *(Column(name, right=True) for name in names)], rows
    )
