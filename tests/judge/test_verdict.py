"""Verdicts on studies written by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablate.judge import wording
from ablate.judge.study import judge_study
from ablate.records.files import Results
from ablate.records.plans import load_plans, save_plan
from ablate.study.load import load_study
from tests.records.by_hand import key_of, save_record, write_trial

STUDY = """
name = "mine"
title = "Mine"
question = "Which?"

[axes.head]
setting = "head.name"
values = ["none", "linear", "nonlinear"]

[[claims]]
id = "A1"
text = "The nonlinear head is the best."
source = "section 4.2"
kind = "best"
is = "head == 'nonlinear'"
required = true
"""


def write_study(folder: Path, more: str = "", text: str = STUDY) -> Path:
    path = folder / "mine.toml"
    path.write_text(text + more)
    return path


def write_results(
    folder: Path, path: Path, values: dict[str, list[float]], profile: str = "embedded", **more: Any
) -> Results:
    """A plan of the study as a run writes it, and a done trial for each value, one a seed."""
    results, trials = Results(folder / "results"), []
    for place, (head, tops) in enumerate(values.items()):
        for seed, top1 in enumerate(tops):
            key = key_of(100 * place + seed)
            write_trial(results, key, numbers={"top1": top1})
            trials.append({"key": key, "seed": seed, "axes": {"head": head}, "case": None})
    axes = [{"name": "head", "values": list(values), "label": None}]
    study = load_study(str(path)).study
    claims = [claim.model_dump(mode="json", by_alias=True, exclude_unset=True) for claim in study.claims]
    about = {"profile": profile, "design": "d", "title": "Mine", "question": "Which?", "metric": "top1", "axes": axes}
    said = {"claims": claims, "references": [], "paper_profile": "imagenet", "file": {"path": str(path)}}
    save_record(results, "mine", {"study": "mine", **about, **said, "cases": [], "trials": trials, **more})
    return results


CLEAR = {"none": [40.0, 41.0, 40.5], "linear": [45.0, 45.8, 45.5], "nonlinear": [60.0, 60.9, 60.4]}


def test_a_clear_order_is_a_verdict_at_three_seeds_and_says_at_what_scale(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    judged = judge_study(write_results(tmp_path, path, CLEAR), str(path))
    (verdict,) = judged.verdicts
    assert verdict.state == verdict.label == "supported"
    assert verdict.decision is not None
    assert verdict.decision.compared == "nonlinear - linear"
    assert verdict.decision.effect == pytest.approx(15.0)
    assert "At the profile embedded, which is not the paper's scale (imagenet)" in judged.scale
    assert "values are not comparable with the paper's" in judged.scale
    assert judged.cautions == ()


def test_one_seed_points_to_an_answer_and_is_no_verdict(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    judged = judge_study(write_results(tmp_path, path, {head: tops[:1] for head, tops in CLEAR.items()}), str(path))
    (verdict,) = judged.verdicts
    assert verdict.state == "undecided"
    assert verdict.label == "points to supported"
    assert judged.summary == "1 pointing to supported"
    assert verdict.decision is not None
    assert verdict.decision.more_seeds == (2, 2)


def test_missing_results_are_told_and_counted(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    results = write_results(tmp_path, path, CLEAR)
    (results.trial(key_of(100)).result).unlink()
    (results.trial(key_of(101)).result).unlink()
    (results.trial(key_of(102)).result).unlink()
    (verdict,) = judge_study(results, str(path)).verdicts
    assert verdict.state == "not measured"
    assert verdict.reason == "1 of its 3 cells has no result"


def test_a_value_of_the_paper_is_judged_at_the_papers_scale_only(tmp_path: Path) -> None:
    value = """
