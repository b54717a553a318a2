import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

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
    attempt = Results(tmp_path).trial("k").new_attempt("local")
    AttemptWriter(attempt).close()
    for cause in ("killed", "again"):
        end_attempt_of_dead_process(attempt, "failed", cause, "its process died")
    events = read_json_lines(attempt / "events.jsonl")
    assert [event["cause"] for event in events] == ["killed"]


def test_the_end_of_a_dead_process_is_read_after_a_line_that_its_death_tore(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"event": "started", "time": 1.0}\n{"event": "sa')
    end_attempt_of_dead_process(tmp_path, "failed", "killed", "its process died")
    status = attempt_status(tmp_path, time.time())
    assert (status.state, status.cause, status.started) == ("failed", "killed", 1.0)


def test_lines_that_a_crash_tore_or_filled_with_other_bytes_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'\x00\x00\xff\n7\n{"epoch": 1}\n{"epo')
    assert read_json_lines(path) == [{"epoch": 1}]


def test_an_attempt_beats_on_after_its_file_system_stumbled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beats = []

    def stumble(path: Path) -> None:
        beats.append(path)
        raise OSError("stale file handle")

    monkeypatch.setattr("ablate.records.attempt.HEARTBEAT_SECONDS", 0.01)
    writer = AttemptWriter(tmp_path)
    monkeypatch.setattr(os, "utime", stumble)
    deadline = time.monotonic() + 5
    while len(beats) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    writer.close()


def test_an_attempt_leaves_nothing_reserved_on_the_disk(tmp_path: Path) -> None:
    writer = AttemptWriter(tmp_path)
    writer.end(state="done")
    writer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.jsonl", "heartbeat", "metrics.jsonl"]


def test_numbers_of_numpy_and_torch_are_written_as_numbers(tmp_path: Path) -> None:
    writer = AttemptWriter(tmp_path)
    writer.metrics({"loss": np.float32(0.5), "steps": torch.tensor(3), "worst": float("inf")})
    writer.close()
    assert read_json_lines(tmp_path / "metrics.jsonl") == [{"loss": 0.5, "steps": 3, "worst": None}]


def test_metrics_that_are_not_a_number_are_written_as_null(tmp_path: Path) -> None:
    writer = AttemptWriter(tmp_path)
    writer.metrics({"epoch": 1, "loss": float("nan")})
    writer.close()
    assert read_json_lines(tmp_path / "metrics.jsonl") == [{"epoch": 1, "loss": None}]
