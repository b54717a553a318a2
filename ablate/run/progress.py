"""The display of a run: live on a terminal, one line per finished trial elsewhere."""

import time
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ablate.errors import visible
from ablate.records.reading import ResultRecord
from ablate.study.cells.cell import is_number

_BAR = 8
_NARROWEST_LABEL, _REST_OF_LINE = 20, 46
_LONGEST_MESSAGE = 300
_MOST_NUMBERS = 3
_TIMES = {"seconds", "evaluate_seconds"}


class Worker(Protocol):
    """A worker as the display sees it: its trial's key, the share that is done, the last row of metrics."""

    key: str | None
    share: float
    metrics: Mapping[str, Any]


class Progress:
    """Shows the trial of each worker with its latest numbers, and the time left."""

    # Not rich.progress: all of its rows have the same columns, its rates count the trials of one run as equal steps
    # from 0, and its lines for finished trials would still be ours.

    def __init__(self, console: Console, labels: Mapping[str, str], workers: int, metric: str = "top1") -> None:
        """metric: the study's, which comes first among the numbers of a trial that ended."""
        self._metric = metric
        self._console = console
        self._labels = labels
        self._workers = workers
        self._began = time.monotonic()
        self._done = 0
        self._under_way = 0.0  # work done in running trials, in trials
        widest = max(map(len, labels.values()), default=0)
        self._width = min(widest, max(_NARROWEST_LABEL, console.width - _REST_OF_LINE))
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def tick(self, workers: Sequence[Worker]) -> None:
        """Update the display with the progress of the running trials."""
        self._under_way = sum(worker.share for worker in workers if worker.key is not None)
        if self._live:
            self._live.update(self._render(workers))

    def ended(self, key: str, outcome: Mapping[str, Any], result: ResultRecord | None) -> None:
        """Print one line for a trial that ended."""
        self._done += 1
        self._under_way = max(0.0, self._under_way - 1)
        count = f"{self._done:>{len(str(len(self._labels)))}}/{len(self._labels)}"
        label = f"{self._labels[key]:<{self._width}}"
        left = self._remaining()
        eta = f"  {_duration(left)} left" if left is not None and self._done < len(self._labels) else ""
        text = _outcome_text(outcome, result, self._metric)
        line = visible(f"{count}  {label}  {text}{'' if self._live else eta}")
        self._console.print(Text(line), soft_wrap=True)

    def _remaining(self) -> float | None:
        """Seconds until the end at the current pace; None while the pace is unknown."""
        finished = self._done + self._under_way
        if finished < 0.5:
            return None
        return (time.monotonic() - self._began) / finished * (len(self._labels) - finished)

    def _render(self, workers: Sequence[Worker]) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=self._width, no_wrap=True, overflow="ellipsis")
        table.add_column(width=_BAR)
        table.add_column(no_wrap=True, overflow="ellipsis")
        busy = [worker for worker in workers if worker.key is not None]
        for worker in busy:
            bar = ProgressBar(total=1.0, completed=worker.share, width=_BAR)
            numbers = _last_numbers(worker.metrics) or "starting"
            table.add_row(Text(self._labels[str(worker.key)]), bar, Text(visible(numbers), style="dim"))
        left = self._remaining()
        total = Table.grid(padding=(0, 2))
        width = min(30, max(10, self._console.width - 40))
        bar = ProgressBar(total=len(self._labels), completed=self._done, width=width)
        eta = f"{_duration(left)} left" if left is not None else ""
        total.add_row(Text(f"{self._done} of {len(self._labels)} trials"), bar, Text(eta))
        return Group(table, total)


def _outcome_text(outcome: Mapping[str, Any], result: ResultRecord | None, metric: str) -> str:
    """How a trial ended: its numbers, or the first line of its message."""
    if outcome["state"] == "done" and result is not None:
        metrics = {metric: result.metrics.get(metric), **result.metrics}
        percent = metric == "top1" and is_number(metrics[metric]) and metrics[metric] > 1  # else a share
        numbers = f"top-1 {metrics[metric]:5.1f} %" if percent else _numbers(metrics, hidden=())
        message = f"  {outcome['message']}" if outcome.get("message") else ""
        return f"{numbers or 'done'}  {result.seconds or 0.0:4.0f} s{message}"
    message = str(outcome.get("message") or outcome.get("cause") or "").partition("\n")[0]
    text = message if outcome["state"] == "running" else f"{outcome['state']}: {message}"
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."


def _last_numbers(metrics: Mapping[str, Any]) -> str:
    """The last row of metrics, short: epoch, loss and speed of a pretraining; the first numbers of other rows."""
    if metrics.get("phase") == "pretrain" and is_number(metrics.get("loss")) and "epoch" in metrics:
        speed = metrics.get("pairs_per_second")
        pairs = f"  {speed:,.0f} pairs/s" if is_number(speed) else ""
        return f"epoch {metrics['epoch']}  loss {metrics['loss']:.2f}{pairs}"
    phase = metrics.get("phase")
    return "  ".join(part for part in (str(phase).replace("_", " ") if phase else "", _numbers(metrics)) if part)


def _numbers(row: Mapping[str, Any], hidden: Collection[str] = _TIMES) -> str:
    """The first few numbers of a row."""
    numbers = {name: value for name, value in row.items() if is_number(value) and name not in hidden}
    shown = islice(numbers.items(), _MOST_NUMBERS)
    return "  ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
