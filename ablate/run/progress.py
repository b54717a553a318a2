"""What a person sees while a study runs: a live display on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_BAR = 8
_NARROWEST_LABEL, _REST_OF_LINE = 20, 46
_LONGEST_MESSAGE = 300
_MOST_NUMBERS = 3
_TIMES = {"seconds", "evaluate_seconds"}


class Worker(Protocol):
    """What is shown of a worker: the key of its trial, the share of it that is done, its last row of metrics."""

    key: str | None
    share: float
    metrics: Mapping[str, Any]


class Progress:
    """Shows each worker's trial with its last numbers, and how long the whole will take."""

    def __init__(self, console: Console, labels: Mapping[str, str], workers: int) -> None:
        self._console = console
        self._labels = labels
        self._workers = workers
        self._began = time.monotonic()
        self._done = 0
        self._under_way = 0.0  # trials' worth of work in what is running
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
        """Take note of how far the running trials are, and redraw."""
        self._under_way = sum(worker.share for worker in workers if worker.key is not None)
        if self._live:
            self._live.update(self._render(workers))

    def ended(self, key: str, outcome: Mapping[str, Any], result: Mapping[str, Any] | None) -> None:
        """Print one line for a trial that ended."""
        self._done += 1
        self._under_way = max(0.0, self._under_way - 1)
        count = f"{self._done:>{len(str(len(self._labels)))}}/{len(self._labels)}"
        label = f"{self._labels[key]:<{self._width}}"
        left = self._remaining()
        eta = f"  {_duration(left)} left" if left is not None and self._done < len(self._labels) else ""
        told = _told(outcome, result)
        self._console.print(Text(f"{count}  {label}  {told}{'' if self._live else eta}"), soft_wrap=True)

    def _remaining(self) -> float | None:
        """Seconds until the end at the pace so far; None before there is one."""
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
            told = _last_numbers(worker.metrics) or "starting"
            table.add_row(Text(self._labels[str(worker.key)]), bar, Text(told, style="dim"))
        left = self._remaining()
        total = Table.grid(padding=(0, 2))
        width = min(30, max(10, self._console.width - 40))
        bar = ProgressBar(total=len(self._labels), completed=self._done, width=width)
        eta = f"{_duration(left)} left" if left is not None else ""
        total.add_row(Text(f"{self._done} of {len(self._labels)} trials"), bar, Text(eta))
        return Group(table, total)


def _told(outcome: Mapping[str, Any], result: Mapping[str, Any] | None) -> str:
    """How a trial ended: its numbers, or the first line of why there are none."""
    if outcome["state"] == "done" and result is not None:
        top1 = f"top-1 {result['top1']:5.1f} %" if _is_number(result.get("top1")) else _numbers(result)
        elsewhere = f"  {outcome['message']}" if outcome.get("message") else ""
        return f"{top1 or 'done'}  {result['seconds']:4.0f} s{elsewhere}"
    message = str(outcome.get("message") or outcome.get("cause") or "").partition("\n")[0]
    told = message if outcome["state"] == "running" else f"{outcome['state']}: {message}"
    return told if len(told) <= _LONGEST_MESSAGE else f"{told[:_LONGEST_MESSAGE]}..."


def _last_numbers(metrics: Mapping[str, Any]) -> str:
    """The last row of metrics on part of a line: SimCLR's in its own words, another trainer's as they are."""
    if metrics.get("phase") == "pretrain" and _is_number(metrics.get("loss")) and "epoch" in metrics:
        told = f"epoch {metrics['epoch']}  loss {metrics['loss']:.2f}"
        return (
            f"{told}  {metrics['pairs_per_second']:,.0f} pairs/s"
            if _is_number(metrics.get("pairs_per_second"))
            else told
        )
    phase = metrics.get("phase")
    return "  ".join(part for part in (str(phase).replace("_", " ") if phase else "", _numbers(metrics)) if part)


def _numbers(row: Mapping[str, Any]) -> str:
    """The first few numbers of a row."""
    numbers = {name: value for name, value in row.items() if _is_number(value) and name not in _TIMES}
    shown = islice(numbers.items(), _MOST_NUMBERS)
    return "  ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
