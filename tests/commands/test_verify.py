"""`ablate verify` on pages whose records, texts or drawings were changed."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import typer

from ablate.commands.json_schema import output_schema
from ablate.commands.report import verify as command
from ablate.errors import UserError
from ablate.records.files import Results
from ablate.report.formats import write_report
from ablate.report.verify import Verified, compared, verify
from tests.records.by_hand import key_of, write_plan, write_trial

Study = tuple[Results, Path]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Records of two cells with three seeds, of which one failed, and their page."""
    return made(tmp_path_factory.mktemp("study"))


def made(folder: Path) -> Study:
    results = Results(folder / "results")
    cells = {key_of(n): {"head": ("linear", "nonlinear")[n // 3], "seed": n % 3} for n in range(6)}
    for number, key in enumerate(cells):
        failed = number == 4
        numbers = {"top1": 60.25 + 7 * number, "loss": 1.5}
        write_trial(
            results, key, "failed" if failed else "done", message="no room" if failed else None, numbers=numbers
        )
    write_plan(results, cells)
    return results, write_report(results, "mine", None, folder / "reports")


@pytest.fixture
def changed(study: Study, tmp_path: Path) -> Callable[[str, str], Verified]:
    """The page with the first of a text replaced, verified."""
    results, page = study

    def change(old: str, new: str) -> Verified:
        text = page.read_text()
        assert old in text
        other = tmp_path / page.name
        other.write_text(text.replace(old, new, 1))
        return verify(other, results.root)

    return change


def test_a_page_as_it_was_written_is_what_its_records_give(study: Study) -> None:
    verified = verify(study[1], None)
    assert verified.same
    assert verified.results == 5


def test_a_changed_value_is_told_with_its_row_and_column(changed: Callable[[str, str], Verified]) -> None:
    verified = changed(">74.25</a>", ">74.35</a>")
    (difference,) = verified.differences
    assert difference.where == "Trials, row 3 (1, linear, 2), linear top-1 (%)"
    assert (difference.page, difference.records) == ("74.35", "74.25")
    assert verified.news == ()


def test_a_changed_sentence_is_told_with_its_section(changed: Callable[[str, str], Verified]) -> None:
    (difference,) = changed(
        '<li dir="auto">Best: nonlinear, with 88.', '<li dir="auto">Best: nonlinear, with 89.'
    ).differences
    assert difference.where == "Findings"
    assert "with 89." in difference.page


def test_any_digit_that_changes_is_noticed(study: Study) -> None:
    """One digit in twenty-five of the page, and of its library for drawing a few."""
    text = study[1].read_text()
    begin = text.index('id="vega">')
    library = range(begin, text.index("</script>", begin))
    digits = [found.start() for found in re.finditer(r"\d", text)]
    chosen = [at for at in digits if at not in library][::25] + [at for at in digits if at in library][::20_000]
    unnoticed: list[str] = []
    for at in chosen:
        other = f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}"
        if compared(other, text) == ((), ()):
            unnoticed.append(text[at - 30 : at + 10])
    assert len(chosen) > 50
    assert unnoticed == []


@pytest.mark.parametrize("part", ["table", "sentence", "chart", "drawing", "manifest", "link"])
def test_a_digit_changed_in_each_kind_of_thing_is_named(study: Study, part: str) -> None:
    text = study[1].read_text()
    pattern, where = {
        "table": (r'href="#trial-3">(\d)', "Cells, row 2"),
        "sentence": (r"(\d) of 6 trials", "top of the page"),
        "chart": (r'id="spec-measured">.*?"value":\D*(\d)', "chart 'measured', datasets"),
        "drawing": (
            r'id="chart-measured".*?<path[^>]* d="\D*(\d)',
            "top of the page, the static image of chart 'measured'",
        ),
        "manifest": (r'id="manifest">.*?"trials":.*?"001-local","\D*(\d)', "the result of trial 0000"),
        "link": (r'href="[^"]*trials/(\d)', "Trials, row 1"),
    }[part]
    found = re.search(pattern, text, re.DOTALL)
    assert found is not None
    at = found.start(1)
    news, differences = compared(f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}", text)
    told = [*news, *(difference.where for difference in differences)]
    assert len(told) == 1
    assert told[0].startswith(where)


def test_a_result_that_changed_is_told_before_the_numbers_it_changed(tmp_path: Path) -> None:
    results, page = made(tmp_path)
    record = results.trial(key_of(0)).result
    record.write_text(record.read_text().replace("60.25", "61.25"))
    verified = verify(page, None)
    assert [told.partition(" changed")[0] for told in verified.news] == [f"the result of trial {key_of(0)[:12]}"]
    assert ("60.25", "61.25") in [(each.page, each.records) for each in verified.differences]


def test_a_result_that_changed_without_its_time_or_size_is_read_anew(tmp_path: Path) -> None:
    results, page = made(tmp_path)
    record = results.trial(key_of(0)).result
    before = record.stat()
    record.write_text(record.read_text().replace("60.25", "61.25"))
    os.utime(record, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not verify(page, None).same


def test_a_trial_that_came_since_is_told(tmp_path: Path) -> None:
    results, page = made(tmp_path)
    write_trial(results, key_of(4), numbers={"top1": 80.0})
    assert f"trial {key_of(4)[:12]} has finished since" in verify(page, None).news


def test_a_page_is_verified_wherever_it_and_its_records_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, page = made(tmp_path / "first")
    (tmp_path / "elsewhere").mkdir()
    moved = results.root.rename(tmp_path / "elsewhere" / "records")
    monkeypatch.chdir(tmp_path)
    assert verify(page, moved).same


@pytest.mark.parametrize("text", ["", "<p>a page</p>", '<script id="manifest">{}</script>', '<script id="manifest">['])
def test_another_file_is_no_page_of_ablate(tmp_path: Path, text: str) -> None:
    page = tmp_path / "x.html"
    page.write_text(text)
    with pytest.raises(UserError, match="not an ablate page with a manifest"):
        verify(page, None)


def test_a_page_whose_records_are_gone_asks_where_they_are(study: Study, tmp_path: Path) -> None:
    page = tmp_path / "alone" / "mine.html"
    page.parent.mkdir()
    page.write_bytes(study[1].read_bytes())
    with pytest.raises(UserError, match="no results folder") as error:
        verify(page, None)
    assert "--results DIR" in str(error.value)


def test_the_command_exits_with_one_where_something_differs_and_with_two_for_a_mistake(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, page = study
    command(page, results=results.root)
    assert "agrees with the records" in capsys.readouterr().out
    other = tmp_path / "mine.html"
    other.write_text(page.read_text().replace(">74.25</a>", ">74.35</a>"))
    with pytest.raises(typer.Exit) as ended:
        command(other, results=results.root)
    assert ended.value.exit_code == 1
    assert "the page has 74.35, the records give 74.25" in capsys.readouterr().out
    with pytest.raises(typer.Exit):
        command(other, json=True, results=results.root)
    said = json.loads(capsys.readouterr().out)
    jsonschema.validate(said, output_schema("verify"))
    assert said["same"] is False
    assert said["differences"][0]["records"] == "74.25"
    assert UserError.exit_code == 2
