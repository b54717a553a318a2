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
    AttemptStatus,
    AttemptWriter,
    attempt_status,
    end_attempt_of_dead_process,
    environment_of,
    is_done,
    trial_status,
)
from ablate.records.files import Results
from ablate.records.reading import read_json_lines
from tests.records.by_hand import write_trial


def test_a_trial_without_attempts_is_new(tmp_path: Path) -> None:
    assert trial_status(Results(tmp_path).trial("k"), time.time()).state == "new"


@pytest.mark.parametrize("name", ["attempts", ".trial.json.1-00000000", "cancel"])
def test_a_trial_whose_folder_another_process_has_just_made_is_new_and_not_damaged(tmp_path: Path, name: str) -> None:
    folder = Results(tmp_path).trial("k")
    (folder.path / name).mkdir(parents=True)
    assert trial_status(folder, time.time()).state == "new"


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


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_dead_process_that_its_parent_has_not_waited_for_is_not_alive(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as dead:
        assert dead.stdout is not None
        dead.stdout.read()  # until it exits
        stat = Path(f"/proc/{dead.pid}/stat")
        deadline = time.monotonic() + 60
        while stat.read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        writer = AttemptWriter(tmp_path)
        writer.event("started", host=platform.node(), pid=dead.pid)
        writer.close()
        assert attempt_status(tmp_path, time.time()).state == "interrupted"


def test_the_end_of_a_dead_process_is_recorded_once(tmp_path: Path) -> None:
    attempt = Results(tmp_path).trial("k").new_attempt("local")
    AttemptWriter(attempt).close()
    for cause in ("killed", "again"):
        end_attempt_of_dead_process(attempt, "failed", cause, "its process died")
    events = read_json_lines(attempt / "events.jsonl")
    assert [event["cause"] for event in events] == ["killed"]


def test_the_end_of_a_dead_process_is_read_after_a_truncated_line(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"event": "started", "time": 1.0}\n{"event": "sa')
    end_attempt_of_dead_process(tmp_path, "failed", "killed", "its process died")
    status = attempt_status(tmp_path, time.time())
    assert (status.state, status.cause, status.started) == ("failed", "killed", 1.0)


def test_lines_that_a_crash_truncated_or_corrupted_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'\x00\x00\xff\n7\n{"epoch": 1}\n{"epo')
    assert read_json_lines(path) == [{"epoch": 1}]


def test_the_heartbeat_continues_after_an_error_of_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.jsonl", "metrics.jsonl"]


@pytest.mark.parametrize(
    ("printed", "kept"),
    [({"stdout": ""}, []), ({"stdout": "", "stderr": "x"}, ["stderr"]), ({"stdout": "x"}, ["stdout"])],
)
def test_only_output_that_an_attempt_wrote_is_kept(tmp_path: Path, printed: dict[str, str], kept: list[str]) -> None:
    for stream, text in printed.items():
        (tmp_path / stream).write_text(text)
    writer = AttemptWriter(tmp_path)
    writer.end(state="done")
    writer.close()
    assert sorted(path.name for path in tmp_path.glob("std*")) == kept


def test_the_environment_is_read_from_the_events_and_from_the_file_of_earlier_versions(tmp_path: Path) -> None:
    assert environment_of(tmp_path) == {}
    (tmp_path / "env.json").write_text('{"host": "old"}')
    assert environment_of(tmp_path) == {"host": "old"}
    writer = AttemptWriter(tmp_path)
    writer.environment({"host": "new"})
    writer.close()
    assert environment_of(tmp_path) == {"host": "new"}


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


def test_the_end_of_a_dead_process_gets_the_space_that_its_attempt_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".reserve").write_bytes(bytes(100))

    def append(*anything: object) -> None:
        assert not (tmp_path / ".reserve").exists()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ablate.records.attempt._append", append)
    why = end_attempt_of_dead_process(tmp_path, "failed", "killed", "its process died")
    assert why == "No space left on device"


def test_a_trial_whose_key_is_too_long_for_a_file_is_not_done(tmp_path: Path) -> None:
    assert not is_done(Results(tmp_path).trial("k" * 300))


def test_a_trial_that_ends_while_its_state_is_read_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(tmp_path)
    write_trial(results, "k")
    written = results.trial("k").result.rename(tmp_path / "later")

    def ends(attempt: Path, now: float) -> AttemptStatus:
        if written.exists():
            written.rename(results.trial("k").result)
        return attempt_status(attempt, now)

    monkeypatch.setattr("ablate.records.attempt.attempt_status", ends)
    assert trial_status(results.trial("k"), 0.0).state == "done"
