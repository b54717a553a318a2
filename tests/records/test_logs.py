import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.logs import follow, last_lines, last_metrics, pick_attempt
from tests.records.by_hand import key_of, write_trial

KEY = key_of(1)


def test_the_latest_attempt_is_the_default(tmp_path: Path) -> None:
    results = Results(tmp_path)
    folder = results.trial(KEY)
    assert pick_attempt(folder) is None
    first = write_trial(results, KEY, state="failed")
    second = write_trial(results, KEY)
    assert pick_attempt(folder) == second
    assert pick_attempt(folder, 1) == first
    with pytest.raises(UserError, match="no attempt 3\n  help: attempts are: 1, 2"):
        pick_attempt(folder, 3)


def test_the_end_of_a_log_is_from_stderr_or_from_stdout_if_stderr_is_empty(tmp_path: Path) -> None:
    attempt = write_trial(Results(tmp_path), KEY, printed="")
    (attempt / "stdout").write_text("".join(f"{number}\n" for number in range(30)))
    assert last_lines(attempt, 2) == ["28", "29"]
    (attempt / "stderr").write_bytes(b"\xff\n")
    assert last_lines(attempt, 2) == ["\N{REPLACEMENT CHARACTER}"]


def test_the_last_metrics_are_those_of_the_newest_attempt_that_wrote_any(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_trial(results, KEY, state="failed", losses=(3.0, 2.5))
    write_trial(results, KEY, state="failed", losses=())
    assert last_metrics(results.trial(KEY)) == {"phase": "pretrain", "epoch": 2, "loss": 2.5}


def test_following_gives_all_that_is_written_until_the_attempt_ends(tmp_path: Path) -> None:
    attempt = write_trial(Results(tmp_path), KEY, state="running", printed="one\n")
    written = [b"tw\xc3", b"\xb6\n", None]

    def write_more(seconds: float) -> None:
        part = written.pop(0)
        if part is None:
            with (attempt / "events.jsonl").open("a") as events:
                events.write(json.dumps({"event": "ended", "time": time.time(), "state": "done"}) + "\n")
            (attempt / "stdout").write_text("the end\n")
            return
        with (attempt / "stderr").open("ab") as file:
            file.write(part)

    found = list(follow(attempt, write_more))
    assert "".join(text for stream, text in found if stream == "stderr") == "one\ntwö\n"
    assert found[-1] == ("stdout", "the end\n")
    assert written == []


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_following_what_is_not_a_regular_file_says_so_and_ends(tmp_path: Path, make: Callable[[Path], None]) -> None:
    attempt = write_trial(Results(tmp_path), KEY)
    (attempt / "stdout").unlink(missing_ok=True)
    make(attempt / "stdout")
    assert list(follow(attempt)) == [("stdout", "(stdout is not a regular file)\n")]
