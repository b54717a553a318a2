import csv
import json
from pathlib import Path

import pytest

from ablate.api.results import StudyResults
from ablate.commands.output import _print_wide_table, print_json, print_rows
from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.query import export_study, run_query
from ablate.records.sql import column_names
from ablate.records.tables import VIEW
from ablate.report.reading import read_study
from tests.records.by_hand import key_of, write_plan, write_trial

KEY = key_of(1)
TOP1 = "(numbers ->> 'top1')::DOUBLE AS top1"
A, B = key_of(1), key_of(2)
SHARED = ["in every row: study mine, seed 0"]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    write_trial(Results(tmp_path), KEY, numbers={"top1": 100 / 3, "told": "a\tb\nc"})
    return Results(tmp_path)


def test_a_pipe_gets_every_digit_and_one_line_per_row(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(
        run_query(results, f"SELECT {TOP1}, numbers ->> 'told' AS told, NULL AS nothing, true AS yes FROM trials")
    )
    assert capsys.readouterr().out == f"top1\ttold\tnothing\tyes\n{100 / 3!r}\ta\\tb\\nc\t\tTrue\n"


def test_json_keeps_types_and_opens_json_columns(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    print_json(run_query(results, f"SELECT key, {TOP1}, numbers, 'nan'::DOUBLE AS none FROM trials").objects())
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["key"], row["top1"], row["none"]) == (KEY, 100 / 3, None)
    assert row["numbers"]["told"] == "a\tb\nc"


def test_a_query_without_rows_is_an_empty_list_of_json(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    print_json(run_query(results, "SELECT * FROM trials WHERE false").objects())
    assert json.loads(capsys.readouterr().out) == []


def test_a_wrong_query_names_the_tables(results: Results) -> None:
    with pytest.raises(UserError, match="help: tables and views are: attempts, cells, metrics, trials"):
        run_query(results, "SELECT * FROM trails")


def test_a_wrong_column_is_answered_with_the_columns_of_the_tables_in_the_query(results: Results) -> None:
    write_plan(results, {KEY: {"size": 1}})
    with pytest.raises(UserError) as caught:
        run_query(results, "SELECT topp FROM mine")
    columns = "study, profile, case, size, seed, key, state, value, top1, told, seconds"
    assert str(caught.value).endswith(f"help: columns of mine are: {columns}")


ODD = ("seconds", "key", "KEY", "attempt", "state", "value", "mean", "trials", "size", "study", "metric.key", "a/b",
       "a~b", "~0", "it's", 'say "x"', "ünï\N{SNOWMAN}", "", " ", "*", "$.x", "[0]", "a\nb", "loss", "Loss",
       "true")  # fmt: skip


@pytest.mark.parametrize("metric", ["seconds", "KEY", "value", "a~b", 'say "x"', " "])
def test_numbers_of_any_name_are_exported_as_they_were_returned(tmp_path: Path, metric: str) -> None:
    results = Results(tmp_path / "results")
    for number, key in enumerate((A, B)):
        numbers = {name: 100.0 * number + place + 0.25 for place, name in enumerate(ODD)}
        numbers |= {"lost": None, "count": 2**40 + number, "flag": number == 0, "note": f"n{number}", "list": [1, None]}
        write_trial(results, key, numbers=numbers | ({"late": 2**63} if number else {}))
    write_plan(results, {A: {"size": 1}, B: {"size": 2}}, metric=metric)
    export_study(results, "mine", "json", None, tmp_path / "rows.json")
    export_study(results, "mine", "csv", None, tmp_path / "rows.csv")
    exported = json.loads((tmp_path / "rows.json").read_text())
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    frames = (StudyResults("mine", None, results).pl().to_dicts(), StudyResults("mine", None, results).df())
    for row, texts, from_polars, (_, from_pandas) in zip(exported, table, frames[0], frames[1].iterrows(), strict=True):
        record = json.loads(results.trial(row["key"]).result.read_text())
        _, columns = column_names(VIEW, ["size"], [metric, *sorted(record["metrics"].keys() - {metric})])
        assert (row["seconds"], row["value"]) == (record["seconds"], record["metrics"][metric])
        for name, value in record["metrics"].items():
            assert row[columns[name]] == value, name
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                assert float(texts[columns[name]]) == from_polars[columns[name]] == from_pandas[columns[name]] == value
    assert [row["late"] for row in exported] == [None, 2**63]


def test_an_axis_may_have_the_name_of_what_its_trainer_returns(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_trial(results, A, numbers={"top1": 50.5, "loss": 0.25, "images": "synthetic"})
    write_plan(results, {A: {"top1": 1, "loss": "nt_xent", "images": 64}}, metric="top1")
    columns = 'top1, loss, images, value, "metric.top1", "metric.loss", "metric.images"'
    rows = run_query(results, f"SELECT {columns} FROM mine").rows
    assert rows == [(1, "nt_xent", 64, 50.5, 50.5, 0.25, "synthetic")]
    assert [trial.value for trial in read_study(results, "mine", None).measured.trials] == [50.5]


@pytest.mark.parametrize("returned", ["0.75", True, None, [0.75], {"a": 1}])
def test_what_is_not_a_number_is_not_the_value_of_a_trial(tmp_path: Path, returned: object) -> None:
    write_trial(Results(tmp_path), A, numbers={"score": returned, "loss": 1.0})
    write_plan(Results(tmp_path), {A: {"size": 1}}, metric="score")
    assert run_query(Results(tmp_path), "SELECT state, value, loss FROM mine").rows == [("done", None, 1.0)]
    assert read_study(Results(tmp_path), "mine", None).measured.trials[0].value is None


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (90, [f"study  seed  {'key':<64}  top1", f"mine      0  {A}    50", f"mine      0  {B}  60.5"]),
        (60, [f"study  seed  {'key':<41}  top1", f"mine      0  {A[:40]}…    50", f"mine      0  {B[:40]}…  60.5"]),
        (30, [*SHARED, f"{'key':<24}  top1", f"{A[:23]}…    50", f"{B[:23]}…  60.5"]),
        (14, [*SHARED, "", f"key   {A}", "top1  50", "", f"key   {B}", "top1  60.5"]),
    ],
)
def test_a_narrow_terminal_prints_shared_values_once_and_loses_no_column(
    width: int, lines: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    _print_wide_table(["study", "seed", "key", "top1"], [("mine", 0, A, 50.0), ("mine", 0, B, 60.5)])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == lines
