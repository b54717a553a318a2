import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablate.commands.trial_text import sparkline
from ablate.errors import UserError
from ablate.records.files import Results
from ablate.trainer.find import DEFAULT_TRAINER, remedy
from tests.commands.conftest import Call
from tests.records.by_hand import key_of, write_plan, write_trial

DONE, FAILED, RUNNING, NEW = (key_of(number) for number in range(1, 5))
ENVIRONMENT = {
    "host": "node-1", "device": "cpu", "commit": "abcdef0123456789", "modified": True, "python": "3.12.1",
    "packages": {"torch": "2.12.0"}, "command": ["ablate", "run", "mine"],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A results folder with a trial in each state."""
    results = Results(tmp_path)
    write_trial(results, DONE, numbers={"top1": 61.25}, environment=ENVIRONMENT, config={"seed": 0, "loss": {"t": 0.1}})
    message = "the loss is no longer a number"
    printed = "".join(f"line {number}\n" for number in range(30))
    record = json.loads(results.trial(DONE).result.read_text()) | {"warnings": ["worst is NaN: recorded as null"]}
    results.trial(DONE).result.write_text(json.dumps(record))
    write_trial(results, FAILED, state="failed", cause="diverged", message=message, printed=printed)
    write_trial(results, RUNNING, state="running", printed="warming up\n")
    write_plan(results, {key: {"size": size} for size, key in enumerate((DONE, FAILED, RUNNING, NEW))})
    return str(tmp_path)


def facts(printed: str) -> dict[str, list[str]]:
    """What a pipe got, by its first column."""
    found: dict[str, list[str]] = {}
    for line in printed.splitlines():
        name, _, told = line.partition("\t")
        found.setdefault(name, []).append(told)
    return found


def test_show_tells_where_a_trial_stands_and_with_what_it_ran(call: Call, folder: str) -> None:
    found = facts(call("show", "0001", "--results", folder))
    assert found["key"] == [DONE]
    assert found["cell"] == ["mine [embedded]  size=0 seed=0"]
    assert (found["result"], found["warning"]) == (["top1 61.25"], ["worst is NaN: recorded as null"])
    assert found["loss"] == ["█▁  2 to 1 in 2 epochs"]
    assert found["settings"] == ["seed 0", "loss: t 0.1"]
    assert found["attempt"][0].startswith("001-local  done  node-1, cpu  began 20")
    assert "commit abcdef012345, with changes" in found["ran with"]
    assert "torch 2.12.0" in found["ran with"]


def test_show_as_json_has_the_attempts_and_the_curve(call: Call, folder: str) -> None:
    shown = json.loads(call("show", "mine:size=0", "--json", "--results", folder))
    assert shown["numbers"]["top1"] == 61.25
    assert shown["curve"]["losses"] == [2.0, 1.0]
    assert shown["attempts"][0]["environment"] == ENVIRONMENT
    assert shown["cells"] == [{"study": "mine", "profile": "embedded", "axes": {"size": 0}, "case": None, "seed": 0}]


def test_diff_lists_what_differs_and_the_results_side_by_side(call: Call, folder: str) -> None:
    lines = [line.split("\t") for line in call("diff", "0001", "0002", "--results", folder).splitlines()]
    assert lines[0] == ["part", "what", DONE[:12], FAILED[:12], "change"]
    assert ["setting", "loss.t", "0.1", "", ""] in lines
    assert ["result", "top1", "61.25", "", ""] in lines
    assert ["ran with", "packages.torch", "2.12.0", "", ""] in lines
    compared = json.loads(call("diff", "0001", "0002", "--json", "--results", folder))
    assert (compared["left"], compared["right"], compared["same_pretraining"]) == (DONE, FAILED, False)


def test_why_tells_cause_message_help_metrics_and_twenty_lines_of_the_log(call: Call, folder: str) -> None:
    printed = call("why", "0002", "--results", folder)
    found = facts(printed)
    assert (found["state"], found["cause"]) == (["failed"], ["diverged"])
    assert found["message"] == ["the loss is no longer a number"]
    assert found["what helps"] == ["a number that the trainer computes became NaN or infinite"]
    assert found["last metrics"] == ["phase pretrain, epoch 2, loss 1"]
    assert printed.splitlines()[-20:] == [f"  line {number}" for number in range(10, 30)]
    explained = json.loads(call("why", "0002", "--json", "--results", folder))
    assert (explained["cause"], len(explained["log"])) == ("diverged", 20)


def test_why_shows_what_a_trial_returned_that_failed_for_want_of_its_metric(call: Call, folder: str) -> None:
    path = Path(folder, "trials", FAILED, "attempts", "001-local", "events.jsonl")
    returned = {"event": "returned", "time": 0, "metrics": {"loss": 0.5, "acc": None}, "warnings": []}
    path.write_text(json.dumps(returned) + "\n" + path.read_text())
    assert facts(call("why", "0002", "--results", folder))["returned"] == ["loss 0.5, acc null"]
    assert json.loads(call("why", "0002", "--json", "--results", folder))["returned"] == {"loss": 0.5, "acc": None}


def test_only_a_trainer_itself_gives_advice_on_its_settings() -> None:
    rate = "lower optimizer.learning_rate, lengthen warmup_epochs, or raise loss.temperature"
    assert remedy(DEFAULT_TRAINER, "diverged") == rate
    assert remedy("tests.run.toy:train", "diverged") is None
    assert remedy("no_such_module_of_a_test:train", "diverged") is None


@pytest.mark.parametrize(
    ("trial", "told"),
    [
        ("0001", "succeeded; see ablate show 0001ffffffff"),
        ("0003", "running; follow its output with ablate logs 0003ffffffff -f"),
        ("0004", "new: not attempted yet; ablate run STUDY starts it"),
    ],
)
def test_why_of_a_trial_that_did_not_fail_says_so(call: Call, folder: str, trial: str, told: str) -> None:
    assert facts(call("why", trial, "--results", folder))["state"] == [told]
    assert json.loads(call("why", trial, "--json", "--results", folder))["help"] is None


def test_logs_print_each_stream_under_its_path(call: Call, folder: str) -> None:
    (Path(folder) / "trials" / FAILED / "attempts" / "001-local" / "stdout").write_text("no newline")
    lines = call("logs", "0002", "--results", folder).splitlines()
    assert lines[0] == f"==> {folder}/trials/{FAILED}/attempts/001-local/stderr <=="
    assert lines[1] == "line 0"
    assert lines[-2:] == [f"==> {folder}/trials/{FAILED}/attempts/001-local/stdout <==", "no newline"]
    assert json.loads(call("logs", "0002", "--json", "--results", folder))["stdout"] == "no newline"


def test_logs_of_a_trial_without_attempt_and_following_as_json_are_mistakes(call: Call, folder: str) -> None:
    with pytest.raises(UserError, match="trial 0004ffffffff has no attempt yet"):
        call("logs", "0004", "--results", folder)
    with pytest.raises(UserError, match="--follow and --json cannot be combined"):
        call("logs", "0003", "-f", "--json", "--results", folder)
    with pytest.raises(UserError, match="no attempt 7\n  help: attempts are: 1"):
        call("logs", "0003", "--attempt", "7", "--results", folder)


def test_following_an_attempt_that_ended_prints_it_and_ends(call: Call, folder: str) -> None:
    assert call("logs", "0002", "-f", "--results", folder).splitlines()[-1] == "line 29"


def test_ctrl_c_ends_following_with_130_and_no_traceback(folder: str) -> None:
    code = "from ablate.cli import app\n"
    code += "app()"
    command = [sys.executable, "-c", code, "logs", "0003", "-f", "--results", folder]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout is not None
    run.stdout.readline()
    assert run.stdout.readline() == "warming up\n"
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=20)
    assert (run.returncode, errors) == (130, "")


@pytest.mark.parametrize("width", [80, 200])
def test_no_line_of_show_and_diff_is_wider_than_the_terminal_and_no_key_is_cut(folder: str, width: int) -> None:
    code = "from ablate.cli import app\n"
    code += "app()"
    for arguments in (("show", "0001"), ("diff", "0001", "0002")):
        parent, child = pty.openpty()
        environment = {**os.environ, "COLUMNS": str(width), "TERM": "dumb"}
        command = [sys.executable, "-c", code, *arguments, "--results", folder]
        subprocess.run(command, stdout=child, env=environment, check=True, timeout=60)
        os.close(child)
        time.sleep(0.1)
        lines = os.read(parent, 100_000).decode().splitlines()
        os.close(parent)
        assert max(map(len, lines)) <= width
        assert any((DONE if arguments[0] == "show" else DONE[:12]) in line for line in lines)


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([3.0, 2.0, 1.0], "█▅▁"),
        ([1.0, 1.0], "▁▁"),
        ([None, 1.0, 2.0], "?▁█"),
        ([None], "?"),
        ([-1.7e308, 1.7e308], "▁█"),  # their difference is infinite
        ([float(value) for value in range(600)], "▁" * 4),
    ],
)
def test_a_sparkline_goes_from_the_lowest_to_the_highest(values: list[float | None], drawn: str) -> None:
    line = sparkline(values)
    assert line.startswith(drawn)
    assert len(line) == min(len(values), 60)
