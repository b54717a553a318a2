from typing import Any

import pytest

from ablate.judge.evidence import CellTrial, Evidence, MeasuredCell
from ablate.judge.study import Judged
from ablate.records.plan_file import parse_plan
from ablate.report.omissions import omissions
from ablate.report.thinning import MOST_CELLS, MOST_TRIALS, SHOWN_CELLS, SHOWN_TRIALS, thinned
from ablate.study.cells.cell import Cell


def judged(cells: int, seeds: int, failed: int | None = None) -> Judged:
    """A study whose cell n has the value n; of the failed cell, the last seed failed."""
    record: dict[str, Any] = {"study": "it's large", "profile": "embedded", "design": "d", "axes": [], "cases": []}
    measured, trials = [], []
    for number in range(cells):
        done = seeds - (number == failed)
        values = {seed: {"top1": float(number)} for seed in range(done)}
        cell = Cell({"x": number}, None)
        measured.append(MeasuredCell(cell, f"{number}", f"{number}", numbers=values, asked=tuple(range(seeds))))
        for seed in range(seeds):
            state, value = ("done", float(number)) if seed < done else ("failed", None)
            about = (value, None, 1.0, None, None, "001-local", "a:b", 1)
            trials.append(CellTrial(number, seed, f"{number}-{seed}", state, *about))
    plan = parse_plan(record | {"trials": []})
    return Judged(Evidence(plan, tuple(measured), tuple(trials)), (), False, (), None)


@pytest.mark.parametrize(("cells", "seeds"), [(3, 2), (MOST_CELLS, MOST_TRIALS // MOST_CELLS), (1, MOST_TRIALS)])
def test_a_study_of_usual_size_is_shown_whole(cells: int, seeds: int) -> None:
    study = judged(cells, seeds)
    shown = thinned(study)
    assert (shown.judged, shown.places, shown.note) == (study, None, "")


@pytest.mark.parametrize(("cells", "seeds"), [(MOST_CELLS + 1, 1), (2000, 5), (SHOWN_CELLS, 40), (1, MOST_TRIALS + 1)])
def test_a_large_study_shows_its_extremes_and_says_what_is_left_out(cells: int, seeds: int) -> None:
    shown = thinned(judged(cells, seeds))
    evidence = shown.judged.evidence
    assert len(evidence.cells) == min(cells, SHOWN_CELLS)
    assert len(evidence.trials) <= SHOWN_TRIALS
    assert {trial.cell for trial in evidence.trials} == set(range(len(evidence.cells)))
    assert [evidence.cells[trial.cell].mean for trial in evidence.trials] == [trial.value for trial in evidence.trials]
    assert {cell.title for cell in (evidence.cells[0], evidence.cells[-1])} == {"0", f"{cells - 1}"}
    assert len(shown.logged.trials) == len(evidence.cells) * seeds
    assert f"of {cells:,} cell" in shown.note
    assert f"of {cells * seeds:,} trials" in shown.note
    assert shown.query == """ablate query 'SELECT * FROM "it'"'"'s large" WHERE profile = '"'"'embedded'"'"''"""


def test_a_cell_with_a_failure_is_shown_with_its_failed_trial_and_keeps_its_number() -> None:
    study = judged(1000, 20, failed=500)
    shown = thinned(study)
    found = shown.of(omissions(study.evidence))
    (trial,), (short,) = found.failed, found.short
    evidence = shown.judged.evidence
    assert (trial.key, short.states) == ("500-19", "19 done, 1 failed")
    assert evidence.cells[trial.cell] is evidence.cells[short.number] is short.cell
