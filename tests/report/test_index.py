import re
from pathlib import Path
from typing import Any

import pytest

from ablate.judge import study as judge
from ablate.records.files import Results
from ablate.records.plans import save_plan
from ablate.report.html import page_name
from ablate.report.index import write_index
from ablate.report.page import write_report
from tests.judge.test_verdict import CLEAR, write_results, write_study
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


def test_a_study_has_a_row_for_each_profile_with_how_far_it_is(tmp_path: Path) -> None:
    page = write_index(two_studies(tmp_path), tmp_path / "reports", SUITES).read_text()
    rows = rows_of(page, "studies")
    assert [re.search(r"(\d+ of \d+(?: , \d+ \w+)?)", row)[1] for row in rows] == [  # type: ignore[index]
        "8 of 9 , 1 failed", "9 of 9", "9 of 9",
    ]  # fmt: skip
    assert ["embedded" in row for row in rows] == [True, True, False]


def test_a_claim_has_one_row_with_its_verdict_at_each_profile(tmp_path: Path) -> None:
    (row,) = rows_of(write_index(two_studies(tmp_path), tmp_path / "reports").read_text(), "claims")
    assert row.startswith("mine A1 : The nonlinear head is the best. section 4.2")
    assert row.count("supported") == 2


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


def test_what_was_read_for_a_page_is_not_judged_again_for_the_index(
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


def test_a_study_that_cannot_be_shown_is_told_and_does_not_hide_the_others(tmp_path: Path) -> None:
    results = two_studies(tmp_path)
    broken = {"study": "broken", "profile": "embedded", "design": "d", "title": "t", "question": "q", "cases": []}
    broken |= {"axes": [], "trials": [{"key": "ff", "seed": 0, "axes": {}, "case": None}]}
    save_plan(results, "broken", broken | {"reference": {"table": "fig5_augmentation_composition", "value": "no"}})
    page = write_index(results, tmp_path / "reports").read_text()
    assert "broken, embedded</strong> cannot be shown" in page
    assert len(rows_of(page, "studies")) == 3


def test_the_index_needs_nothing_but_itself_and_shows_hostile_text_as_text(tmp_path: Path) -> None:
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
