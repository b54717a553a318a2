"""Suites: what plan, run, status, report, check and studies do with several studies at once."""

import json
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ablate
from ablate.cli import app
from ablate.errors import AblateError, TrialsFailed, UserError
from ablate.records.files import Results
from ablate.records.plain import duration
from ablate.run.plan import make_plan
from ablate.study.suite import load_suite
from ablate.workflow.budget import check_hours
from ablate.workflow.suite import plan_suite
from tests.run.test_plan import change, finish
from tests.run.test_speeds import IMAGENET, ONE

TRAINER = """
import time
from pathlib import Path
from typing import Any
from pydantic import BaseModel

class Config(BaseModel):
    seed: int = 0
    slope: float = 1.0

def train(config: Config, context: Any) -> dict[str, float]:
    if config.slope < 0:
        raise RuntimeError("downhill")
    while config.slope > 9:
        Path("waiting").touch()
        time.sleep(0.02)
    return {"top1": config.slope}
"""
QUICK = """
name = "NAME"
title = "Study NAME"
question = "Which slope?"
trainer = "MODULE:train"

[axes]
slope = [VALUES]
"""
Call = Callable[..., str]


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a suite of two quick studies that share a trial, and one of SimCLR."""
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    module = f"quick_{secrets.token_hex(4)}"
    (project / f"{module}.py").write_text(TRAINER)
    for name, values in (("flat", "1.0, 2.0"), ("steep", "2.0, 3.0")):
        text = QUICK.replace("NAME", name).replace("MODULE", module).replace("VALUES", values)
        (project / f"studies/{name}.toml").write_text(text)
    (project / "studies/suites").mkdir()
    write_suite("flat", "steep")
    return project


def write_suite(*studies: str) -> None:
    text = f'name = "all"\ntitle = "All of them"\nstudies = {json.dumps(studies)}\n'
    Path("studies/suites/all.toml").write_text(text)


def edit(study: str, old: str, new: str) -> None:
    path = Path(f"studies/{study}.toml")
    path.write_text(path.read_text().replace(old, new))


def call(*arguments: str, code: int = 0) -> str:
    """Runs `ablate` in this process, as in a pipe; returns its standard output, raises our errors as they come."""
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, AblateError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def test_a_plan_has_a_line_for_each_study_and_counts_what_they_share_once(here: Path) -> None:
    printed = CliRunner().invoke(app, ["plan", "all"])
    assert [line.split("\t") for line in printed.stdout.splitlines()] == [
        ["study", "profile", "trials", "done", "to run", "cost"],
        ["flat", "embedded", "2", "0", "2", "2 trials unknown"],
        ["steep", "embedded", "2", "0", "2", "2 trials unknown"],
        ["total", "", "3", "0", "3", "3 trials unknown"],
    ]
    assert printed.stderr == "trials shared by several studies count once in the total (1 fewer)\n"


def test_a_suite_runs_each_study_and_writes_a_page_of_each(here: Path) -> None:
    printed = call("run", "studies/suites/all.toml", "--inline")
    assert "flat (1 of 2)" in printed
    assert "Study steep [embedded]: 2 trials (2 cells, 1 seed); 1 done, 1 new; training 1" in printed
    assert [line for line in printed.splitlines() if line.startswith("page: ")] == [
        "page: reports/flat.html", "page: reports/steep.html",
    ]  # fmt: skip
    assert call("plan", "all").splitlines()[3].split("\t")[:5] == ["total", "", "3", "3", "0"]


def test_a_failed_trial_and_a_study_that_cannot_run_do_not_stop_the_rest(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    edit("flat", "1.0, 2.0", "-1.0, 2.0")
    edit("tiny", "[base]\n", '[base]\ndata.name = "folder"\n')
    write_suite("tiny", "flat", "steep")
    with pytest.raises(TrialsFailed) as told:
        call("run", "all", "--inline")
    assert str(told.value) == "error: suite all: trials failed in flat; tiny did not run (see above)"
    assert {path.name for path in Path("reports").glob("*.html")} == {"flat.html", "steep.html", "index.html"}
    edit("flat", "-1.0", "1.0")
    with pytest.raises(UserError, match="suite all: tiny did not run"):
        call("run", "all", "--inline")


def test_a_page_that_cannot_be_written_stops_no_study(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("reports/flat.html").mkdir(parents=True)
    with pytest.raises(AblateError) as told:
        call("run", "all", "--inline")
    assert str(told.value) == "error: suite all: the pages of flat could not be written (see above)"
    assert told.value.exit_code == 1
    assert Path("reports/steep.html").is_file()


@pytest.mark.parametrize("study", ["flat", "all"])
def test_a_folder_that_can_hold_no_page_is_told_before_anything_trains(here: Path, study: str) -> None:
    Path("reports").write_text("")
    with pytest.raises(UserError, match=r"cannot write pages in reports/of_mine: .*reports is not a folder"):
        call("run", study, "--reports", "reports/of_mine")
    assert not Path("results").exists()


def test_a_run_may_stop_at_the_first_study_in_which_a_trial_fails(here: Path) -> None:
    edit("flat", "1.0, 2.0", "-1.0, 2.0")
    with pytest.raises(TrialsFailed):
        call("run", "all", "--inline", "--stop-at-first-failure")
    assert not Path("reports/steep.html").exists()


def test_a_suite_none_of_whose_studies_can_run_is_a_mistake(here: Path) -> None:
    with pytest.raises(UserError, match="no study of the suite 'all' can run"):
        call("run", "all", "--profile", "nowhere")


def test_ctrl_c_stops_all_studies(here: Path) -> None:
    edit("flat", "1.0, 2.0", "10.0")
    command = [sys.executable, "-m", "ablate", "run", "all", "--inline"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not Path("waiting").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGINT)
    time.sleep(0.2)
    run.send_signal(signal.SIGINT)  # the trial does not ask whether to stop
    out, err = run.communicate(timeout=60)
    # 130 is what a shell gives it also where the third one met an interpreter that was about to end
    assert run.returncode in (130, -signal.SIGINT), err
    assert "steep (2 of 2)" not in out
    assert "Traceback" not in out + err


def test_a_study_that_cannot_be_planned_is_told_below_the_others(here: Path) -> None:
    edit("tiny", "[base]\n", '[base]\ndata.name = "folder"\n')
    write_suite("tiny", "flat")
    with pytest.raises(UserError, match=r"tiny: data\.root is not set: which folder\?"):
        call("plan", "all")


def test_a_plan_as_json_has_the_studies_and_their_sum(here: Path) -> None:
    told = json.loads(call("plan", "all", "--json"))
    assert [study["trials"] for study in told["studies"]] == [2, 2]
    assert told["total"] == {
        "trials": 3, "done": 0, "to_run": 3, "hours": {}, "assumed_gpu_hours": 0.0, "unknown": 3,
    }  # fmt: skip


@pytest.mark.parametrize("command", ["judge", "retry", "export"])
def test_a_command_for_one_study_tells_that_a_suite_was_named(here: Path, command: str) -> None:
    with pytest.raises(UserError, match=r"'all' is a suite, but this command takes one study\n  help: .*: flat, steep"):
        call(command, "all")


def test_a_trial_whose_cost_one_of_its_studies_knows_is_not_unknown(here: Path) -> None:
    results = Results(here / "results")
    finish(make_plan("tiny", "embedded", results), results, seconds=3606.0)
    knowing = make_plan("tiny", "embedded", results, seeds=[1])
    plans = {"flat": replace(knowing, cost=replace(knowing.cost, prices=())), "steep": knowing}
    suite = plan_suite(load_suite(Path("studies/suites/all.toml")), lambda file: plans[Path(file).stem])
    assert (suite.total.to_run, suite.total.unknown) == (5, 0)


def test_the_time_here_is_told_study_by_study_and_without_what_is_unknown(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.run.plan_text.default_workers", lambda *_: 100)
    results = Results(here / "results")
    finish(make_plan("tiny", "embedded", results), results, seconds=3606.0)
    plans = {"flat": make_plan("flat", "embedded", results), "steep": make_plan("tiny", "embedded", results, seeds=[1])}
    suite = plan_suite(load_suite(Path("studies/suites/all.toml")), lambda file: plans[Path(file).stem])
    (told,) = (note for note in suite.notes if " on this machine" in note)
    hours = (plans["steep"].cost.hours or 0.0) / 5  # as many as it has pretrainings
    end = "on this machine, one study after another, excluding 2 trials of unknown cost"
    assert told == f"about {duration(hours)} {end}"


def test_hours_of_workers_and_of_gpus_are_no_sum() -> None:
    measured = {"worker-hours": (1.5, 1.0), "GPU-hours": (1.0, 1.0)}
    check_hours("2h", 3, 0, measured, 0.5)
    with pytest.raises(UserError, match=r"the run may take 2.5 GPU-hours \(median estimate 2.5\)"):
        check_hours("2h", 3, 0, measured, 1.5)
    with pytest.raises(UserError, match=r"the run may take 1.5 worker-hours"):
        check_hours("1h", 3, 0, measured)


@pytest.mark.parametrize("name", ["all", "tiny"])
def test_a_budget_counts_hours_that_are_assumed(here: Path, name: str) -> None:
    Path("studies/profiles/imagenet.toml").write_text(IMAGENET)
    write_suite("tiny")
    at = ("plan", name, "--profile", "imagenet", "--assume", "2600", "--budget")
    with pytest.raises(UserError, match=r"--budget 100h: the run may take .* GPU-hours"):
        call(*at, "100h")
    call(*at, "200h")


def test_status_and_report_are_of_the_studies_of_a_suite(here: Path) -> None:
    with pytest.raises(UserError, match="no study of the suite 'all' was run"):
        call("report", "all")
    call("run", "flat", "--inline")
    write_suite("steep")
    call("run", "steep", "--inline")
    assert [line.split("\t")[0] for line in call("status", "all").splitlines()] == ["study", "steep"]
    write_suite("flat", "tiny")
    assert call("report", "all").splitlines() == ["reports/flat.html", "reports/index.html"]


def test_studies_and_suites_are_listed_with_how_far_each_is(here: Path) -> None:
    call("run", "flat", "--inline")
    lines = [line.split("\t") for line in call("studies").splitlines()]
    assert ["flat", "embedded", "2 of 2", "Study flat"] in lines
    assert ["all", "embedded", "1 of 2", "2 of 2", "All of them"] in lines
    rows = json.loads(call("studies", "--json"))
    assert next(row["suites"] for row in rows if row["study"] == "flat") == ["all"]


def test_a_suite_counts_shared_trials_once_and_a_study_with_cells_left_out_is_not_complete(here: Path) -> None:
    call("run", "flat", "--inline")
    call("run", "steep", "--inline", "--only", "slope=2.0")
    lines = [line.split("\t") for line in call("studies").splitlines()]
    assert ["steep", "embedded", "1 of 1", "Study steep"] in lines
    assert ["all", "embedded", "1 of 2", "2 of 2", "All of them"] in lines
    call("run", "steep", "--inline")
    assert "all\tembedded\t2 of 2\t3 of 3\tAll of them" in call("studies").splitlines()


def test_every_command_takes_a_study_at_the_papers_own_scale(here: Path) -> None:
    for name, profile in (("flat", "big"), ("steep", "embedded")):
        edit(name, "trainer", f'paper_profile = "{profile}"\ntrainer')
    shutil.copy("studies/profiles/embedded.toml", "studies/profiles/big.toml")
    call("run", "flat", "--inline")
    call("run", "all", "--inline", "--profile", "paper")
    at = ("--profile", "paper")
    assert call("report", "all", *at).splitlines() == [
        "reports/flat-big.html",
        "reports/steep.html",
        "reports/index.html",
    ]
    assert json.loads(call("judge", "flat", "--json", *at))["profile"] == "big"
    assert {line.split(",")[1] for line in call("export", "flat", *at).splitlines()[1:]} == {"big"}
    assert "no failed or interrupted trials at the profile big" in call("retry", "flat", *at)
    assert "studies/flat.toml: ok (2 trials at big)" in call("check", "studies/flat.toml", *at)
    places = [["flat", "big"], ["steep", "embedded"]]
    assert [line.split("\t")[:2] for line in call("status", *at).splitlines()[1:]] == places
    assert [line.split("\t")[:2] for line in call("status", "all", *at).splitlines()[1:]] == places
    assert [line.split("\t")[:2] for line in call("status", "flat", *at).splitlines()[1:]] == places[:1]
    assert ablate.results("flat", "paper").profile == "big"
    Path("studies/flat.toml").unlink()
    assert json.loads(call("judge", "flat", "--json", *at))["profile"] == "big"


@pytest.mark.parametrize("command", ["judge", "report", "export", "status"])
def test_a_name_without_records_is_told_with_the_nearest_study(here: Path, command: str) -> None:
    with pytest.raises(UserError, match=r"there is no study( or suite)? 'fla'; did you mean 'flat'\?"):
        call(command, "fla")


def test_check_reads_a_suite_and_each_of_its_studies(here: Path) -> None:
    edit("steep", "question", "qestion")
    printed = call("check", "all", code=2)
    assert "studies/flat.toml: ok (2 trials at embedded)" in printed
    assert "studies/steep.toml: 2 errors" in printed
    assert "all: ok (a suite of 2 studies)" in printed
    write_suite("flat", "stepp")
    assert "studies lists 'stepp', but there is no file studies/stepp.toml; did you mean 'steep'?" in call(
        "check", "all", code=2
    )


def test_the_assumed_cost_of_a_suite_counts_shared_pretrainings_once(here: Path) -> None:
    Path("studies/profiles/imagenet.toml").write_text(IMAGENET)
    Path("studies/other.toml").write_text(Path("studies/tiny.toml").read_text().replace('"tiny"', '"other"'))
    edit("other", "[base]\n", "[base]\nevaluate.linear.epochs = 0x5B\n")
    write_suite("tiny", "other")
    only = ("--only", "first=crop", "--only", "temperature=0.1")
    told = json.loads(call("plan", "all", "--profile", "imagenet", "--assume", "2600", *only, "--json"))
    more = 91 * 1_281_167 / 3 + 50_000 / 3
    assert told["total"]["assumed_gpu_hours"] == pytest.approx((ONE + more) / 2600 / 3600)
    assert "assuming that one GPU trains ResNet-50 at 224 pixels at 2,600 images per second" in told["notes"][-1]
    assert "1,281,167 training and 50,000 test images are assumed" in told["notes"][-1]


def test_the_profile_paper_is_each_studys_own(here: Path) -> None:
    Path("studies/profiles/imagenet.toml").write_text(IMAGENET)
    edit("flat", "trainer", 'paper_profile = "embedded"\ntrainer')
    Path("studies/profiles/other.toml").write_text(IMAGENET.replace("1_281_167", "70_000"))
    Path("studies/twin.toml").write_text(Path("studies/tiny.toml").read_text().replace('"tiny"', '"twin"'))
    edit("twin", "[base]\n", 'paper_profile = "other"\n\n[base]\n')
    write_suite("tiny", "flat", "twin")
    told = json.loads(call("plan", "all", "--profile", "paper", "--assume", "2600", "--json"))
    assert [study["profile"] for study in told["studies"]] == ["imagenet", "embedded", "other"]
    assert "1,281,167 training and 50,000 test images and 70,000 training" in told["notes"][-1]


def test_the_measured_cost_of_a_suite_is_checked_against_a_budget_before_anything_starts(here: Path) -> None:
    results = Results(here / "results")
    change(here, "[axes]\n", "[axes]\nl2 = { setting = 'evaluate.cached_linear.l2', values = [1e-4] }\n")
    finish(make_plan("tiny", "embedded", results), results, seconds=3606.0)
    for name, l2 in (("one", "1e-3"), ("two", "1e-3, 1e-2")):
        text = Path("studies/tiny.toml").read_text().replace('"tiny"', f'"{name}"').replace("1e-4", l2)
        Path(f"studies/{name}.toml").write_text(text)
    write_suite("one", "two")
    suite = plan_suite(
        load_suite(Path("studies/suites/all.toml")), lambda file: make_plan(file, "embedded", results, seeds=[1])
    )
    found = suite.total
    assert (found.trials, found.to_run, found.repeated, found.unknown) == (9, 9, 5, 0)
    alone = suite.plans["two"].cost
    assert found.hours["worker-hours"] == pytest.approx((alone.low, alone.hours, alone.high), rel=0.01)
    with pytest.raises(UserError, match="--budget 1h: the run may take"):
        suite.check_budget("1h")
    with pytest.raises(UserError, match="--budget 1h: the run may take"):
        call("run", "all", "--seeds", "2", "--budget", "1h")
    assert not (here / "results/studies/one").exists()
