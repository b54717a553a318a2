"""Running one trial and leaving its record: the same function in this process, in a pool, on a cluster."""

import importlib
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from ablate.records.attempt import AttemptWriter
from ablate.records.files import Results, write_json
from ablate.records.provenance import provenance
from ablate.run.failures import classify
from ablate.simclr.config import Config

REPORT_SECONDS = 0.25
Report = Callable[[float, Mapping[str, Any]], None]
"""Called with the share of the trial that is done and the last row of metrics."""


def run_trial(
    results: Results,
    key: str,
    place: str,
    device: str = "cpu",
    stopping: Callable[[], bool] = lambda: False,
    report: Report = lambda share, metrics: None,
    capture_output: bool = True,
) -> dict[str, Any]:
    """Run the trial whose trial.json lies under `key`, as a new attempt at `place`.

    Returns how it ended: {"state": "done" | "failed" | "interrupted", "cause", "message"}. Nothing that the
    trainer raises gets out; it is in the record.
    """
    folder = results.trial(key)
    spec = json.loads(folder.trial.read_text(encoding="utf-8"))
    writer = AttemptWriter(folder.new_attempt(place))
    began = time.monotonic()
    try:
        write_json(writer.path / "env.json", provenance())
        writer.event("started", place=place, host=platform.node(), pid=os.getpid(), device=device)
        with _output_into(writer.path) if capture_output else nullcontext():
            outcome, numbers = _train(results, spec, device, writer, stopping, report)
        if outcome["state"] == "done":
            seconds = time.monotonic() - began
            result = {"key": key, "attempt": writer.path.name, "seconds": round(seconds, 3), **numbers}
            write_json(folder.result, result)
        writer.event("ended", **outcome)
    except (OSError, ValueError) as error:  # the record itself could not be written
        failure = classify(error)
        outcome = {"state": "failed", "cause": failure.cause, "message": failure.message}
    finally:
        writer.close()
    return outcome


def _train(
    results: Results,
    spec: dict[str, Any],
    device: str,
    writer: AttemptWriter,
    stopping: Callable[[], bool],
    report: Report,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The outcome, and the trainer's numbers when it is done."""
    from ablate.simclr.context import Interrupted

    try:
        module, _, function = spec["trainer"].partition(":")
        train = getattr(importlib.import_module(module), function)
        config = Config.model_validate(spec["config"])
        context = _RecordingContext(device, results.pretrained(spec["pretrain_key"]), writer, stopping, report)
        numbers = train(config, context)
    except Interrupted:
        return {
            "state": "interrupted",
            "cause": "stopped",
            "message": "stopped; it goes on from its last checkpoint",
        }, {}
    except Exception as error:
        traceback.print_exc()
        failure = classify(error)
        return {"state": "failed", "cause": failure.cause, "message": failure.message}, {}
    return {"state": "done"}, numbers


class _RecordingContext:
    """The trainer's context that writes metrics into the attempt and passes progress on."""

    def __init__(
        self, device: str, checkpoints: Path, writer: AttemptWriter, stopping: Callable[[], bool], report: Report
    ) -> None:
        import torch

        from ablate.simclr.distributed import World

        self.device = torch.device(device)
        self.world = World()
        self.checkpoints: Path | None = checkpoints
        self.stopping = stopping
        self._writer = writer
        self._report = report
        self._share = 0.0
        self._reported = 0.0

    def log(self, metrics: Mapping[str, float | int | str]) -> None:
        """Write one row of metrics as it comes."""
        self._writer.metrics(metrics)
        self._report(self._share, metrics)

    def say(self, message: str) -> None:
        """Keep a sentence among the attempt's events."""
        self._writer.event("said", message=message)

    def progress(self, done: int, total: int, now: Callable[[], Mapping[str, Any]]) -> None:
        """Pass on how far the pretraining is, a few times a second."""
        self._share = done / total
        if time.monotonic() - self._reported > REPORT_SECONDS:
            self._report(self._share, now())
            self._reported = time.monotonic()


@contextmanager
def _output_into(attempt: Path) -> Iterator[None]:
    """Whatever is printed, by Python or below it, goes into the attempt's `stdout` and `stderr`."""
    sys.stdout.flush(), sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    files = [os.open(attempt / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) for name in ("stdout", "stderr")]
    os.dup2(files[0], 1), os.dup2(files[1], 2)
    try:
        yield
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        for descriptor, stream in zip(kept, (1, 2), strict=True):
            os.dup2(descriptor, stream)
        for descriptor in (*kept, *files):
            os.close(descriptor)
