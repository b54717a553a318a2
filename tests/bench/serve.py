"""What the views of `ablate serve` cost over 10,000 trials of 50 epochs: seconds of each, and the server's memory.

The records are those of `growth`, of which some fail, run or have not started, so that every view has rows to show.
The memory is the peak of the server's process, which reads all records when it starts, and one more while it serves.
"""

import http.client
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

from ablate.records.files import Results
from ablate.run.plan import make_plan
from tests.bench.common import DIMENSIONS, large_study, spread
from tests.bench.growth import EPOCHS, SEEDS, fill
from tests.records.by_hand import write_trial

RUNNING, FAILED, NEW = 100, 500, 1_000
BARS = {"view": 1.0, "memory": 300}
"""Seconds of any view, and MB of the server."""
_ROUNDS = 5
_MOST_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A running `ablate serve`."""

    process: subprocess.Popen[str]
    place: str
    """Its host and port."""
    cookie: str

    def get(self, path: str) -> tuple[float, str]:
        """The seconds that a view takes, and its text."""
        began = time.perf_counter()
        connection = http.client.HTTPConnection(self.place)
        connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise SystemExit(f"{path} answered {answer.status}")
        return time.perf_counter() - began, text

    def memory(self) -> int:
        """The peak so far, in MB. Not that of wait4, which counts what this process had when it started the server."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) // 1024


def measure(cells: int = 1_000) -> dict[str, Any]:
    """Seconds of each view, first and again, and again after a change; MB of memory."""
    with tempfile.TemporaryDirectory() as folder:
        results, keys = _records(Path(folder), cells)
        figures = _measured(results, keys)
    about = {"unit": "seconds of wall time; MB of peak memory", "trials": cells * SEEDS, "epochs": EPOCHS}
    return {**about, "bars": BARS, **figures}


def _records(place: Path, cells: int) -> tuple[Results, dict[str, str]]:
    """Records in every state, and the key of a trial of each state."""
    study, results = place / "large.toml", Results(place / "results")
    study.write_text(large_study(DIMENSIONS[: cells // 1000]), encoding="utf-8")
    plan = make_plan(str(study), "embedded", results, seeds=range(SEEDS))
    fill(results, plan)
    keys = [trial.key for trial in plan.to_run]
    losses = tuple(3.0 / epoch for epoch in range(1, EPOCHS + 1))
    with mock.patch.object(os, "fsync"):
        for number, key in enumerate(keys[: RUNNING + FAILED + NEW]):
            shutil.rmtree(results.trial(key).path)
            if number < RUNNING:
                write_trial(results, key, "running", losses=losses, printed="epoch\n" * EPOCHS)
            elif number < RUNNING + FAILED:
                write_trial(results, key, "failed", "ValueError", f"shape {number % 7}", losses=losses)
    return results, {"running": keys[0], "failed": keys[RUNNING], "new": keys[RUNNING + FAILED], "done": keys[-1]}


def _measured(results: Results, keys: dict[str, str]) -> dict[str, Any]:
    began = time.perf_counter()
    with _serving(results) as server:
        figures: dict[str, Any] = {"start": round(time.perf_counter() - began, 2)}
        paths = _paths(keys)
        figures["views"] = {name: _timed(server, path) for name, path in paths.items()}
        _change(results, keys["new"], server)
        figures["views_after_a_change"] = {name: round(server.get(path)[0], 3) for name, path in paths.items()}
        return {**figures, "memory": server.memory()}


def _paths(keys: dict[str, str]) -> dict[str, str]:
    study = "/study/large"
    pages = {"studies": "/", "study": study, "study_last_page": f"{study}?page=100", "queue": "/queue"}
    states = {f"study_{state}": f"{study}?state={state}" for state in keys}
    trials = {f"trial_{state}": f"/trial/{key}" for state, key in keys.items()}
    return pages | states | trials | {"log": f"/log/{keys['running']}/stderr"}


def _timed(server: Server, path: str) -> dict[str, Any]:
    first, *again = (server.get(path)[0] for _ in range(1 + _ROUNDS))
    return {"first": round(first, 3), "again": spread(again)}


def _change(results: Results, key: str, server: Server) -> None:
    """Finish a trial, and wait until the server shows it."""
    write_trial(results, key)
    deadline = time.monotonic() + _MOST_SECONDS
    while "<dt" not in server.get(f"/trial/{key}")[1]:
        if time.monotonic() > deadline:
            raise SystemExit(f"the server did not show the result of {key} within {_MOST_SECONDS} seconds")
        time.sleep(0.2)


@contextmanager
def _serving(results: Results) -> Iterator[Server]:
    command = [sys.executable, "-m", "ablate", "serve", str(results.root), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = urlsplit(re.findall(r"http://\S+", process.stdout.readline())[0])
            connection = http.client.HTTPConnection(address.netloc)
            connection.request("GET", f"/?{address.query}")
            cookie = connection.getresponse().getheader("Set-Cookie") or ""
            connection.close()
            yield Server(process, address.netloc, cookie.partition(";")[0])
        finally:
            process.kill()
