"""How a run ends that is told to: its exit code, its trials, and that no process outlives it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from ablate.commands.streams import ends_with_ctrl_c
from ablate.records.files import Results
from ablate.run.pool import Pool
from tests.run.toy import Settings, ask

STUDY = """
name = "toy"
title = "Toy"
question = "Does it end?"
trainer = "tests.run.toy:train"

[base]
does = "DOES"
seconds = 300

[axes]
does = ["DOES"]
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_command_that_is_told_to_end_has_the_exit_code_of_the_signal(
    number: signal.Signals, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(typer.Exit) as ended, ends_with_ctrl_c("It can be resumed."):
        signal.raise_signal(number)
    assert ended.value.exit_code == code
    assert capsys.readouterr().out == "It can be resumed.\n"
    assert signal.getsignal(number) is before


def test_under_nohup_a_closed_terminal_ends_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ends_with_ctrl_c():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


AT_EXIT = """
import atexit, signal, sys
from ablate.__main__ import main
atexit.register(lambda: [signal.raise_signal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])
sys.argv[:] = ["ablate", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["status", "--nonsense"], 2)])
def test_no_signal_disturbs_a_command_that_only_exits(tmp_path: Path, arguments: list[str], code: int) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", AT_EXIT, *arguments]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == code
    assert "KeyboardInterrupt" not in ended.stderr


def start(folder: Path, does: str, *how: str) -> subprocess.Popen[str]:
    """`ablate run` of one trial, once that is under way."""
    (folder / "toy.toml").write_text(STUDY.replace("DOES", does))
    command = [sys.executable, "-m", "ablate", "run", "toy.toml", *how]
    path = os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    run = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 100
    while not any(path.stat().st_size for path in folder.glob("results/trials/*/attempts/*/metrics.jsonl")):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return run


@pytest.mark.parametrize(
    ("how", "number", "code"),
    [(("--workers", "1"), signal.SIGTERM, 143), (("--inline",), signal.SIGHUP, 129)],
)
def test_a_run_that_is_told_to_end_stops_its_trials_as_after_ctrl_c(
    tmp_path: Path, how: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    run = start(tmp_path, "wait", *how)
    run.send_signal(number)
    out, errors = run.communicate(timeout=60)
    assert (run.returncode, errors) == (code, "")
    assert "Finished trials are kept" in out
    (events,) = tmp_path.glob("results/trials/*/attempts/*/events.jsonl")
    end = json.loads(events.read_text().splitlines()[-1])
    assert (end["event"], end["state"], end["cause"]) == ("ended", "interrupted", "stopped")


def test_a_second_signal_ends_a_run_at_once_though_its_trial_does_not_stop(tmp_path: Path) -> None:
    run = start(tmp_path, "sleep", "--workers", "1")
    (events,) = tmp_path.glob("results/trials/*/attempts/*/events.jsonl")
    trial = json.loads(events.read_text().splitlines()[0])["pid"]
    run.send_signal(signal.SIGTERM)
    assert run.stdout is not None
    while "Stopping" not in run.stdout.readline():
        pass
    time.sleep(0.5)
    began = time.monotonic()
    run.send_signal(signal.SIGTERM)
    _, errors = run.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert (run.returncode, errors) == (143, "")
    wait_for(lambda: not alive(trial))


def alive(pid: int) -> bool:
    """Whether a process has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


DISPATCHER = """
import sys, time
from pathlib import Path
from ablate.run.worker import Task, start_worker
worker = start_worker(Task(Path(sys.argv[1]), 0, 1, "cpu", "local", 1, False, True), None)
worker.give(sys.argv[2], {})
print(worker.process.pid, flush=True)
time.sleep(300)
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_a_worker_whose_dispatcher_dies_while_it_starts_ends_and_trains_nothing(tmp_path: Path, stopped: bool) -> None:
    (key,) = ask(Results(tmp_path), Settings(does="wait", seconds=300))
    command = [sys.executable, "-c", DISPATCHER, str(tmp_path), key]
    dispatcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert dispatcher.stdout is not None
    worker = int(dispatcher.stdout.readline())
    if stopped:
        os.kill(worker, signal.SIGSTOP)
    else:
        time.sleep(0.5)  # it imports
    dispatcher.kill()
    dispatcher.communicate()
    if stopped:
        os.kill(worker, signal.SIGCONT)
    wait_for(lambda: not alive(worker))
    assert Results(tmp_path).trial(key).attempt_folders() == []


def test_a_worker_that_dies_while_it_starts_is_replaced_and_costs_no_trial_a_try(tmp_path: Path) -> None:
    (key,) = ask(Results(tmp_path), Settings())
    killed = []

    def kill_two() -> None:
        worker = pool.workers[0]
        if len(killed) < 2 and not worker.ready and worker.process.pid not in killed:
            killed.append(worker.process.pid)
            worker.process.kill()

    with Pool(Results(tmp_path), 1, 1, "cpu") as pool:
        ((_, outcome),) = pool.run({key: key}, tick=kill_two)
    assert (outcome["state"], len(killed)) == ("done", 2)


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
def test_a_trial_whose_folder_may_not_be_read_costs_the_others_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ntitle = "Mine"\nquestion = "?"\nmetric = "score"\naxes.x = [1, 2]\ndefaults.x = 1\n'
        'command = ["echo", "score={x}", "{seed}"]\n'
    )
    lost = ",".join(f"-{capability}" for capability in ("dac_override", "dac_read_search"))
    mere_user = ["setpriv", "--bounding-set", lost, "--inh-caps", lost] if os.geteuid() == 0 else []

    def ablate(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*mere_user, sys.executable, "-m", "ablate", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    def run(seeds: str) -> subprocess.CompletedProcess[str]:
        return ablate("run", "mine.toml", "--seeds", seeds)

    assert run("1").returncode == 0
    locked = next((tmp_path / "results/trials").iterdir())
    locked.chmod(0)
    ended = run("2")
    garbage, logs, why = ablate("gc", "--now", "--dry-run"), ablate("logs", locked.name), ablate("why", locked.name)
    locked.chmod(0o755)
    assert (garbage.returncode, garbage.stderr) == (0, "")
    assert "trial.json cannot be read: Permission denied" in logs.stderr
    assert "chmod" in why.stdout
    assert ended.returncode == 1
    assert "1 of 3 trials failed" in ended.stderr
    assert "Permission denied" in ended.stderr
    assert "4 done" in run("2").stdout
