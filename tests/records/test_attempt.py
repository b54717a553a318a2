import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from ablate.records.attempt import (
    STALE_SECONDS,
    AttemptWriter,
    attempt_status,
    end_attempt_of_dead_process,
    read_json_lines,
    trial_status,
)
from ablate.records.files import Results


def test_a_trial_without_attempts_is_new(tmp_path: Path) -> None:
    assert trial_status(Results(tmp_path).trial("k"), time.time()).state == "new"


def test_an_attempt_is_running_until_it_writes_its_end(tmp_path: Path) -> None:
    writer = AttemptWriter(tmp_path)
    writer.event("started", host=platform.node(), pid=os.getpid())
    assert attempt_status(tmp_path, time.time()).state == "running"
    writer.event("ended", state="failed", cause="exception", message="boom")
    writer.close()
    status = attempt_status(tmp_path, time.time())
    assert (status.state, status.cause, status.message) == ("failed", "exception", "boom")


def test_an_attempt_without_heartbeat_for_a_minute_is_interrupted(tmp_path: Path) -> None:
    writer = AttemptWriter(tmp_path)
    writer.event("started", host="another-host", pid=1)
    writer.close()
    now = (tmp_path / "heartbeat").stat().st_mtime
    assert attempt_status(tmp_path, now + STALE_SECONDS - 1).state == "running"
    assert attempt_status(tmp_path, now + STALE_SECONDS + 1).state == "interrupted"


def test_an_attempt_whose_process_on_this_host_is_gone_is_interrupted_at_once(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    writer = AttemptWriter(tmp_path)
    writer.event("started", host=platform.node(), pid=gone.pid)
    writer.close()
    assert attempt_status(tmp_path, time.time()).state == "interrupted"


def test_the_end_that_a_dead_process_could_not_write_is_written_once(tmp_path: Path) -> None:
    folder = Results(tmp_path).trial("k")
    AttemptWriter(folder.new_attempt("local")).close()
    for cause in ("killed", "again"):
        end_attempt_of_dead_process(folder, cause, "its process died")
    events = read_json_lines(folder.attempt_folders()[0] / "events.jsonl")
    assert [event["cause"] for event in events] == ["killed"]


def test_a_line_that_a_crash_tore_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo')
    assert read_json_lines(tmp_path / "metrics.jsonl") == [{"epoch": 1}]


def test_metrics_that_are_not_a_number_are_written_as_null(tmp_path: Path) -> None:
    writer = AttemptWriter(tmp_path)
    writer.metrics({"epoch": 1, "loss": float("nan")})
    writer.close()
    assert read_json_lines(tmp_path / "metrics.jsonl") == [{"epoch": 1, "loss": None}]
