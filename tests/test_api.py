"""ablate from Python: what a notebook does."""

import subprocess
import sys
from pathlib import Path

import polars
import pytest

import ablate
from ablate.errors import TrialsFailed, UserError

TRAINER = """
from typing import Any
from pydantic import BaseModel

class Config(BaseModel):
    seed: int = 0
    slope: float = 1.0
    kind: str = "plain"

def train(config: Config, context: Any) -> dict[str, float]:
    if config.slope < 0:
        raise ValueError("a slope below zero")
    context.log({"phase": "fit", "error": config.slope})
    return {"error": config.slope * 2 + config.seed}
"""
STUDY = """
name = "slopes"
title = "Slopes"
question = "Which slope?"
trainer = "TRAINER_MODULE:train"
metric = "error"
seeds = 2

[axes]
kind = ["plain", "steep"]
slope = { setting = "slope", values = [1.0, 2.5], when = "kind == 'steep'" }
"""


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a quick trainer and a study of it, as the working folder of a notebook."""
    module = f"slopes_{tmp_path.name}"
    (tmp_path / "studies").mkdir()
    (tmp_path / f"{module}.py").write_text(TRAINER)
    (tmp_path / "studies" / "slopes.toml").write_text(STUDY.replace("TRAINER_MODULE", module))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_study_is_loaded_planned_run_and_read_as_a_frame(notebook: Path) -> None:
    plan = ablate.load("studies/slopes.toml").plan()
    assert plan.pl()["state"].to_list() == ["new"] * 6
    frame = plan.run(inline=True).pl()
    assert frame.select("kind", "slope", "seed", "value").rows() == [
        ("plain", None, 0, 2.0),
        ("plain", None, 1, 3.0),
        ("steep", 1.0, 0, 2.0),
        ("steep", 1.0, 1, 3.0),
        ("steep", 2.5, 0, 5.0),
        ("steep", 2.5, 1, 6.0),
    ]
    assert frame.schema["seed"] == polars.Int64


def test_pandas_gets_the_same_rows(notebook: Path) -> None:
    ablate.load("slopes").plan(only={"kind": "plain"}).run(inline=True)
    assert ablate.results("slopes").df()["value"].tolist() == [2.0, 3.0]


def test_what_is_chosen_in_python_is_what_the_command_line_would_choose(notebook: Path) -> None:
    plan = ablate.load("slopes").plan(only={"kind": "steep", "slope": [2.5]}, seeds=[7], set={})
    assert plan.pl()["label"].to_list() == ["kind=steep slope=2.5 seed=7"]


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        (0, "must be a number from 1 to"),
        ([], "must be a number from 1 to"),
        ([0, 0], "lists 0 twice"),
        ([-1], "seeds are whole numbers from 0"),
        (1.5, "must be a number from 1 to"),
        (True, "must be a number from 1 to"),
    ],
)
def test_seeds_that_a_study_file_could_not_have_are_a_mistake_in_python_too(
    notebook: Path, seeds: object, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        ablate.load("slopes").plan(seeds=seeds)


@pytest.mark.parametrize("seeds", [2, [0, 1], (0, 1), range(2), iter([0, 1])])
def test_seeds_are_a_number_or_anything_that_lists_them(notebook: Path, seeds: object) -> None:
    assert ablate.load("slopes").plan(seeds=seeds, only={"kind": "plain"}).pl()["seed"].to_list() == [0, 1]


def test_what_was_loaded_is_what_is_planned_when_the_file_changes_and_from_another_folder(
    notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = notebook / "studies" / "slopes.toml"
    (path.parent / "profiles").mkdir()
    (path.parent / "profiles" / "mine.toml").write_text('title = "Mine"\ndescription = "Of this folder"\nbase = {}\n')
    study = ablate.load("studies/slopes.toml")
    path.write_text("no study any more")
    assert len(study.plan().pl()) == 6
    (notebook / "elsewhere").mkdir()
    monkeypatch.chdir(notebook / "elsewhere")
    assert len(study.plan("mine").pl()) == 6


def test_a_plan_runs_where_it_looked_for_results_whatever_the_working_folder_is_by_then(
    notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = ablate.load("slopes").plan(seeds=1)
    (notebook / "elsewhere").mkdir()
    monkeypatch.chdir(notebook / "elsewhere")
    assert plan.run(inline=True).pl()["state"].to_list() == ["done"] * 3
    assert len(list((notebook / "results" / "trials").iterdir())) == 3


def test_a_failed_trial_is_raised_and_the_others_are_kept(notebook: Path) -> None:
    path = notebook / "studies" / "slopes.toml"
    path.write_text(path.read_text().replace("[1.0, 2.5]", "[1.0, -1.0]"))
    with pytest.raises(TrialsFailed, match="a slope below zero"):
        ablate.load("slopes").plan(seeds=1).run(inline=True)
    assert ablate.results("slopes").pl()["state"].to_list() == ["done", "done", "failed"]


def test_every_mistake_of_a_study_is_raised_when_it_is_loaded(notebook: Path) -> None:
    path = notebook / "studies" / "slopes.toml"
    path.write_text(path.read_text().replace("question", "qestion").replace("seeds = 2", "seeds = 0"))
    with pytest.raises(UserError) as caught:
        ablate.load("slopes")
    assert "unknown key 'qestion'; did you mean 'question'?" in str(caught.value)
    assert "seeds" in str(caught.value)


def test_results_of_a_study_that_was_not_run_name_those_that_were(notebook: Path) -> None:
    ablate.load("slopes").plan(seeds=1).run(inline=True)
    with pytest.raises(UserError, match=r"no records of a study 'slope'; did you mean 'slopes'\?"):
        ablate.results("slope").pl()


def test_a_chart_of_the_page_is_had_by_its_name(notebook: Path) -> None:
    ablate.load("slopes").plan().run(inline=True)
    chart = ablate.results("slopes").chart()
    (rows,) = chart.to_dict()["datasets"].values()
    assert [row["value"] for row in rows] == [2.5, 2.5, 5.5]
    with pytest.raises(UserError, match="'slopes' has no chart 'publshed'"):
        ablate.results("slopes").chart("publshed")


def test_what_a_notebook_shows_is_html_and_text(notebook: Path) -> None:
    study = ablate.load("slopes")
    assert repr(study) == "<study slopes: Which slope? axes: kind (2), slope (2); 0 cases>"
    assert "<th>slope</th><td>1.0, 2.5</td>" in study._repr_html_()
    assert "<th>new</th><td>6</td>" in study.plan()._repr_html_()


def test_a_script_without_a_main_guard_runs_in_worker_processes(notebook: Path) -> None:
    script = notebook / "script.py"
    script.write_text("import ablate\nprint(ablate.load('slopes').plan(seeds=1).run().pl()['value'].sum())\n")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, cwd=notebook)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "9.0"


def test_importing_ablate_imports_nothing_heavy() -> None:
    code = "import sys, ablate; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "polars", "pandas", "duckdb", "pydantic"} & set(loaded)


CLAIM = """
[[claims]]
id = "S1"
text = "A steep slope has the larger error."
source = "the question"
kind = "greater"
left = "kind == 'steep'"
right = "kind == 'plain'"
"""


@pytest.fixture
def suite(notebook: Path) -> Path:
    """A suite of the study and a second one that shares its trials."""
    text = (notebook / "studies" / "slopes.toml").read_text()
    (notebook / "studies" / "twin.toml").write_text(text.replace('"slopes"', '"twin"').replace('"Slopes"', '"Twin"'))
    (notebook / "studies" / "suites").mkdir()
    path = notebook / "studies" / "suites" / "both.toml"
    path.write_text('name = "both"\ntitle = "Both"\nstudies = ["slopes", "twin"]\n')
    return path


def break_slope(notebook: Path) -> None:
    path = notebook / "studies" / "slopes.toml"
    path.write_text(path.read_text().replace("[1.0, 2.5]", "[1.0, -1.0]"))


def test_a_study_is_run_in_one_call_which_writes_its_page_where_a_folder_is_given(
    notebook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ablate.load("slopes").run(seeds=1, inline=True)
    assert found.pl()["state"].to_list() == ["done"] * 3
    assert not (notebook / "reports").exists()
    ablate.load("slopes").run(seeds=1, inline=True, reports="pages")
    assert (notebook / "pages" / "slopes.html").is_file()
    assert "page: pages/slopes.html" in capsys.readouterr().out


def test_a_study_is_run_until_its_claims_are_decided(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = notebook / "studies" / "slopes.toml"
    path.write_text(path.read_text() + CLAIM)
    one = {"kind": "steep", "slope": 2.5}
    found = ablate.load("slopes").run(until_decided=True, inline=True, only=one, seeds=[5, 6, 8, 9])
    assert found.pl()["seed"].to_list() == [5, 6, 8]  # more seeds cannot decide a claim about a cell that is left out
    assert "claims: 1 not measured" in capsys.readouterr().out


def test_a_budget_stops_a_run_from_python_before_it_starts(notebook: Path) -> None:
    for until_decided in (False, True):
        with pytest.raises(UserError, match="--budget 1h: the cost of"):
            ablate.load("slopes").run(budget="1h", until_decided=until_decided)
    assert not (notebook / "results" / "trials").exists()


def test_failed_trials_are_retried_and_new_ones_are_not(notebook: Path) -> None:
    break_slope(notebook)
    study = ablate.load("slopes")
    with pytest.raises(TrialsFailed, match="1 of 2 trials failed"):
        study.run(seeds=1, inline=True, only={"kind": "steep"})
    with pytest.raises(TrialsFailed, match="1 of 1 trials failed"):
        study.retry(inline=True)
    assert ablate.results("slopes").pl()["state"].to_list() == ["new", "done", "failed"]
    assert study.retry(inline=True, only={"slope": 1.0}).profile == "embedded"  # nothing to do


def test_an_unknown_keyword_of_a_run_is_refused_with_the_nearest_one(notebook: Path) -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword 'worker'; did you mean 'workers'\?"):
        ablate.load("slopes").run(worker=2)  # type: ignore[call-arg]


def test_a_run_on_a_cluster_that_no_file_describes_is_refused(notebook: Path) -> None:
    with pytest.raises(UserError, match="there is no cluster 'big'"):
        ablate.load("slopes").run(on="big")


def test_a_suite_is_loaded_planned_run_and_reported(notebook: Path, suite: Path) -> None:
    loaded = ablate.load_suite("both")
    plan = loaded.plan(seeds=1)
    assert plan.pl().select("study", "trials", "to_run").rows() == [("slopes", 3, 3), ("twin", 3, 3)]
    assert plan.as_dict()["total"]["trials"] == 3
    found = plan.run(inline=True)
    assert {name: each.pl()["state"].to_list() for name, each in found.items()} == {
        "slopes": ["done"] * 3, "twin": ["done"] * 3,
    }  # fmt: skip
    assert [path.name for path in loaded.report()] == ["slopes.html", "twin.html", "index.html"]
    assert repr(loaded) == "<suite both: slopes, twin>"


def test_a_study_of_a_suite_that_fails_does_not_stop_the_others(notebook: Path, suite: Path) -> None:
    break_slope(notebook)
    with pytest.raises(TrialsFailed, match="suite both: trials failed in slopes"):
        ablate.load_suite(suite).run(seeds=1, inline=True)
    assert ablate.results("twin").pl()["state"].to_list() == ["done"] * 3
    with pytest.raises(UserError, match="'slopes' is a study, not a suite"):
        ablate.load_suite("slopes")


def test_pages_and_other_formats_are_written_once_or_while_a_study_runs(notebook: Path) -> None:
    found = ablate.load("slopes").run(seeds=1, inline=True)
    assert found.report() == Path("reports/slopes.html")
    assert found.report(watch=True) == Path("reports/slopes.html")  # nothing is left to run
    assert [path.name for path in found.write(["csv", "md"])] == ["tables.md", "cells.csv", "claims.csv"]
    with pytest.raises(UserError, match="unknown format 'doc'"):
        found.write(["doc"])


def test_two_folders_of_records_are_compared_and_what_nothing_needs_is_removed(notebook: Path) -> None:
    ablate.load("slopes").run(seeds=1, inline=True)
    ablate.load("slopes").run(seeds=1, inline=True, folder="later")
    assert ablate.compare("results", "later") == Path("reports/compare.html")
    path = notebook / "studies" / "slopes.toml"
    path.write_text(path.read_text().replace("[1.0, 2.5]", "[1.0, 3.5]"))
    ablate.load("slopes").run(seeds=1, inline=True)
    listed = ablate.gc(dry_run=True, now=True, abandoned=True)
    assert [item.kind for item in listed if item.kind == "trial"] == ["trial"]
    assert len(list((notebook / "results" / "trials").iterdir())) == 4
    assert len(ablate.gc(now=True, abandoned=True)) == len(listed)
    assert len(list((notebook / "results" / "trials").iterdir())) == 3
