from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ablate.judge.evidence import Evidence
from ablate.judge.statistics.decide import Decision
from ablate.judge.study import Judged
from ablate.judge.verdict import Verdict
from ablate.report.headline import MOST_WORDS, headline
from ablate.report.reading import read_study
from ablate.study.claims import read_claims
from tests.report.test_baseline import recorded
from tests.report.test_measured import evaluated, study

BEST = {"id": "A1", "text": "Crop with color is best.", "source": "s", "kind": "best", "is": "first == 'crop'"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return read_study(study(tmp_path_factory.mktemp("headline"), evaluated()), "mine", None).measured


def decided(
    state: str, leaning: str, effect: float, compared: str = "crop, color - color, crop", **more: Any
) -> Verdict:
    fields: dict[str, Any] = {
        "seeds": 5, "bound": 0.0, "interval": None, "within": False, "p": 0.01, "adjusted_p": 0.02,
        "permutation_p": None, "more_seeds": None, "look": None, "look_at": None, "comparisons": (),
    } | more  # fmt: skip
    decision = Decision(state=state, leaning=leaning, effect=effect, compared=compared, **fields)  # type: ignore[arg-type]
    (claim,) = read_claims([BEST])
    return Verdict(claim, state, decision, "", frozenset(), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        (
            decided("undecided", "refutes", -2.6, seeds=1, p=None),
            "Probably not (1 seed): color + crop beats crop + color by 2.6 points.",
        ),
        (
            decided("undecided", "supports", 2.6, seeds=2, p=None),
            "Probably (2 seeds): crop + color beats color + crop by 2.6 points.",
        ),
        (
            decided("undecided", "supports", 2.6),
            "Undecided, probably so (5 seeds): crop + color beats color + crop by 2.6 points.",
        ),
        (
            decided("undecided", "neither", 0.0),
            "Undecided (5 seeds): crop + color equals color + crop.",
        ),
        (
            decided("refuted", "refutes", -2.6, interval=(-4.0, -1.2)),
            "Claim refuted (5 seeds): color + crop beats crop + color by 2.6 points.",
        ),
        (
            decided("supported", "supports", 6.0, bound=5.0),
            "Claim supported (5 seeds): crop + color beats color + crop by 6.0 points.",
        ),
        (
            decided("supported", "refutes", -1.0, look=3),
            "Claim supported, though later seeds disagree (5 seeds): color + crop beats crop + color by 1.0 points.",
        ),
        (
            decided("supported", "supports", 3.0, "2 of 3 hold (2 needed); a - b"),
            "Claim supported (5 seeds): 2 of 3 comparisons hold, and 2 are needed.",
        ),
    ],
)  # fmt: skip
def test_the_headline_answers_and_names_winner_loser_and_distance(
    measured: Evidence, verdict: Verdict, answer: str
) -> None:
    judged = Judged(measured, (verdict,), False, (), None)
    found = headline(measured, judged)
    assert found.answer == answer
    assert len(found.answer.split()) <= MOST_WORDS


def test_the_statistics_stand_below_the_headline(measured: Evidence) -> None:
    verdict = decided("refuted", "refutes", -2.6, interval=(-4.0, -1.2), bound=5.0)
    said = headline(measured, Judged(measured, (verdict,), False, (), None))
    assert said.kind == "refuted"
    assert said.details.startswith("(crop + color) \u2212 (color + crop): -2.6 points, 95 % limits -4.0 to -1.2, ")
    assert said.asserted == "Crop with color is best."
    assert "the claim requires more than 5 points, adjusted p 0.02" in said.details
    later = decided("supported", "refutes", -1.0, look=3)
    assert (
        "supported at 3 seeds, but all 5 lean to refuted"
        in headline(measured, Judged(measured, (later,), False, (), None)).details
    )


def test_a_headline_with_long_names_keeps_to_twenty_words(measured: Evidence) -> None:
    side = " ".join(["long"] * 9)
    verdict = decided("undecided", "supports", 2.6, f"{side} - {side} too")
    said = headline(measured, Judged(measured, (verdict,), False, (), None))
    assert said.answer == "Undecided, probably so (5 seeds): +2.6 points."
    assert f"{side} \u2212 {side} too" in said.details


