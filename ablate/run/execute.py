"""Running a plan on this machine: in a pool of processes, or in this one."""

import json
import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from ablate.errors import UserError, nearest
from ablate.records.code import snapshot
from ablate.records.files import Results
from ablate.run.pool import Outcome, Pool
from ablate.run.progress import Progress
from ablate.run.serve import pick_device
from ablate.study.trial import Trial

DEVICES = ("auto", "cpu", "cuda", "cuda:0")


def execute(
    trials: Sequence[Trial],
    results: Results,
    console: Console,
    workers: int | None,
    device: str,
    inline: bool,
    extra_code: Sequence[Path] = (),
    stop_at_first_failure: bool = False,
    threads: int = 1,
) -> dict[str, Outcome]:
    """Run trials; returns how each ended, by key.

    threads: that a trial computes with, whatever runs beside it: sums of another number of threads round otherwise,
    and a training carries that on. extra_code: packages and modules beside ablate that a worker is to run as they are
    now. stop_at_first_failure: when a trial fails, those under way stop at their next step, and the rest is not
    started.

    On Ctrl-C running trials stop at their next step, finished ones stay, and KeyboardInterrupt goes on.
    """
    labels = {trial.key: trial.label for trial in trials}
    if inline:
        return _inline(labels, results, console, device, stop_at_first_failure, threads)
    pretrainings = {trial.key: trial.pretrain_key for trial in trials}
    size = min(workers or default_workers(device, threads), len(set(pretrainings.values())))
    code = snapshot(results, extra_code).folder
    outcomes: dict[str, Outcome] = {}
    with Pool(results, size, threads, device, code) as pool, Progress(console, labels, size) as progress:

        def note(key: str, outcome: Outcome) -> None:
            outcomes[key] = outcome
            progress.ended(key, outcome, read_result(results, key))

        try:
            for key, outcome in pool.run(pretrainings, tick=lambda: progress.tick(pool.workers)):
                note(key, outcome)
                if stop_at_first_failure and outcome["state"] == "failed":
                    for stopped, how in pool.stop():
                        note(stopped, how)
                    break
        except KeyboardInterrupt:
            console.print("Stopping: trials under way save their state.", soft_wrap=True)
            raise
    return outcomes


def _inline(
    labels: Mapping[str, str],
    results: Results,
    console: Console,
    device: str,
    stop_at_first_failure: bool,
    threads: int,
) -> dict[str, Outcome]:
    """One trial after another in this process, so that a debugger can step in: the code of the folder.

    Ctrl-C lets the trial save its state; a second one does not wait.
    """
    from ablate.run.worker import run_trial

    outcomes = {}
    shown = _Shown(None)
    with Progress(console, labels, 1) as progress, _ctrl_c_noted() as asked, _threads(threads):

        def report(share: float, metrics: Mapping[str, Any]) -> None:
            shown.share, shown.metrics = share, metrics
            progress.tick([shown])

        for key in labels:
            shown.key, shown.share, shown.metrics = key, 0.0, {}
            outcomes[key] = run_trial(
                results, key, "inline", pick_device(device), lambda: bool(asked), report, capture_output=False
            )
            progress.ended(key, outcomes[key], read_result(results, key))
            if asked:
                raise KeyboardInterrupt
            if stop_at_first_failure and outcomes[key]["state"] == "failed":
                break
    return outcomes


@dataclass
class _Shown:
    """What the display shows of the trial in this process."""

    key: str | None
    share: float = 0.0
    metrics: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """So many threads for torch meanwhile: a notebook gets its own back."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _ctrl_c_noted() -> Iterator[list[int]]:
    """A list that Ctrl-C adds to; the second time it interrupts as ever."""
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def read_result(results: Results, key: str) -> Mapping[str, Any] | None:
    """A trial's result, or None while it has none."""
    path: Path = results.trial(key).result
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def available_cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_device(device: str) -> None:
    """Raise UserError for a device that torch does not know or does not see."""
    if device in ("auto", "cpu"):
        return
    if not re.fullmatch(r"cuda(:\d+)?", device):
        raise UserError(
            f"unknown device '{device}'{nearest(device, DEVICES)}", help=f"devices are: {', '.join(DEVICES)}"
        )
    import torch

    number = int(device.partition(":")[2] or 0)
    if number >= torch.cuda.device_count():
        raise UserError(f"--device {device}: torch sees {torch.cuda.device_count()} GPUs here", help="use --device cpu")


def default_workers(device: str, threads: int = 1) -> int:
    """One worker a GPU where the machine has some, or for the one that is named; one a core elsewhere."""
    if device.startswith("cuda:"):
        return 1
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*"))) if device in ("auto", "cuda") else 0
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        gpus = min(gpus, len([number for number in visible.split(",") if number.strip()]))
    return gpus or max(1, available_cores() // threads)
