"""Records as one Parquet file, and pages, verdicts and checks from it alone."""

import json
import re
from pathlib import Path

import duckdb
import pytest
import typer
from typer.testing import CliRunner

from ablate.commands import query
from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.plans import newest_plan
from ablate.records.published import publish, published_files, restored
from ablate.records.query import run_query
from ablate.records.without_paths import without_paths
from ablate.report.macros import check_paper
from ablate.report.reading import read_study
from ablate.report.verify import verify
from ablate.workflow.pages import PageRequest, pages_of_published, write_pages
from tests.records.by_hand import key_of, make_old, save_record, write_plan, write_trial

HOME = "/home/some one/data/cifar10"
ENVIRONMENT = {"commit": "abc", "command": ["/opt/venv/bin/ablate", "run", "--set", f"data.root={HOME}"]}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Two cells with three seeds, of which one failed after a first attempt that was lost, on images in a folder."""
    results = Results(tmp_path_factory.mktemp("records") / "results")
    cells = {key_of(n): {"head": ("linear", "nonlinear")[n // 3], "seed": n % 3} for n in range(6)}
    for number, key in enumerate(cells):
        config = {"seed": number % 3, "data": {"name": "folder", "root": HOME}, "note": "a/b and 3 / 4, http://x/y/z"}
        how: dict[str, object] = {"config": config, "environment": ENVIRONMENT, "numbers": {"top1": 60.1 + number / 3}}
        if number == 4:
            make_old(write_trial(results, key, "running", config=config))
        message = f"FileNotFoundError: {HOME.replace(' ', '')}/dog/1.png is missing"
        write_trial(results, key, "failed" if number == 4 else "done", "error", message if number == 4 else None, **how)  # type: ignore[arg-type]
    write_plan(results, cells)
    return results


@pytest.fixture(scope="module")
def file(records: Results) -> Path:
    path = records.root / "published" / "mine.parquet"
    assert publish(records, "mine", "embedded", path) == 6
    return path


def test_what_is_restored_is_what_was_published(records: Results, file: Path) -> None:
    with restored([file]) as found:
        (results,) = found.values()
        before, after = (read_study(each, "mine", None) for each in (records, results))
        assert {pair: each.published for pair, each in found.items()} == {("mine", "embedded"): file}
        assert after.digests == before.digests
        assert [cell.numbers for cell in after.measured.cells] == [cell.numbers for cell in before.measured.cells]
        assert after.curves == before.curves
        assert after.attempts == before.attempts
        assert len(after.attempts) == 7
        failed = after.measured.trials[4]
        assert (failed.state, failed.message) == ("failed", "FileNotFoundError: 1.png is missing")


def test_a_file_is_a_table_with_a_row_for_each_trial_and_where_it_comes_from(records: Results, file: Path) -> None:
    select = "SELECT head, seed, top1, state, key FROM {} WHERE state = 'done' ORDER BY head, seed"
    with duckdb.connect() as connection:
        rows = connection.execute(select.format(f"'{file}'")).fetchall()
        commits = connection.execute(f"SELECT DISTINCT \"record.commit\" FROM '{file}'").fetchall()
    assert rows == run_query(records, select.format("mine")).rows
    assert len(rows) == 5
    assert commits == [("abc",)]


def test_no_folder_of_the_machine_is_published_but_other_text_with_slashes_is(file: Path) -> None:
    with restored([file]) as found:
        (results,) = found.values()
        texts = "".join(path.read_text() for path in results.root.rglob("*.json*"))
        spec = json.loads(results.trial(key_of(0)).trial.read_text())
        reading = read_study(results, "mine", None)
    assert not re.search("/home|/opt|some one", texts)
    assert spec["config"]["data"]["root"] == "cifar10"
    assert spec["config"]["note"] == "a/b and 3 / 4, http://x/y/z"
    assert '"ablate", "run", "--set", "data.root=cifar10"' in texts
    assert len(reading.environments) == 1


def test_a_page_of_published_records_has_the_numbers_of_the_records_and_is_verified_by_them(
    records: Results, file: Path, tmp_path: Path
) -> None:
    request = PageRequest(records, tmp_path / "of-records", ["mine"], pictures=False, formats=("md", "csv"))
    tables = write_pages(request, request.targets())
    made = pages_of_published([file.parent], tmp_path / "gallery", [], None, ("html", "md", "csv"))
    found = {path.name: path.read_text() for path in made if path.suffix != ".html"}
    assert found == {path.name: path.read_text() for path in tables}
    assert len(found) == 3
    page = tmp_path / "gallery" / "mine.html"
    assert verify(page, None).same
    links = re.findall(r'href="([^"#]*)(#[0-9a-f]{64})?"', page.read_text())
    assert [(tmp_path / "gallery" / link).resolve() for link, key in links if key] == [file] * (
        6 + 5 + 1
    )  # keys, values, and the failed attempt
    assert not [link for link, _ in links if "trials" in link or "studies" in link]
    page.write_text(page.read_text().replace(">60.43</a>", ">60.53</a>"))
    (difference,) = verify(page, file).differences
    assert (difference.page, difference.records) == ("60.53", "60.43")


def changed(file: Path, to: Path, select: str, about: str | None = None) -> Path:
    """A copy of a file with other columns, or other metadata."""
    with duckdb.connect() as connection:
        if about is None:
            ((said,),) = connection.execute(f"SELECT value FROM parquet_kv_metadata('{file}')").fetchall()
            about = said.decode()
        quoted = about.replace("'", "''")
        connection.execute(
            f"COPY (SELECT {select} FROM '{file}') TO '{to}' (FORMAT parquet, KV_METADATA {{ablate: '{quoted}'}})"
        )
    return to


def test_a_row_that_differs_from_its_record_is_named_with_its_column(file: Path, tmp_path: Path) -> None:
    other = changed(file, tmp_path / "x.parquet", "* REPLACE (CASE WHEN seed = 1 THEN top1 + 1 ELSE top1 END AS top1)")
    with pytest.raises(UserError, match=r"x.parquet, row 2 \(trial 0001ffffffff\), column top1: it has 61.43") as error:
        restored([other]).__enter__()
    assert "its record says 60.43" in str(error.value)


@pytest.mark.parametrize(
    ("select", "name"),
    [
        ("* REPLACE (MAP {'../../../escaped': 'x'} AS \"record.files\")", "escaped"),
        ("* REPLACE (MAP {'attempts/001-x/../../trial.json': 'x'} AS \"record.files\")", "trial.json"),
        ("* REPLACE ('../' || key AS key)", "trial.json"),
    ],
)
def test_a_file_writes_nothing_outside_its_records(file: Path, tmp_path: Path, select: str, name: str) -> None:
    with pytest.raises(UserError, match=f"has a file named {name}, which no record of a trial has"):
        restored([changed(file, tmp_path / "x.parquet", select)]).__enter__()


def test_plans_and_studies_of_a_file_stay_inside_too(file: Path, tmp_path: Path) -> None:
    for study, plan, message in [
        ("../mine", "plan-1.json", "has no published records"),
        ("mine", "../plan-1.json", "has a file named plan-1.json"),
    ]:
        about = {"format": "ablate.records.1", "study": study, "profile": "embedded", "plans": {plan: "{}"}}
        with pytest.raises(UserError, match=message):
            restored([changed(file, tmp_path / "x.parquet", "*", json.dumps(about))]).__enter__()


def test_other_files_and_empty_folders_are_refused_with_the_command_that_writes_some(tmp_path: Path) -> None:
    text, table = tmp_path / "text.parquet", tmp_path / "table.parquet"
    text.write_text("no table")
    duckdb.connect().execute(f"COPY (SELECT 1 AS a) TO '{table}'")
    for path, message in [(text, "is not a Parquet file"), (table, "has no published"), (tmp_path / "no", "cannot be")]:
        with pytest.raises(UserError, match=message):
            restored([path]).__enter__()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no files of published records"):
        published_files([tmp_path / "empty"])
    assert published_files([tmp_path]) == [table, text]


def test_one_study_twice_is_refused(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    other.write_bytes(file.read_bytes())
    with pytest.raises(UserError, match="both have mine at embedded"):
        restored([file, other]).__enter__()


def test_files_from_results_folders_that_know_nothing_of_each_other_give_the_pages_that_each_gives_alone(
    records: Results, file: Path, tmp_path: Path
) -> None:
    """They have a plan of the same number, and a trial of the same key with another result."""
    elsewhere, there = Results(tmp_path / "results"), tmp_path / "elsewhere"
    write_trial(elsewhere, key_of(0), numbers={"top1": 33.3})
    write_trial(elsewhere, key_of(7), numbers={"top1": 44.4})
    for study, profile in [("mine", "small"), ("other", "embedded")]:
        plan = {key_of(0): {"head": "linear"}, key_of(7): {"head": "none"}}
        write_plan(elsewhere, plan, study=study, profile=profile)
        publish(elsewhere, study, profile, there / f"{study}.parquet")
    files = [file, there / "mine.parquet", there / "other.parquet"]
    names = ["mine", "mine-small", "other"]
    together = tmp_path / "together"
    made = pages_of_published(files, together, [], None, ("html", "csv"))
    assert sorted(path.name for path in made if path.suffix == ".html") == sorted(
        ["index.html", *(f"{name}.html" for name in names)]
    )
    for published, name in zip(files, names, strict=True):
        pages_of_published([published], together.with_name(name), [], None, ("html", "csv"))
        for page in (f"{name}.html", f"{name}/cells.csv"):
            assert (together / page).read_bytes() == (together.with_name(name) / page).read_bytes()
        assert verify(together / f"{name}.html", None).same
    index = (together / "index.html").read_text()
    assert all(f'href="{name}.html"' in index for name in names)
    assert ["33.3" in (together / name / "cells.csv").read_text() for name in names] == [False, True, True]


def test_pages_of_chosen_studies_are_made_of_the_files_that_have_them(file: Path, tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    write_trial(results, key_of(7), numbers={"top1": 44.4})
    write_plan(results, {key_of(7): {"head": "none"}}, profile="small")
    files = [file, tmp_path / "small.parquet"]
    publish(results, "mine", "small", files[1])

    def made(names: list[str], profile: str | None) -> list[str]:
        return [path.parent.name for path in pages_of_published(files, tmp_path, names, profile, ("md",))]

    assert made([], None) == made(["mine"], None) == ["mine", "mine-small"]
    assert made(["studies/mine.toml"], "small") == made([], "small") == ["mine-small"]
    for names, profile, what in [(["other"], None, "other"), (["mine"], "photos", "mine at the profile 'photos'")]:
        with pytest.raises(UserError, match=f"no published records of {what}\n.*mine at embedded, mine at small"):
            made(names, profile)
    with pytest.raises(UserError) as error:
        made(["mine", "mien", "other"], None)
    assert [problem.message for problem in error.value.problems] == [
        "no published records of mien; did you mean 'mine'?",
        "no published records of other",
    ]


def test_the_command_writes_next_to_the_records_and_refuses_while_a_trial_runs(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    write_trial(results, key_of(0))
    write_plan(results, {key_of(0): {"head": "linear"}, key_of(1): {"head": "none"}})
    app = typer.Typer()
    app.command()(query.export)
    said = CliRunner().invoke(app, ["mine", "--records", "--results", str(results.root)])
    assert re.fullmatch(r".*/results/published/mine\.parquet: 2 trials at embedded, \d+ kB\n", said.stdout)
    for options in (["--comparisons"], ["--format", "csv"]):
        said = CliRunner().invoke(app, ["mine", "--records", *options, "--results", str(results.root)])
        assert isinstance(said.exception, UserError)
    write_trial(results, key_of(1), "running")
    with pytest.raises(UserError, match=r"mine: 1 trial is running, such as 0001ffffffff"):
        publish(results, "mine", "embedded", tmp_path / "x.parquet")


def test_paths_that_name_cells_stay_and_all_others_go(tmp_path: Path) -> None:
    """Two checkpoints with one file name are two cells; a claim compares them, and an override is in the profile."""
    results = Results(tmp_path / "results")
    inits = ["/ckpt/a/model.pt", "/ckpt/b/model.pt"]
    trials = []
    for number, init in enumerate(inits):
        note = f"{init}\n{HOME.replace(' ', '')}"
        write_trial(results, key_of(number), config={"init": init, "root": HOME, "note": note}, numbers={"top1": 60.0})
        trials.append({"key": key_of(number), "seed": 0, "axes": {"init": init}, "case": None})
    claim = {"id": "H1", "kind": "best", "is": f"init == '{inits[1]}'", "text": "b is best"}
    of = {
        "profile": "embedded+data.root=/mnt/x",
        "overrides": {"data.root": "/mnt/x"},
        "command": [f"--only={inits[0]}"],
    }
    axes = [{"name": "init", "values": inits}]
    save_record(results, "mine", of | {"title": HOME, "axes": axes, "trials": trials, "claims": [claim]})
    path = tmp_path / "x.parquet"
    assert publish(results, "mine", of["profile"], path) == 2  # type: ignore[arg-type]
    with restored([path]) as found:
        (back,) = found.values()
        before, after = (newest_plan(each, "mine", of["profile"]) for each in (results, back))  # type: ignore[arg-type]
        assert (after.trials, after.claims, after.command) == (before.trials, before.claims, before.command)
        assert after.title == "cifar10"
        config = json.loads(back.trial(key_of(0)).trial.read_text())["config"]
    assert config == {
        "init": inits[0],
        "root": "cifar10",
        "note": f"{inits[0]}\ncifar10",
    }


def test_what_cannot_be_read_back_is_not_written(
    records: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ablate.records.published.without_paths", lambda text, kept: text.replace("nonlinear", "linear")
    )
    with pytest.raises(UserError, match="mine at embedded cannot be published, since the file could not be read"):
        publish(records, "mine", "embedded", tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("file:///home/alice/runs/a.pt", "a.pt"),
        ("loaded file://host/home/alice/a.pt.", "loaded a.pt."),
        ("sqlite:////home/alice/runs.db", "runs.db"),
        ("Traceback:\n/home/alice/run.py:3", "Traceback:\nrun.py:3"),
        (r"said \n/home/alice/run.py", r"said \nrun.py"),
        ("PATH:/home/al/bin:/usr/bin", "PATH:bin:bin"),
        (r"C:\Users\Al Ice\x.pt", "x.pt"),
        (r"root=D:\data\cifar10 and C:/Users/al/x", "root=cifar10 and x"),
        (r"\\server\share\al\x.pt", "x.pt"),
        (r"from \\server\share\x.pt", "from x.pt"),
        ("http://x/y/z s3://bucket/a/b ./a/b ../a/b a/b 3 / 4", "http://x/y/z s3://bucket/a/b ./a/b ../a/b a/b 3 / 4"),
    ],
)
def test_paths_of_every_form_are_cut_to_their_last_name(text: str, cut: str) -> None:
    assert json.loads(without_paths(json.dumps({"a": [text]}))) == {"a": [cut]}
    lines = without_paths(f'{json.dumps({"a": text})}\n{{"b": 1}}\n{{"c": "/home/al')
    assert [json.loads(line) for line in lines.splitlines()] == [{"a": cut}, {"b": 1}]


def heartbeat(time: str) -> str:
    return f"* REPLACE (map_from_entries([('attempts/001-local/heartbeat', '{time}')]) AS \"record.files\")"


TUNED = {"study": "t", "metric": "top1", "lowest": False, "choose": "best", "seeds": [9], "cells": []}


@pytest.mark.parametrize(
    ("select", "about", "message"),
    [
        ("*", [1], "has no published records"),
        ("*", {"study": "mine\n"}, "has no published records"),
        ("*", {"study": "a\\b"}, "has no published records"),
        ("*", {"profile": None}, "does not name the profile"),
        ("*", {"profile": "embedded\n\\immediate\\write18{id}%"}, "does not name the profile"),
        ("*", {"plans": None}, "has no plans"),
        ("*", {"plans": {"plan-1.json": 3}}, "has no plans"),
        ("*", {"plans": {"plan-1.json": "{}"}}, "plan-1.json is damaged"),
        ("*", {"tuned": {"x": 1}}, "plan-1.json is damaged: .*tuned"),
        ("*", {"tuned": TUNED}, "plan-1.json is damaged: .*tuned.cells"),
        ('* EXCLUDE ("record.files")', {}, "cannot be read as published records"),
        ("* REPLACE (NULL AS key)", {}, "cannot be read as published records"),
        ('* REPLACE (3 AS "record.files")', {}, "cannot be read as published records"),
        (heartbeat("zz"), {}, "cannot be read as published records: invalid literal"),
        (heartbeat("9" * 40), {}, "cannot be read as published records"),
    ],
)
def test_every_bad_file_is_one_error_that_names_it(
    file: Path, tmp_path: Path, select: str, about: object, message: str
) -> None:
    if isinstance(about, dict):
        with duckdb.connect() as connection:
            ((said,),) = connection.execute(f"SELECT value FROM parquet_kv_metadata('{file}')").fetchall()
        whole = json.loads(said)
        if tuned := about.get("tuned"):
            whole["plans"] = {
                name: json.dumps(json.loads(text) | {"tuned": tuned}) for name, text in whole["plans"].items()
            }
        about = whole | about
    with pytest.raises(UserError, match=rf"x\.parquet.*{message}"):
        restored([changed(file, tmp_path / "x.parquet", select, json.dumps(about))]).__enter__()


def test_a_damaged_page_of_data_is_one_error_too(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    damaged = tmp_path / "x.parquet"
    damaged.write_bytes(content[:4] + b"\xff" * (len(content) - footer - 4) + content[-footer:])
    with pytest.raises(UserError, match=r"x\.parquet cannot be read as published records"):
        restored([damaged]).__enter__()


def test_a_paper_made_from_published_records_is_verified_by_them(file: Path, tmp_path: Path) -> None:
    made = pages_of_published([file], tmp_path / "reports", [], None, ("latex",))
    assert sorted(path.name for path in made) == ["numbers.tex", "tables.tex"]
    for path in made:
        first = path.read_text().partition("\n")[0]
        assert (path.parent / first.rpartition("results ")[2]).resolve() == file.resolve()
    paper = tmp_path / "paper.tex"
    paper.write_text("\\input{reports/mine/numbers}\\input{reports/mine/tables}\\ablate{head=linear.mean}")
    assert check_paper(paper, None) == []
    numbers = tmp_path / "reports" / "mine" / "numbers.tex"
    numbers.write_text(numbers.read_text().replace("60.4", "60.5"))
    assert ["60.5" in each and "60.4" in each for each in check_paper(paper, file)] == [True]