def test_the_answer_says_that_synthetic_images_gave_it(measured: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Evidence, "synthetic", True)
    verdict = decided("undecided", "refutes", -2.6, seeds=1, p=None)
    expected = "Probably not (1 seed), on synthetic images: color + crop beats crop + color by 2.6 points."
    assert headline(measured, Judged(measured, (verdict,), False, (), None)).answer == expected


def test_a_study_without_claims_says_so_beside_its_best_cell(measured: Evidence) -> None:
    said = headline(measured, Judged(measured, (), False, (), None))
    assert (said.answer, said.claim) == ("Best: color + color + linear, with 53.0 % linear top-1.", None)
    assert said.details.endswith("The study makes no claims.")


def test_a_study_without_results_says_how_many_trials_finished(tmp_path: Path) -> None:
    trials = [{"axes": {"size": size}, "numbers": None} for size in (1, 2)]
    measured = read_study(study(tmp_path, trials, reference=False), "mine", None).measured
    said = headline(measured, Judged(measured, (), False, (), None))
    assert said.answer == "No results yet: 0 of 2 trials finished."


@pytest.mark.parametrize(
    ("compared", "effect", "said"),
    [
        ("full method - without color", 9.8, "leaving out color costs 9.8 points"),
        ("full method - without head", -0.6, "leaving out head gains 0.6 points"),
        ("without head - without color", 3.2, "leaving out color costs 3.2 points more than leaving out head"),
    ],
)
def test_the_headline_of_a_design_says_what_leaving_out_a_part_costs(
    tmp_path: Path, compared: str, effect: float, said: str
) -> None:
    evidence = read_study(recorded(tmp_path), "mine", None).measured
    verdict = decided("supported", "supports", effect, compared)
    assert (
        headline(evidence, Judged(evidence, (verdict,), None, (), None)).answer == f"Claim supported (5 seeds): {said}."
    )


def test_what_both_cells_share_is_left_out_of_the_headline(measured: Evidence) -> None:
    verdict = decided("supported", "supports", 4.2, "normalize, temperature = 0.1 - normalize, temperature = 0.05")
    answer = headline(measured, Judged(measured, (verdict,), None, (), None)).answer
    assert answer == "Claim supported (5 seeds): temperature = 0.1 beats temperature = 0.05 by 4.2 points."


def test_the_headline_of_a_best_cell_names_its_runner_up_and_the_details_what_decides(measured: Evidence) -> None:
    labels = {"crop, color - color, crop": 12.7, "crop, color - crop, crop": 8.5, "color, crop - crop, crop": 1.0}
    comparisons = tuple(
        SimpleNamespace(label=label, effect=effect, decides=False, metrics={"top1"}) for label, effect in labels.items()
    )
    verdict = decided("supported", "supports", 12.7, comparisons=comparisons)
    said = headline(measured, Judged(measured, (verdict,), None, (), None))
    assert said.answer == "Claim supported (5 seeds): crop + color beats crop + crop by 8.5 points."
    least = "The least certain comparison, (crop + color) \u2212 (color + crop): +12.7 points, adjusted p 0.02;"
    assert said.details.startswith(least)
    undecided = decided("undecided", "supports", 12.7, comparisons=comparisons)
    answer = headline(measured, Judged(measured, (undecided,), None, (), None)).answer
    assert answer == "Undecided, probably so (5 seeds): crop + color beats color + crop by 12.7 points."


def test_the_runner_up_of_a_lowest_cell_is_the_next_lowest_in_the_metric_that_decides(measured: Evidence) -> None:
    found = {
        "color, crop - crop, color (err)": (12.7, "err"),  # decides
        "crop, crop - crop, color (err)": (8.5, "err"),
        "color, crop - color, color (err)": (1.0, "err"),  # of a cell that is not the best
        "crop, crop - crop, color (loss)": (0.2, "loss"),
    }
    comparisons = tuple(
        SimpleNamespace(label=label, effect=effect, decides=effect == 12.7, metrics=frozenset({metric}))
        for label, (effect, metric) in found.items()
    )
    verdict = decided("supported", "supports", 12.7, next(iter(found)), comparisons=comparisons)
    (claim,) = read_claims([BEST | {"lowest": True, "metrics": ["err", "loss"]}])
    answer = headline(measured, Judged(measured, (replace(verdict, claim=claim),), None, (), None)).answer
    assert answer == "Claim supported (5 seeds): crop + crop is above crop, color (err) by 8.5."
