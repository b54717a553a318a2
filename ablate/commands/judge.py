"""`ablate judge` and `noise`: the verdict on each claim of a study, and how far its results vary between seeds."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.commands.options import Json, RecordedProfile, ResultsFolder, StudyName, results_in
from ablate.errors import visible

if TYPE_CHECKING:
    from ablate.judge.described import Describer
    from ablate.judge.statistics.decide import Decision
    from ablate.judge.study import Judged
    from ablate.judge.verdict import Verdict

REFUTED = 3
"""Exit code if a required claim is refuted."""


def judge(
    study: StudyName,
    profile: RecordedProfile = None,
    sequential: Annotated[
        bool, typer.Option("--sequential", help="Use a test that stays valid under optional stopping.")
    ] = False,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Test a study's claims against its results. Exit code 3 if a required claim is refuted."""
    from ablate.commands.output import print_json
    from ablate.judge.described import Describer
    from ablate.judge.study import judge_study
    from ablate.workflow.overview import check_is_study, recorded_profile

    check_is_study(study)
    records = results_in(results)
    judged = judge_study(records, study, recorded_profile(records, study, profile), sequential)
    if json:
        print_json(_as_json(judged, Describer(judged.evidence, records)))
    else:
        _print(judged)
    if any(verdict.state == "refuted" and verdict.claim.required for verdict in judged.verdicts):
        raise typer.Exit(REFUTED)


def _print(judged: "Judged") -> None:
    from rich.padding import Padding
    from rich.text import Text

    from ablate.judge import wording
    from ablate.records.plain import LONGEST, console

    plan = judged.plan
    out = sys.stdout if sys.stdout.isatty() else sys.stderr  # a pipe gets rows only
    print(f"{visible(plan.title, LONGEST)} [{plan.profile}]: {judged.summary or 'no claims defined'}", file=out)
    if not judged.verdicts:
        return
    sentences = [f"{judged.scale}."] if judged.scale else []
    for sentence in (*sentences, wording.method(judged), *(f"Caution: {each}." for each in judged.cautions)):
        print(sentence, file=out)
    if not sys.stdout.isatty():
        _print_plain(judged)
        return
    terminal = console()
    for verdict in judged.verdicts:
        terminal.print(Text(f"\n{verdict.claim.id}: {verdict.label}", style="bold"))
        for line in _lines(verdict, of_paper=judged.scale is not None):
            terminal.print(Padding(Text(line), (0, 0, 0, 4)))


def _lines(verdict: "Verdict", of_paper: bool) -> Iterator[str]:
    """The lines that a terminal shows for a verdict."""
    from ablate.judge import wording

    claim = verdict.claim
    notes = ", ".join(filter(None, (claim.source, "required" if claim.required else "")))
    yield f"{claim.text} ({notes})" if notes else claim.text
    yield wording.numbers(verdict) if verdict.decision else verdict.reason
    yield from verdict.notes
    if of_paper:
        yield wording.on_paper(verdict)


def _print_plain(judged: "Judged") -> None:
    from ablate.records.plain import line

    numbers = ["effect", "low", "high", "bound", "p", "adjusted_p", "seeds", "more_seeds", "more_seeds_most"]
    print(line(["claim", "state", *numbers, "compared"]))
    for verdict in judged.verdicts:
        decision = verdict.decision
        if decision is None:
            print(line([verdict.claim.id, verdict.state, *[None] * 9, verdict.reason]))
            continue
        low, high = decision.interval or (None, None)
        of_test = [decision.effect, low, high, decision.bound, decision.p, decision.adjusted_p]
        rest = [decision.seeds, *(decision.more_seeds or (None, None)), decision.compared]
        print(line([verdict.claim.id, verdict.label, *of_test, *rest]))


def _as_json(judged: "Judged", describer: "Describer") -> dict[str, Any]:
    from ablate.judge.baseline import baseline_title, differences
    from ablate.judge.comparison_rows import numbers_of
    from ablate.study.claims import plain_claim

    return {
        "study": judged.plan.study,
        "profile": judged.plan.profile,
        "scale": judged.scale,
        "sequential": judged.sequential,
        "cautions": judged.cautions,
        "baseline": baseline_title(judged.plan),
        "differences": [
            {"cell": cell.label, **each.plain()}
            for cell, each in zip(judged.cells, differences(judged.plan, judged.cells), strict=True)
            if each
        ],
        "verdicts": [
            {
                **plain_claim(verdict.claim),
                "state": verdict.state,
                "label": verdict.label,
                "reason": verdict.reason or None,
                "notes": verdict.notes,
                "decision": _plain(verdict.decision),
                "open_cells": [judged.cells[number].label for number in sorted(verdict.open_cells)],
                "comparisons": [numbers_of(each) for each in describer.describe(verdict)],
                "paper": verdict.paper,
            }
            for verdict in judged.verdicts
        ],
    }


def _plain(decision: "Decision | None") -> dict[str, Any] | None:
    """The fields of a decision but those that are shown beside it."""
    if decision is None:
        return None
    return {name: value for name, value in vars(decision).items() if name not in ("comparisons", "open_cells")}


def noise(
    study: StudyName,
    effect: Annotated[
        list[float], typer.Option(metavar="SIZE", help="A difference to find, in units of the metric; may be repeated.")
    ] = [],
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="Default: the study's metric.")] = None,
    profile: RecordedProfile = None,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Print the noise from seed to seed, and the seeds that an effect of a given size needs."""
    from ablate.commands.output import print_json
    from ablate.judge.noise import noise_of_study, seeds_for
    from ablate.workflow.overview import check_is_study, recorded_profile

    check_is_study(study)
    records = results_in(results)
    found = noise_of_study(records, study, recorded_profile(records, study, profile), metric)
    effects = [seeds_for(each, found) for each in effect or found.example_effects]
    if json:
        print_json({**found.plain, "effects": [vars(each) for each in effects]})
        return
    cells = f"{found.cells} cells with two seeds or more" if found.cells > 1 else "one cell with two seeds or more"
    print(f"{visible(found.metric)}: standard deviations over seeds, of {cells}, with 95 % intervals")
    for name, each in (("of a cell", found.of_cell), ("of a difference with the same seeds", found.of_difference)):
        print(f"{name}: {each.text if each else 'no two cells share two seeds'}")
    print(f"most noise: {visible(found.largest[0])}, {found.largest[1]:.3g}")
    for needed in effects:
        print(needed.text)
