import json
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.query import _print_table, print_query
from tests.records.by_hand import key_of, write_trial

KEY = key_of(1)
A, B = key_of(1), key_of(2)
SHARED = ["in every row: study mine, seed 0"]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    write_trial(Results(tmp_path), KEY, numbers={"top1": 100 / 3, "told": "a\tb\nc"})
    return Results(tmp_path)


def test_a_pipe_gets_every_digit_and_one_line_a_row(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    print_query(results, "SELECT top1, numbers ->> 'told' AS told, NULL AS nothing, true AS yes FROM trials")
    assert capsys.readouterr().out == f"top1\ttold\tnothing\tyes\n{100 / 3!r}\ta\\tb\\nc\t\tTrue\n"


def test_json_keeps_types_and_opens_json_columns(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    print_query(results, "SELECT key, top1, numbers, 'nan'::DOUBLE AS none FROM trials", as_json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["key"], row["top1"], row["none"]) == (KEY, 100 / 3, None)
    assert row["numbers"]["told"] == "a\tb\nc"


def test_a_query_without_rows_is_an_empty_list_of_json(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    print_query(results, "SELECT * FROM trials WHERE false", as_json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_a_wrong_query_names_the_tables(results: Results) -> None:
    with pytest.raises(UserError, match="help: tables and views are: attempts, cells, metrics, trials"):
        print_query(results, "SELECT * FROM trails")


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (90, [f"study  seed  {'key':<64}  top1", f"mine      0  {A}    50", f"mine      0  {B}  60.5"]),
        (60, [f"study  seed  {'key':<41}  top1", f"mine      0  {A[:40]}…    50", f"mine      0  {B[:40]}…  60.5"]),
        (30, [*SHARED, f"{'key':<24}  top1", f"{A[:23]}…    50", f"{B[:23]}…  60.5"]),
        (14, [*SHARED, "", f"key   {A}", "top1  50", "", f"key   {B}", "top1  60.5"]),
    ],
)
def test_a_terminal_too_narrow_for_a_row_says_once_what_all_share_and_loses_no_column(
    width: int, lines: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    _print_table(["study", "seed", "key", "top1"], [("mine", 0, A, 50.0), ("mine", 0, B, 60.5)])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == lines
