"""`ablate judge`: what the measurements say about each claim of a study."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.commands.options import Json, ResultsFolder, StudyName, results_in, scale_in

if TYPE_CHECKING:
    from ablate.judge.study import Judged
    from ablate.judge.verdict import Verdict

REFUTED = 3
"""Exit code where a required claim is refuted."""
_INDENT = 4


def judge(
    study: StudyName,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="By default embedded, or the one run last.")
    ] = None,
    sequential: Annotated[
        bool, typer.Option("--sequential", help="Verdicts that stay valid although seeds are added until they come.")
    ] = False,
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Judge the claims of a study by its results; exits with 3 where a required one is refuted."""
    from ablate.commands.suites import check_is_no_suite
    from ablate.judge.study import judge_study

    check_is_no_suite(study)
    scale = scale_in(results_in(results), study, profile)
    judged = judge_study(results_in(results), study, scale, sequential)
    if json:
        from ablate.commands.output import print_json

        print_json(_as_json(judged))
    else:
        _print(judged)
    if any(verdict.state == "refuted" and verdict.claim.required for verdict in judged.verdicts):
        raise typer.Exit(REFUTED)


def _print(judged: "Judged") -> None:
    from rich.padding import Padding
    from rich.text import Text

    from ablate.commands.output import console
    from ablate.judge import told

    plan = judged.plan
    out = sys.stdout if sys.stdout.isatty() else sys.stderr  # a pipe gets rows only
    print(f"{plan['title']} [{plan['profile']}]: {judged.summary or 'it makes no claims'}", file=out)
    if not judged.verdicts:
        return
    sentences = [f"{judged.scale}."] if judged.scale else []
    for sentence in (*sentences, told.method(judged), *(f"Caution: {each}." for each in judged.cautions)):
        print(sentence, file=out)
    if not sys.stdout.isatty():
        _print_plain(judged)
        return
    terminal = console()
    for verdict in judged.verdicts:
        terminal.print(Text(f"\n{verdict.claim.id}: {verdict.told}", style="bold"))
        for line in _lines(verdict, of_paper=judged.scale is not None):
            terminal.print(Padding(Text(line), (0, 0, 0, _INDENT)))


def _lines(verdict: "Verdict", of_paper: bool) -> Iterator[str]:
    """What a terminal shows of a verdict, line by line."""
    from ablate.judge import told

    claim = verdict.claim
    yield f"{claim.text} ({claim.source}{', required' if claim.required else ''})"
    yield told.numbers(verdict.decision) if verdict.decision else verdict.reason
    yield from verdict.notes
    if of_paper:
        yield told.on_paper(verdict)


def _print_plain(judged: "Judged") -> None:
    from ablate.records.plain import line

    print(
        line(["claim", "state", "effect", "low", "high", "bound", "p", "adjusted_p", "seeds", "more_seeds", "compared"])
    )
    for verdict in judged.verdicts:
        decision = verdict.decision
        if decision is None:
            print(line([verdict.claim.id, verdict.state, *[None] * 8, verdict.reason]))
            continue
        low, high = decision.interval or (None, None)
        numbers = [decision.effect, low, high, decision.bound, decision.p, decision.adjusted_p]
        rest = [decision.seeds, decision.more_seeds, decision.compared]
        print(line([verdict.claim.id, verdict.told, *numbers, *rest]))


def _as_json(judged: "Judged") -> dict[str, Any]:
    from ablate.study.claims import plain_claim

    return {
        "study": judged.plan["study"],
        "profile": judged.plan["profile"],
        "scale": judged.scale,
        "sequential": judged.sequential,
        "cautions": judged.cautions,
        "verdicts": [
            {
                **plain_claim(verdict.claim),
                "state": verdict.state,
                "told": verdict.told,
                "reason": verdict.reason or None,
                "notes": verdict.notes,
                "decision": verdict.decision,
                "paper": verdict.paper,
            }
            for verdict in judged.verdicts
        ],
    }
