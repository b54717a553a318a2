"""Paths and statements that reach DuckDB: a path means itself, and what users write can only read the store."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.records.address import selected
from ablate.records.files import Results
from ablate.records.plain import csv_cell
from ablate.records.query import export_study, run_query
from ablate.records.sql import check_condition
from ablate.records.store import open_store
from tests.records.by_hand import key_of, write_plan, write_trial

KEY = key_of(1)
ODD = [
    "r [1]", "r*", "r?", "~x", "a'b", 'a"b', "a\\b", "a\nb", "{a,b}", "key=1", ":memory:", "md:x", "\u202eabc",
    os.fsdecode(b"n\xff"),
]  # fmt: skip
OUTSIDE = [
    "SELECT * FROM read_csv('{file}')", "SELECT * FROM read_text('{file}')", "SELECT * FROM read_blob('{file}')",
    "FROM '{file}'", "SELECT * FROM sniff_csv('{file}')", "SELECT * FROM glob('{folder}/*')", "ATTACH '{folder}/x.db'",
    "COPY trials TO '{folder}/out.csv'", "COPY trials FROM '{file}'", "EXPORT DATABASE '{folder}/out'",
    "IMPORT DATABASE '{folder}'", "INSTALL httpfs", "LOAD httpfs", "LOAD '{folder}/x.so'", "SELECT getenv('HOME')",
    "PRAGMA database_list", "PRAGMA memory_limit='1GB'", "SET memory_limit = '1GB'", "RESET memory_limit",
    "SELECT 1; SELECT 2", "SELECT 1; COPY trials TO '{folder}/out.csv'", "CREATE TABLE x AS SELECT 1",
    "CREATE TEMP TABLE x AS SELECT 1", "CREATE MACRO f() AS 1", "DROP TABLE trials", "DELETE FROM trials",
    "UPDATE trials SET top1 = 100", "INSERT INTO seen VALUES ('a', 'b')", "ALTER TABLE trials ADD x INT", "CHECKPOINT",
    "CALL checkpoint()", "BEGIN", "VACUUM", "PREPARE v AS SELECT 1", "EXECUTE v", "USE memory", "DETACH ablate",
    "EXPLAIN ANALYZE COPY trials TO '{folder}/out.csv'", "SELECT * FROM results", "SELECT * FROM sql", "SELECT ?",
    "SELECT * FROM 'https://example.org/x.csv'", "SELECT * FROM query('COPY trials TO ''{folder}/out.csv''')",
    "PIVOT '{file}' ON secret USING count(*)",
    "SELECT", "SELECT 'a", "", " ", ";", ";;", "-- nothing", "/* nothing */", "SELECT '\udcff'",
]  # fmt: skip
ESCAPES = [
    "1=1) ; COPY trials TO '{folder}/out.csv' --", "1=1) UNION SELECT 'x', 'new' FROM trials WHERE (1=1",
    "1=1) --", "true /* (", "true -- x", "true;", "", "((true)", "true)", "state = '", "$$ ) $$ = ')' )",
    "key IN (SELECT content FROM read_text('{file}'))", "EXISTS (FROM glob('{folder}/*'))", "DELETE FROM trials",
]  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """One trial, with a file beside it that no query may read."""
    records = Results(tmp_path_factory.mktemp("module") / "results")
    write_trial(records, KEY, numbers={"top1": 50.0})
    write_plan(records, {KEY: {"size": 1}})
    open_store(records).close()
    (records.root.parent / "file.csv").write_text("secret\n1\n")
    return records


def _filled(text: str, results: Results) -> str:
    folder = results.root.parent
    return text.replace("{file}", str(folder / "file.csv")).replace("{folder}", str(folder))


@pytest.mark.parametrize("name", ODD)
def test_the_store_of_a_folder_of_any_name_has_its_own_metrics(name: str, tmp_path: Path) -> None:
    for beside, loss in (("r 1", 7.0), (name, 2.0)):
        write_trial(Results(tmp_path / beside / "results"), KEY, losses=(loss,))
    results = Results(tmp_path / name / "results")
    for _ in range(2):  # built, then read again
        with open_store(results) as store:
            assert store.execute("SELECT key, name, value FROM metrics").fetchall() == [(KEY, "loss", 2.0)]
    assert results.database.is_file()


def test_a_relative_folder_is_not_taken_for_the_home_or_for_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("~", "~x", ":memory:", "a?b", "results"):
        write_trial(Results(Path(name)), KEY)
        assert run_query(Results(Path(name)), "SELECT key FROM trials").rows == [(KEY,)]
        assert Path(name, "ablate.duckdb").is_file()


def test_a_temporary_folder_of_an_odd_name_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(tmp_path / "results")
    write_trial(results, KEY)
    (tmp_path / "t [1]*").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t [1]*"))
    assert run_query(results, "SELECT count(*) FROM metrics").rows == [(2,)]


def test_a_study_and_an_output_of_an_odd_path_are_exported(results: Results, tmp_path: Path) -> None:
    output = tmp_path / "o'u*t.csv"
    export_study(results, "mine", "csv", None, output)
    assert KEY in output.read_text()


@pytest.mark.parametrize("sql", OUTSIDE)
def test_a_query_that_does_not_only_read_the_store_is_an_error(sql: str, results: Results) -> None:
    before = sorted(results.root.parent.rglob("*"))
    with pytest.raises(UserError):
        run_query(results, _filled(sql, results))
    assert sorted(results.root.parent.rglob("*")) == before


def test_a_store_in_memory_is_as_closed_as_one_on_disk(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_trial(results, KEY)
    results.database.mkdir()
    assert run_query(results, "SELECT key FROM trials").rows == [(KEY,)]
    with pytest.raises(UserError, match="file system operations are disabled"):
        run_query(results, f"SELECT * FROM read_text('{results.trial(KEY).trial}')")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT key FROM trials;", "FROM trials SELECT key", "WITH x AS (FROM trials) SELECT key FROM x", "SHOW TABLES",
        "DESCRIBE trials", "SUMMARIZE trials", "EXPLAIN SELECT 1", "VALUES (1)", "/* a */ SELECT ';' -- b",
        "PIVOT trials ON state USING count(*)",
    ],
)  # fmt: skip
def test_statements_that_read_are_answered(sql: str, results: Results) -> None:
    assert run_query(results, sql).rows


@pytest.mark.parametrize("where", ESCAPES)
def test_a_condition_cannot_leave_its_place(where: str, results: Results) -> None:
    with pytest.raises(UserError, match="--where"):
        selected(results, [], _filled(where, results))
    assert not (results.root.parent / "out.csv").exists()


@pytest.mark.parametrize(
    "where", ["state = 'done'", "cause IS NULL AND (seed = 0)", "key IN (SELECT key FROM cells)", "'; --)' <> ')'"]
)
def test_conditions_on_the_store_select_trials(where: str, results: Results) -> None:
    check_condition(where)
    assert selected(results, [], where) == {KEY: "done"}


def test_an_open_store_outlives_its_folder(tmp_path: Path) -> None:
    results = Results(tmp_path / "a*")
    write_trial(results, KEY)
    with open_store(results) as store:
        shutil.rmtree(results.root)
        assert store.execute("SELECT count(*) FROM trials").fetchall() == [(1,)]


FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", '=HYPERLINK("http://x","y")']
NO_FORMULAS = ["-1.5", "+2", "-1e-3", "a=1", "a-b", "'", "", "1 - 2", "\u2212"]


def test_text_that_a_spreadsheet_would_run_is_quoted_in_csv_and_numbers_stay_numbers(tmp_path: Path) -> None:
    results = Results(tmp_path)
    texts = [*FORMULAS, *NO_FORMULAS]
    keys = [key_of(number) for number in range(len(texts))]
    for key in keys:
        write_trial(results, key, numbers={"top1": -50.0})
    write_plan(results, {key: {"text": text, "size": -1} for key, text in zip(keys, texts, strict=True)})
    export_study(results, "mine", "csv", None, tmp_path / "out.csv")
    export_study(results, "mine", "json", None, tmp_path / "out.json")
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [f"'{text}" for text in FORMULAS] + NO_FORMULAS
    assert [csv_cell(text) for text in texts] == [row["text"] for row in rows]
    assert {(row["size"], row["value"]) for row in rows} == {("-1", "-50.0")}
    assert [row["text"] for row in json.loads((tmp_path / "out.json").read_text())] == texts
