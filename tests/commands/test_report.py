"""`ablate report` and `compare`: what is written where, and watching."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ablate.cli import app
from ablate.errors import UserError
from ablate.records.attempt import AttemptWriter
from ablate.records.files import Results, write_json
from ablate.workflow.pages import PageRequest
from ablate.workflow.watch import Watch
from tests.records.by_hand import key_of, write_plan, write_trial


def call(*arguments: str) -> list[str]:
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """`mine` at two profiles and `other` at one: a done trial each."""
    monkeypatch.chdir(tmp_path)
    found = Results(Path("results"))
    for number, (study, profile) in enumerate([("mine", "embedded"), ("mine", "small"), ("other", "embedded")]):
        write_trial(found, key_of(number))
        plan(found, {key_of(number): {"x": 1}}, study, profile)
    return found


def plan(results: Results, cells: dict[str, dict[str, int]], study: str = "mine", profile: str = "embedded") -> None:
    write_plan(results, cells, study, profile)
    path = sorted((results.root / "studies" / study).glob("plan-*.json"))[-1]
    path.write_text(path.read_text().replace('"profile"', f'"study": "{study}",\n "question": "q",\n "profile"', 1))


def test_without_a_name_every_study_has_a_page_at_every_profile_and_the_index_is_last(results: Results) -> None:
    assert call("report") == [
        "reports/mine.html",
        "reports/mine-small.html",
        "reports/other.html",
        "reports/index.html",
    ]


def test_several_studies_may_be_named_and_a_profile(results: Results) -> None:
    assert call("report", "other", "mine") == ["reports/other.html", "reports/mine.html", "reports/index.html"]
    assert call("report", "--profile", "small") == ["reports/mine-small.html", "reports/index.html"]


def test_formats_are_repeated_or_joined_by_commas_and_the_page_is_only_one_of_them(results: Results) -> None:
    written = call("report", "mine", "--format", "md,csv", "--format", "pdf")
    assert written[:3] == [f"reports/mine/{name}" for name in ("tables.md", "cells.csv", "claims.csv")]
    assert all(name.endswith(".pdf") for name in written[3:])
    assert not Path("reports/mine.html").exists()
    assert not Path("reports/index.html").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("report", "min"), "results has no records of a study 'min'; did you mean 'mine'"),
        (("report", "--profile", "large"), "results has no records at the profile 'large'"),
        (("report", "mine", "--format", "doc"), "unknown format 'doc'"),
        (("report", "--results", "nowhere"), "there is no results folder nowhere"),
        (("compare", "results", "nowhere"), "there is no results folder nowhere"),
    ],
)
def test_a_mistake_is_told(results: Results, arguments: tuple[str, ...], told: str) -> None:
    with pytest.raises(UserError, match=told):
        call(*arguments)


def test_a_comparison_goes_beside_the_later_records(results: Results) -> None:
    assert call("compare", "results", "results", "mine") == ["reports/compare.html"]


def running(results: Results, key: str) -> AttemptWriter:
    """A trial under way in this process."""
    write_json(results.trial(key).trial, {"key": key, "pretrain_key": key, "config": {"seed": 0}})
    writer = AttemptWriter(results.trial(key).new_attempt("local"))
    writer.event("started", host="elsewhere", pid=1)
    (writer.path / "heartbeat").touch()
    return writer


def watched(results: Results, sleep: Callable[[float], None]) -> Watch:
    request = PageRequest(results, Path("reports"), ["mine"])
    return Watch(request, request.targets(), sleep=sleep, now=time.monotonic)


def test_a_watched_page_is_written_again_as_trials_end_and_the_last_does_not_reload(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = key_of(0), key_of(7)
    plan(results, {first: {"x": 1}, second: {"x": 2}})
    writer = running(results, second)
    pages: list[str] = []

    def then(_: float) -> None:
        pages.append(Path("reports/mine.html").read_text())
        assert len(pages) < 5
        if len(pages) == 1:
            write_json(results.trial(second).result, {"key": second, "attempt": writer.path.name, "top1": 1.0})
            writer.event("ended", state="done")

    watch = watched(results, then)
    assert list(map(str, watch.run())) == ["reports/mine.html", "reports/index.html"]
    writer.close()
    assert 'id="reload"' in pages[0]
    assert 'id="reload"' not in Path("reports/mine.html").read_text()
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["1 of 2 done, 1 running", "2 of 2 done"]


def test_a_page_of_which_no_record_changed_is_not_written_again(results: Results) -> None:
    plan(results, {key_of(0): {"x": 1}, key_of(7): {"x": 2}})
    writer, times = running(results, key_of(7)), []

    def then(_: float) -> None:
        times.append(Path("reports/mine.html").stat().st_mtime_ns)
        if len(times) == 3:
            raise KeyboardInterrupt

    watched(results, then).run()  # Ctrl-C ends it without an error
    writer.close()
    assert len(set(times)) == 1


def test_watching_what_nobody_runs_ends_by_itself(results: Results) -> None:
    plan(results, {key_of(0): {"x": 1}, key_of(7): {"x": 2}})  # the second is new
    naps: list[float] = []
    watched(results, naps.append).run()
    assert 0 < len(naps) < 30


@pytest.mark.parametrize("command", [("report",), ("compare", "results", "results")])
def test_a_file_where_the_folder_of_pages_belongs_is_an_error_of_the_command_line(
    results: Results, command: tuple[str, ...]
) -> None:
    Path("pages").write_text("")
    with pytest.raises(UserError, match="cannot write pages in pages: pages is not a folder"):
        call(*command, "--reports", "pages")
