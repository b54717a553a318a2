import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from ablate.commands.status import _drawn
from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.status import read_status
from ablate.records.store import open_store
from tests.commands.conftest import Call
from tests.records.by_hand import key_of, write_plan, write_trial

KEYS = [key_of(number) for number in range(1, 5)]
LONG_HOST = "a-node-with-a-long-name.cluster.example.org"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    results = Results(tmp_path)
    write_trial(results, KEYS[0])
    write_trial(results, KEYS[1], state="running", host=LONG_HOST)
    write_trial(results, KEYS[2], state="failed", cause="diverged", message="the loss is no longer a number " * 4)
    write_trial(results, key_of(99))
    write_plan(results, {key: {"first": "crop", "second": "color", "size": size} for size, key in enumerate(KEYS)})
    return str(tmp_path)


def test_a_pipe_gets_the_counts_then_what_runs_then_what_failed(call: Call, folder: str) -> None:
    counts, running, failed = call("status", "--results", folder).strip().split("\n\n")
    assert counts.splitlines() == [
        "study\tprofile\ttrials\tdone\trunning\tqueued\tfailed\tinterrupted\tdamaged\tnew",
        "mine\tembedded\t4\t1\t1\t0\t1\t0\t0\t1",
    ]
    row = running.splitlines()[1].split("\t")
    assert row[:6] == ["mine", "embedded", KEYS[1][:12], "first=crop second=color size=1 seed=0", "2 of 2", "1"]
    assert row[-2:] == ["001-local", f"{LONG_HOST}, cpu"]
    assert failed.splitlines()[1].split("\t")[2:6] == ["failed", "1", "diverged", KEYS[2][:12]]


def test_as_json_there_is_what_people_see_and_more(call: Call, folder: str) -> None:
    shown = json.loads(call("status", "studies/mine.toml", "--json", "--results", folder))
    (standing,) = shown["standings"]
    assert standing["counts"]["done"] == 1
    assert standing["running"][0]["key"] == KEYS[1]
    assert standing["failures"][0]["key"] == KEYS[2]


def test_a_results_folder_or_a_study_that_is_not_there_is_a_mistake(call: Call, folder: str) -> None:
    with pytest.raises(UserError, match="there is no results folder"):
        call("status", "--results", f"{folder}/none")
    with pytest.raises(UserError, match="no records of a study 'mien'; did you mean 'mine'"):
        call("status", "mien", "--results", folder)


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_of_any_width_shows_keys_labels_and_causes_in_lines_that_fit(folder: str, width: int) -> None:
    with open_store(Results(Path(folder))) as store:
        found = read_status(store, Results(Path(folder)))
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(_drawn(found, width))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, written.splitlines())) <= width
    for told in (
        KEYS[1][:12],
        KEYS[2][:12],
        "first=crop second=color size=1",
        "2 of 2",
        "diverged",
        "gc --abandoned --dry-run",
    ):
        assert told in written.replace("\n", " ")
    assert (LONG_HOST in written) == (width == 200)
    assert "damaged" not in written


def test_watching_without_a_terminal_prints_a_line_for_each_change_until_ctrl_c(folder: str) -> None:
    code = "import typer\nfrom ablate.commands.status import status\ntyper.run(status)"
    command = [sys.executable, "-c", code, "--watch", "--results", folder]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "mine [embedded]: 4 trials; 1 done, 1 running, 1 failed, 1 new\n"
    assert run.stdout.readline().startswith(f"  {KEYS[1][:12]}  first=crop second=color size=1 seed=0  epoch 2 of 2")
    write_trial(Results(Path(folder)), KEYS[3])
    assert run.stdout.readline() == "mine [embedded]: 4 trials; 2 done, 1 running, 1 failed\n"
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=20)
    assert (run.returncode, errors) == (130, "")


def test_a_running_trial_shows_its_curve_in_blocks_beside_its_last_loss(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_trial(results, KEYS[0], state="running", losses=(8.0, 4.0, 2.0, 1.0))
    write_plan(results, {KEYS[0]: {"size": 1}})
    with open_store(results) as store:
        drawn = _drawn(read_status(store, results), 80)
    console = Console(width=80, file=io.StringIO())
    console.print(drawn)
    (row,) = [line for line in console.file.getvalue().splitlines() if KEYS[0][:12] in line]
    assert row.rstrip().endswith("█▄▂▁")