[[claims]]
id = "H1"
text = "It reaches the published value."
source = "Table 6"
kind = "at_least"
value = 50
profiles = ["imagenet"]
"""
    path = write_study(tmp_path, value)
    here = judge_study(write_results(tmp_path, path, CLEAR), str(path)).verdicts[1]
    assert (here.state, here.reason) == ("not judged here", "it applies to the profile imagenet only")
    results = write_results(tmp_path, path, CLEAR, profile="imagenet")
    judged = judge_study(results, str(path), "imagenet")
    assert judged.scale == "At the paper's own scale (imagenet)"
    assert judged.verdicts[1].state == "refuted"


def test_a_margin_counts_as_it_stands_for_a_trainer_that_is_not_of_the_paper(tmp_path: Path) -> None:
    path = write_study(tmp_path, text=STUDY.replace("required = true", "margin = 20"))
    of_paper = judge_study(write_results(tmp_path, path, CLEAR), str(path))
    (own := tmp_path / "own").mkdir()
    not_of_paper = judge_study(write_results(own, path, CLEAR, trainer="mine:train"), str(path))
    assert [judged.verdicts[0].state for judged in (of_paper, not_of_paper)] == ["supported", "refuted"]
    assert not_of_paper.scale is None


def test_cells_that_a_run_left_out_are_told_since_the_best_is_one_of_the_others(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    two = {head: tops for head, tops in CLEAR.items() if head != "none"}
    (caution,) = judge_study(write_results(tmp_path, path, two), str(path)).cautions
    assert caution == "1 of the study's 3 cells were not run; claims are judged on the others"


def test_a_claim_that_compares_with_the_paper_is_not_told_to_be_without_its_numbers(tmp_path: Path) -> None:
    value = """
[[claims]]
id = "V"
text = "It is the published value."
source = "Fig. 8"
kind = "value"
margin = 1

[reference]
table = "fig8_projection_head"
label = "Fig. 8"
where.out_dim = 2048
"""
    path = write_study(tmp_path, value)
    order, compared = judge_study(write_results(tmp_path, path, CLEAR), str(path)).verdicts
    assert wording.on_paper(order).startswith("holds on the paper's numbers: ")
    assert wording.on_paper(compared) == "compares with the paper by definition"


def test_claims_that_were_changed_after_the_run_are_judged_with_a_caution(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    results = write_results(tmp_path, path, CLEAR)
    write_study(tmp_path, text=STUDY.replace("is = \"head == 'nonlinear'\"", "is = \"head == 'none'\""))
    judged = judge_study(results, "mine")
    assert judged.verdicts[0].state == "refuted"
    assert "claims were edited after the last run" in judged.cautions[0]


def test_a_file_that_varies_something_else_now_leaves_the_claims_of_the_run(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    results = write_results(tmp_path, path, CLEAR)
    write_study(tmp_path, text=STUDY.replace("axes.head]", "axes.top]").replace("head ==", "top =="))
    judged = judge_study(results, "mine")
    assert judged.verdicts[0].state == "supported"
    assert "changed its axes or cases" in judged.cautions[0]
    path.unlink()
    assert judge_study(results, "mine").verdicts[0].state == "supported"


def test_a_run_that_added_seeds_until_claims_were_decided_is_judged_by_its_looks(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    close = {"none": [40.0, 41.0, 40.5], "linear": [59.0, 60.3, 59.2], "nonlinear": [60.0, 60.9, 60.4]}
    results = write_results(tmp_path, path, close, sequential=True)
    judged = judge_study(results, "mine")
    assert judged.sequential
    assert judged.verdicts[0].decision is not None
    save_plan(results, replace(load_plans(results, "mine")[-1], sequential=False))
    assert judge_study(results, "mine").sequential  # whoever looked once has looked
    (other := tmp_path / "other").mkdir()
    plain = judge_study(write_results(other, write_study(other), close), "mine").verdicts[0].decision
    assert plain is not None
    assert plain.adjusted_p is not None
    # The first of seven looks up to 30 seeds spends ln(1 + (e - 1) / 10) of the level, less 13 % for t statistics.
    assert judged.verdicts[0].decision.adjusted_p == pytest.approx(plain.adjusted_p * 1.13 / 0.158565, rel=1e-2)


def test_a_margin_that_does_not_count_here_is_told_with_the_verdict(tmp_path: Path) -> None:
    parts = """
[[claims]]
id = "A2"
text = "It is much better than both."
source = "section 4.2"
kind = "all"

[[claims.parts]]
kind = "greater"
left = "head == 'nonlinear'"
right = "head == 'linear'"
margin = 2

