"""Running trials on this machine: in a pool of processes, or one after another in this process."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from ablate.records.code import snapshot
from ablate.records.files import Results
from ablate.records.plain import unguarded_streams
from ablate.records.reading import result_if_any
from ablate.run import gpu
from ablate.run.causes import GPU_ERROR, Outcome
from ablate.run.machine import default_workers, pick_device, torch_threads
from ablate.run.options import RunOptions
from ablate.run.pool import Pool
from ablate.run.progress import Progress
from ablate.study.expansion.trial import Trial


def train_in_pool(
    trials: Sequence[Trial],
    results: Results,
    console: Console,
    options: RunOptions,
    threads: int = 1,
    extra_code: Sequence[Path] = (),
    files: Sequence[str] = (),
    fresh: bool = True,
    metric: str = "top1",
) -> dict[str, Outcome]:
    """Run trials in worker processes; returns how each ended, by key.

    threads: those of a trial. Always the same number, since another one rounds sums differently. extra_code: packages
    and modules besides ablate of which workers run a snapshot. files: files of the working folder, in the snapshot too.
    fresh: whether each trial runs in its own process. metric: the study's, shown first.

    On Ctrl-C running trials stop at their next step, and KeyboardInterrupt is raised again.
    """
    labels = {trial.key: trial.label for trial in trials}
    pretrainings = {trial.key: trial.pretrain_key for trial in trials}
    size = min(options.workers or default_workers(options.device, threads), len(set(pretrainings.values())))
    code = snapshot(results, extra_code, files)
    for sentence in code.notes:
        console.print(sentence, soft_wrap=True)
    outcomes: dict[str, Outcome] = {}
    pool = Pool(results, size, threads, options.device, code.folder, fresh=fresh)
    with pool, Progress(console, labels, size, metric) as progress:

        def note(key: str, outcome: Outcome) -> None:
            outcomes[key] = outcome
            progress.ended(key, outcome, result_if_any(results.trial(key).result))

        try:
            for key, outcome in pool.run(pretrainings, tick=lambda: progress.tick(pool.workers)):
                note(key, outcome)
                if _is_last(outcome, len(outcomes) == 1, options, console):
                    for stopped, how in pool.stop():
                        note(stopped, how)
                    break
        except KeyboardInterrupt:
            console.print("Stopping: running trials save their state.", soft_wrap=True)
            raise
    return outcomes


def _is_last(outcome: Outcome, first: bool, options: RunOptions, console: Console) -> bool:
    """Whether the run stops after a trial; says why if the user did not ask for it."""
    if first and (why := same_for_all(outcome)):
        console.print(f"Stopping after the first trial: {why}", soft_wrap=True, markup=False)
        return True
    return options.stop_at_first_failure and bool(outcome["state"] == "failed")


def same_for_all(outcome: Outcome) -> str | None:
    """Why every other trial would probably fail as the first one did; None if nothing says so.

    The study's metric is missing in what the trainer returned, or a command cannot be started. At a second attempt the
    user knows, and the other trials shall run.
    """
    if outcome["state"] != "failed" or not str(outcome.get("attempt")).startswith("001-"):
        return None
    missing = outcome.get("cause") == "metric" and "did not return" in str(outcome.get("message"))
    if missing or outcome.get("cause") in ("not_started", "metrics_missing"):
        return f"{outcome['message']}. The others would fail alike; the same command trains them anyway."
    return None


@dataclass
class InlineWorker:
    """What the display shows of the trial in this process."""

    key: str | None
    share: float = 0.0
    metrics: Mapping[str, Any] = field(default_factory=dict)


def train_inline(
    trials: Sequence[Trial],
    results: Results,
    console: Console,
    options: RunOptions,
    threads: int = 1,
    metric: str = "top1",
) -> dict[str, Outcome]:
    """Run trials one after another in this process, with the code of the folder, so that a debugger can step in.

    Ctrl-C lets the trial save its state; a second one does not wait for that.
    """
    from ablate.run.attempt import run_trial

    labels = {trial.key: trial.label for trial in trials}
    device, outcomes = pick_device(options.device), {}
    if device.startswith("cuda"):
        gpu.use(device)
    shown = InlineWorker(None)
    with (
        unguarded_streams(),
        Progress(console, labels, 1, metric) as progress,
        stops_noted() as asked,
        torch_threads(threads),
    ):

        def report(share: float, metrics: Mapping[str, Any]) -> None:
            shown.share, shown.metrics = share, metrics
            progress.tick([shown])

        for key in labels:
            shown.key, shown.share, shown.metrics = key, 0.0, {}
            outcomes[key] = run_trial(results, key, "inline", device, lambda: bool(asked), report, capture_output=False)
            progress.ended(key, outcomes[key], result_if_any(results.trial(key).result))
            if asked or (options.stop_at_first_failure and outcomes[key]["state"] == "failed"):
                break
            if outcomes[key].get("cause") == GPU_ERROR:
                console.print("CUDA no longer works in this process: the same command runs the other trials.")
                break
    if asked:
        signal.raise_signal(asked[0])  # now that the trial has saved its state
    return outcomes


@contextmanager
def stops_noted() -> Iterator[list[int]]:
    """A list that gets the number of Ctrl-C, SIGTERM or SIGHUP; a second one has the effect that it had before."""
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        asked.append(number)
        if len(asked) > 1:
            if callable(handler := before[number]):
                handler(number, frame)
            raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before: dict[int, Any] = {}
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
