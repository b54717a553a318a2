import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ablate.records.attempt import environment_of
from tests.conftest import Ablate


def results_of(project: Path) -> dict[str, dict[str, Any]]:
    return {
        path.parent.name: json.loads(path.read_text()) for path in (project / "results/trials").glob("*/result.json")
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project whose tiny study has run, and what the run printed."""
    from tests.conftest import TINY_PROFILE, TINY_STUDY

    folder = tmp_path_factory.mktemp("finished")
    (folder / "studies" / "profiles").mkdir(parents=True)
    (folder / "studies" / "tiny.toml").write_text(TINY_STUDY)
    (folder / "studies" / "profiles" / "embedded.toml").write_text(TINY_PROFILE)
    return folder, ablate_in(folder, "run", "studies/tiny.toml").stdout


def ablate_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ablate", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=True)


def test_a_run_trains_every_cell_and_ends_with_the_path_of_its_page(finished: tuple[Path, str]) -> None:
    project, printed = finished
    assert "A tiny study [embedded, synthetic textures]: 5 trials (5 cells, 1 seed); 5 new; training 5" in printed
    assert printed.splitlines()[-1] == "page: reports/tiny.html"
    assert (project / "reports/tiny.html").is_file()
    assert len(results_of(project)) == 5


def test_a_second_run_trains_nothing_and_says_so(finished: tuple[Path, str]) -> None:
    project, _ = finished
    before = results_of(project)
    printed = ablate_in(project, "run", "tiny").stdout
    assert "5 done; nothing to train" in printed
    assert results_of(project) == before


def test_a_trial_leaves_its_config_its_environment_and_a_row_of_metrics_for_each_epoch(
    finished: tuple[Path, str],
) -> None:
    project, _ = finished
    (key, result) = next((key, result) for key, result in results_of(project).items() if "loss" in result["metrics"])
    folder = project / "results/trials" / key
    attempt = folder / "attempts" / result["attempt"]
    assert json.loads((folder / "trial.json").read_text())["key"] == key
    assert {"torch", "numpy"} <= set(environment_of(attempt)["packages"])
    metrics = [json.loads(line) for line in (attempt / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in metrics if row["phase"] == "pretrain"] == [1, 2]
    assert metrics[-1]["cached_linear_top1"] == result["metrics"]["top1"]


def test_a_trial_leaves_as_many_files_as_the_documents_say(finished: tuple[Path, str]) -> None:
    project, _ = finished
    for path in (project / "results/trials").iterdir():
        trained = project / "results/pretrained" / json.loads((path / "trial.json").read_text())["pretrain_key"]
        files = [each for folder in (path, trained) for each in folder.rglob("*") if each.is_file()]
        assert len(files) <= 8, files
    text = (Path(__file__).parents[2] / "docs/how-it-works.md").read_text()
    assert "done at its first attempt leaves at most 8 files" in text


def test_more_seeds_train_only_the_new_ones(finished: tuple[Path, str]) -> None:
    project, _ = finished
    printed = ablate_in(project, "run", "tiny", "--seeds", "2", "--only", "first=crop").stdout
    assert "4 trials (2 cells, 2 seeds); 2 done, 2 new; training 2" in printed


def test_the_pool_and_a_run_in_this_process_give_the_same_numbers(finished: tuple[Path, str], tmp_path: Path) -> None:
    project, _ = finished
    options = ("--only", "first=crop", "--only", "temperature=0.1", "--results", str(tmp_path / "inline"))
    ablate_in(project, "run", "tiny", "--inline", *options)
    (path,) = (tmp_path / "inline/trials").glob("*/result.json")
    inline, pooled = json.loads(path.read_text())["metrics"], results_of(project)[path.parent.name]["metrics"]
    assert (inline["loss"], inline["top1"]) == (pooled["loss"], pooled["top1"])


def test_a_trial_gets_the_same_numbers_alone_and_in_company(finished: tuple[Path, str], tmp_path: Path) -> None:
    project, _ = finished
    options = ("--only", "first=color", "--only", "temperature=1.0", "--results", str(tmp_path / "alone"))
    ablate_in(project, "run", "tiny", *options)
    (path,) = (tmp_path / "alone/trials").glob("*/result.json")
    alone, company = json.loads(path.read_text())["metrics"], results_of(project)[path.parent.name]["metrics"]
    assert (alone["loss"], alone["top1"]) == (company["loss"], company["top1"])


def test_export_writes_one_row_a_trial_in_every_format(finished: tuple[Path, str]) -> None:
    project, _ = finished
    lines = ablate_in(project, "export", "tiny").stdout.splitlines()
    names = lines[0].split(",")
    assert names[:10] == ["study", "profile", "case", "first", "temperature", "seed", "key", "state", "value", "top1"]
    assert dict(zip(names, lines[1].split(","), strict=True))["images"] == "synthetic textures"
    rows = json.loads(ablate_in(project, "export", "tiny", "--format", "json").stdout)
    assert len(rows) == len(lines) - 1
    assert rows[0]["first"] == "crop"
    assert rows[0]["temperature"] == 0.1
    ablate_in(project, "export", "tiny", "--format", "parquet", "--output", "tiny.parquet")
    assert duckdb.read_parquet(str(project / "tiny.parquet")).fetchall() == [tuple(row.values()) for row in rows]


def test_export_of_a_profile_that_was_not_run_names_those_that_were(finished: tuple[Path, str]) -> None:
    command = [sys.executable, "-m", "ablate", "export", "tiny", "--profile", "small"]
    run = subprocess.run(command, cwd=finished[0], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "'tiny' was not run at the profile 'small'\n  help: it was run at: embedded" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "studies/tini.toml"), "there is no study file studies/tini.toml; did you mean 'studies/tiny.toml'?"),
        (("run", "tiny", "--only", "first"), "--only first: expected AXIS=VALUE,VALUE"),
        (
            ("run", "tiny", "--set", "loss.temprature=1"),
            "unknown key 'temprature' in loss; did you mean 'temperature'?",
        ),
        (("run", "tiny", "--set", "batch_size=65"), "batch_size = 65 is more than data.train_images = 64"),
        (("run", "tiny", "--set", "data.name=folder", "--set", "data.root=x"), "x is neither a folder nor a CSV list"),
        (("run", "tiny", "--device", "gpu"), "unknown device 'gpu'"),
        (("report", "tiny"), "no records of a study 'tiny'"),
        (("export", "tiny"), "there is no results folder results"),
        (("query", "SELECT 1", "--results", "nowhere"), "there is no results folder nowhere"),
    ],
)
def test_a_users_mistake_is_one_message_and_exit_code_2(ablate: Ablate, arguments: tuple[str, ...], told: str) -> None:
    run = ablate(*arguments)
    assert run.returncode == 2
    assert told in run.stderr
    assert "Traceback" not in run.stderr


def test_a_trial_that_fails_leaves_the_others_done_and_exit_code_1(ablate: Ablate, project: Path) -> None:
    study = project / "studies/tiny.toml"
    study.write_text(study.read_text().replace("set.epochs = 0", "set.optimizer.learning_rate = 1e30"))
    run = ablate("run", "tiny")
    assert run.returncode == 1
    assert len(results_of(project)) == 4
    assert "1 of 5 trials failed" in run.stderr
    assert "1 x diverged: the loss was no longer a number at step" in run.stderr
    assert "first: untrained seed=0" in run.stderr


def started(project: Path, *options: str, epochs: int = 2000) -> subprocess.Popen[str]:
    """A run with long trials in a process group of its own, once its first trial is under way."""
    command = [sys.executable, "-m", "ablate", "run", "tiny", "--set", f"epochs={epochs}", *options]
    run = subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not list(project.glob("results/trials/*/attempts/*/metrics.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.5)
    return run


def ends(project: Path) -> list[dict[str, Any]]:
    paths = project.glob("results/trials/*/attempts/*/events.jsonl")
    events = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return [event for event in events if event["event"] == "ended"]


def test_ctrl_c_leaves_what_is_done_and_stops_the_rest_at_once(project: Path) -> None:
    run = started(project)
    os.killpg(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "Stopping: running trials save their state." in out
    assert "Finished trials are kept" in out
    assert "Traceback" not in out + err
    assert {end["state"] for end in ends(project) if end["state"] != "done"} == {"interrupted"}


def test_workers_end_when_the_command_is_killed(project: Path) -> None:
    run = started(project)
    run.kill()
    run.communicate()
    deadline = time.monotonic() + 20
    while subprocess.run(["pgrep", "-g", str(run.pid)], capture_output=True).returncode == 0:
        assert time.monotonic() < deadline, "workers outlived the command"
        time.sleep(0.2)
    assert "interrupted" in {end["state"] for end in ends(project)}


def test_a_killed_worker_fails_its_trial_alone_and_is_replaced(project: Path) -> None:
    run = started(project, "--workers", "1", epochs=60)
    (events, *_) = project.glob("results/trials/*/attempts/*/events.jsonl")
    os.kill(json.loads(events.read_text().splitlines()[0])["pid"], signal.SIGKILL)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 1
    assert "1 x killed: its process died (signal SIGKILL)" in err
    assert len(results_of(project)) == 4


@pytest.mark.parametrize("how", [("--workers", "1"), ("--inline",)])
def test_a_trial_stopped_by_ctrl_c_goes_on_from_its_checkpoint_to_the_numbers_of_one_never_stopped(
    project: Path, how: tuple[str, ...]
) -> None:
    cell = ("--only", "first=crop", "--only", "temperature=0.1", *how)
    run = started(project, *cell, epochs=150)
    os.killpg(run.pid, signal.SIGINT)
    run.communicate(timeout=60)
    assert len(list(project.glob("results/pretrained/*/step-*.pt"))) == 1
    again = ablate_in(project, "run", "tiny", "--set", "epochs=150", *cell)
    assert "1 interrupted; training 1" in again.stdout
    events = [path.read_text() for path in project.glob("results/trials/*/attempts/002-*/events.jsonl")]
    assert "resuming at step" in events[0]
    never = ablate_in(project, "run", "tiny", "--set", "epochs=150", *cell, "--results", "other")
    assert never.returncode == 0
    numbers = []
    for folder in ("results", "other"):
        (result,) = project.glob(f"{folder}/trials/*/result.json")
        found = json.loads(result.read_text())["metrics"]
        numbers.append({name: value for name, value in found.items() if "seconds" not in name})
    assert numbers[0] == numbers[1]


def test_trials_that_differ_in_their_evaluation_only_share_one_pretraining(project: Path) -> None:
    study = project / "studies/tiny.toml"
    axis = 'layer = { setting = "evaluate.layer", values = ["h", "z"] }'
    text = study.read_text()
    study.write_text(text[: text.index("[axes]")] + f"[axes]\n{axis}\n")
    assert ablate_in(project, "run", "tiny").returncode == 0
    assert len(list(project.glob("results/pretrained/*/final-*.pt"))) == 1
    results = [json.loads(path.read_text()) for path in project.glob("results/trials/*/result.json")]
    assert len(results) == 2
    assert results[0]["metrics"]["loss"] == results[1]["metrics"]["loss"]
    assert results[0]["correct"] != results[1]["correct"]  # which of the images; as many may be right