[[claims.parts]]
kind = "greater"
left = "head == 'nonlinear'"
right = "head == 'none'"
margin = 30
"""
    path = write_study(tmp_path, parts, STUDY.replace("required = true", "margin = 5"))
    one, two = judge_study(write_results(tmp_path, path, CLEAR), str(path)).verdicts
    assert one.notes == ("order only: the margin of 5 applies at the paper's scale",)
    assert two.notes == ("order only: the margins of 2 and 30 apply at the paper's scale",)
    at_papers = judge_study(write_results(tmp_path, path, CLEAR, profile="imagenet"), str(path), "imagenet")
    assert [verdict.notes for verdict in at_papers.verdicts] == [(), ()]


def test_seeds_that_only_some_cells_have_are_told_with_the_cells_that_lack_them(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    results = write_results(tmp_path, path, CLEAR)
    results.trial(key_of(101)).result.unlink()  # of linear, the second seed
    (verdict,) = judge_study(results, str(path)).verdicts
    assert verdict.notes == ("seed 1 is left out of comparisons with 'linear', which has no result for it",)
    assert verdict.decision is not None
    assert verdict.decision.seeds == 2
    (watched,) = judge_study(results, str(path), sequential=True).verdicts
    assert watched.notes[-1] == "looks use seeds in order and wait for seed 1"
    results.trial(key_of(1)).result.unlink()
    results.trial(key_of(201)).result.unlink()
    (verdict,) = judge_study(results, str(path)).verdicts
    assert verdict.notes == ()


def test_seeds_that_a_cell_was_not_asked_for_are_told_unless_they_are_added_to_undecided_claims(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    fewer = {head: tops if head != "none" else tops[:1] for head, tops in CLEAR.items()}
    results = write_results(tmp_path, path, fewer)
    (verdict,) = judge_study(results, str(path)).verdicts
    assert verdict.notes == ("seeds 1, 2 are left out of comparisons with 'none', for which they were not requested",)
    assert judge_study(results, str(path), sequential=True).verdicts[0].notes == ()


def test_an_alternative_without_a_result_is_told_and_could_settle_what_the_others_do_not(tmp_path: Path) -> None:
    best = STUDY.replace("is = \"head == 'nonlinear'\"", "is = \"head != 'linear'\"")
    path = write_study(tmp_path, text=best)
    results = write_results(tmp_path, path, CLEAR)
    for seed in range(3):
        results.trial(key_of(200 + seed)).result.unlink()  # of the nonlinear head
    (verdict,) = judge_study(results, str(path)).verdicts
    assert verdict.label == "undecided, leans to neither"
    assert verdict.notes == ("'nonlinear' has no result: comparisons with it count as unknown",)
    assert wording.settled_by(verdict).endswith("some results are missing")


def test_a_seed_that_arrives_late_does_not_change_an_earlier_look(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    values = {head: [tops[0], 20.0 if head == "nonlinear" else tops[1], tops[2], *tops] for head, tops in CLEAR.items()}
    results = write_results(tmp_path, path, values)
    (late := results.trial(key_of(201)).result).rename(tmp_path / "late.json")
    assert judge_study(results, str(path), sequential=True).verdicts[0].decision.p is None
    (tmp_path / "late.json").rename(late)
    (verdict,) = judge_study(results, str(path), sequential=True).verdicts
    assert (verdict.state, verdict.decision and verdict.decision.state) == ("withheld", "undecided")
    assert verdict.notes[0] == (
        "withheld because it depends on seed 1 of 'nonlinear' (20; its other seeds 60 to 60.9): undecided with, "
        "supported without it"
    )


def test_claims_that_are_not_measured_yet_pay_for_looks_and_those_of_another_scale_do_not(tmp_path: Path) -> None:
    more = """
[[claims]]
id = "A2"
text = "Another head is good."
source = "section 4.2"
kind = "at_least"
cells = "head == 'none'"
metric = "top5"
value = 1
"""
    found = []
    for name, text in (("one", ""), ("two", more), ("three", more + 'profiles = ["imagenet"]\n')):
        (folder := tmp_path / name).mkdir()
        path = write_study(folder, text)
        decision = judge_study(write_results(folder, path, CLEAR), str(path), sequential=True).verdicts[0].decision
        assert decision is not None
        found.append(decision.adjusted_p)
    assert found[1] == pytest.approx(2 * (found[0] or 0.0))
    assert found[2] == found[0]
