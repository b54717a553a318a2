import re
from pathlib import Path
from typing import Any

import pytest

from ablate.judge import study as judge
from ablate.records.files import Results
from ablate.report.formats import write_report
from ablate.report.index import error_over_all, write_index
from ablate.report.render.html import page_name
from tests.judge.test_verdict import CLEAR, write_results, write_study
from tests.records.by_hand import save_record
from tests.report.test_headline import decided
from tests.report.test_page import HOSTILE, like_the_paper, parsed, results_with

SUITES = (("all", "All of them", ("pairs", "mine", "never")),)


def two_studies(folder: Path, title: str = "Pairs") -> Results:
    """`mine`, done, with a supported claim at two profiles; `pairs`, of which one trial failed."""
    folder.mkdir(exist_ok=True)
    path = write_study(folder)
    results = write_results(folder, path, CLEAR)
    write_results(folder, path, CLEAR, profile="small")
    results_with(folder, {**like_the_paper(), ("blur", "blur"): None}, title=title)
    return results


def rows_of(page: str, caption: str) -> list[str]:
    """The rows of the table below a heading, as text."""
    table = re.search(rf'aria-labelledby="{caption}".*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    assert table, caption
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in re.findall(r"<tr.*?</tr>", table[1], re.DOTALL)]


def cards_of(page: str) -> list[str]:
    """The studies, as text."""
    return [
        " ".join(re.sub(r"<[^>]+>", " ", each).split())
        for each in re.findall(r"<article.*?</article>", page, re.DOTALL)
    ]


def test_the_card_of_a_study_without_claims_has_its_best_result_and_a_picture(tmp_path: Path) -> None:
    page = write_index(two_studies(tmp_path), tmp_path / "reports").read_text()
    card = next(each for each in re.findall(r"<article.*?</article>", page, re.DOTALL) if "Best: " in each)
    assert "Best: crop\u00a0+ color, with 56.3\u00a0% linear top-1." in card
    assert card.count("<rect") == 8
    assert len(set(re.findall(r'fill="(#\w+)"', card))) > 3


def test_a_study_has_a_row_with_its_progress_for_each_profile(tmp_path: Path) -> None:
    page = write_index(two_studies(tmp_path), tmp_path / "reports", SUITES).read_text()
    rows = cards_of(page)
    assert [re.search(r"(\d+ of \d+(?: , \d+ \w+)?)", row)[1] for row in rows] == [  # type: ignore[index]
        "8 of 9 , 1 failed", "9 of 9", "9 of 9",
    ]  # fmt: skip
    assert ["embedded" in row for row in rows] == [True, True, False]


def test_a_claim_has_one_row_with_its_verdict_at_each_profile(tmp_path: Path) -> None:
    (row,) = rows_of(write_index(two_studies(tmp_path), tmp_path / "reports").read_text(), "claims")
    assert row.startswith("mine A1 : The nonlinear head is the best. section 4.2")
    assert row.count("supported") == 2


def test_the_error_over_all_studies_counts_the_verdicts_that_would_stand_together() -> None:
    """By hand: Holm over 0.01, 0.02, 0.03, 0.04 and a withheld 0.001 gives 0.04, 0.06, 0.06, 0.06 and 0.005."""
    strong, weak = decided("supported", "supports", 3.0, p=0.01), decided("refuted", "refutes", -3.0, p=0.02)
    withheld = decided("withheld", "supports", 3.0, p=0.001)
    others = [decided("supported", "supports", 3.0, p=0.03), decided("undecided", "supports", 3.0, p=0.04)]
    text = error_over_all([[strong, weak, withheld], others, [decided("undecided", "supports", 3.0, p=None)]])
    assert text is not None
    assert "Over these 2 tables, the probability of any false verdict may be up to 10 %" in text  # 1 - 0.95^2
    assert text.endswith("1 of the 3 verdicts stand.")
    assert error_over_all([[strong, weak]]) is None


def test_a_study_is_linked_once_its_page_is_written(tmp_path: Path) -> None:
    results, reports = two_studies(tmp_path), tmp_path / "reports"
    assert "no page yet" in write_index(results, reports).read_text()
    page = write_report(results, "mine", None, reports)
    links = re.findall(r'<a href="([^"#]+)', (reports / "index.html").read_text())
    assert set(links) == {page.name}


def test_a_suite_counts_its_studies_and_names_those_that_were_not_run(tmp_path: Path) -> None:
    rows = rows_of(write_index(two_studies(tmp_path), tmp_path / "reports", SUITES).read_text(), "suites")
    assert rows[0] == "All of them embedded 1 of 3 17 of 18 \u2713 supported: 1 never"
    assert rows[1] == "All of them small 1 of 3 9 of 9 \u2713 supported: 1 pairs, never"


def test_a_study_read_for_its_page_is_not_judged_again_for_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = two_studies(tmp_path)
    judged: list[str] = []
    judge_study = judge.judge_study

    def counted(results: Results, study: str, *rest: Any, **more: Any) -> judge.Judged:
        judged.append(study)
        return judge_study(results, study, *rest, **more)

    monkeypatch.setattr(judge, "judge_study", counted)
    write_report(results, "pairs", None, tmp_path / "reports")
    assert sorted(judged) == ["mine", "mine", "pairs"]


def test_a_study_that_cannot_be_shown_is_reported_and_does_not_hide_the_others(tmp_path: Path) -> None:
    results = two_studies(tmp_path)
    broken = {"study": "broken", "profile": "embedded", "design": "d", "title": "t", "question": "q", "cases": []}
    broken |= {"axes": [], "trials": [{"key": "ff", "seed": 0, "axes": {}, "case": None}]}
    save_record(
        results,
        "broken",
        broken | {"reference": {"table": "fig5_augmentation_composition", "value": "no", "label": "Fig. 5"}},
    )
    page = write_index(results, tmp_path / "reports").read_text()
    assert "broken, embedded</strong> cannot be shown" in page
    assert len(cards_of(page)) == 3


def test_the_index_is_self_contained_and_shows_hostile_text_as_text(tmp_path: Path) -> None:
    harmless = parsed(write_index(two_studies(tmp_path / "a"), tmp_path / "a"))
    hostile = parsed(write_index(two_studies(tmp_path / "b", HOSTILE * 500), tmp_path / "b"))
    assert hostile.tags == harmless.tags
    assert harmless.loads == []


def test_two_indexes_from_the_same_records_are_the_same_bytes(tmp_path: Path) -> None:
    results = two_studies(tmp_path)
    first, second = (write_index(results, tmp_path / "reports", SUITES).read_bytes() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("study", ["index", "compare"])
def test_the_page_of_no_study_is_the_index_or_the_comparison(study: str) -> None:
    assert page_name(study, "embedded") == f"{study}-study"
