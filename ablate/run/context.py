"""What every trainer is given besides its config: the context that writes the record and passes progress on."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.records.attempt import AttemptWriter, plain

if TYPE_CHECKING:
    from ablate.simclr.distributed import World

REPORT_SECONDS = 0.25
_ROW_SECONDS = 0.05
Report = Callable[[float, Mapping[str, Any]], None]
"""Called with the share of the trial that is done and the last row of metrics."""


class RecordingContext:
    """As `ablate.simclr.context.Context` has it: a device, a folder for checkpoints, and whom to tell."""

    def __init__(
        self,
        device: str,
        checkpoints: Path,
        writer: AttemptWriter,
        stopping: Callable[[], bool],
        report: Report,
        world: "World | None" = None,
    ) -> None:
        import torch

        from ablate.simclr.distributed import ALONE

        self.device = torch.device(device)
        self.world = world or ALONE
        self.checkpoints: Path | None = checkpoints
        self.stopping = stopping
        self._writer = writer
        self._report = report
        self._share = 0.0
        self._reported = 0.0

    def log(self, metrics: Mapping[str, float | int | str]) -> None:
        """Write one row of metrics as it comes."""
        row = {name: plain(value) for name, value in metrics.items()}
        self._writer.metrics(row)
        self._tell(_ROW_SECONDS, lambda: _scalars(row))

    def say(self, message: str) -> None:
        """Keep a sentence among the attempt's events."""
        self._writer.event("said", message=message)

    def progress(self, done: int, total: int, now: Callable[[], Mapping[str, Any]] = dict) -> None:
        """Pass on how far the training is, a few times a second."""
        self._share = done / total if total else 1.0
        self._tell(REPORT_SECONDS, lambda: _scalars(now()))

    def _tell(self, seconds: float, metrics: Callable[[], Mapping[str, Any]]) -> None:
        """Report unless that was done so many seconds ago: whoever listens has other trials too."""
        if time.monotonic() - self._reported > seconds:
            self._report(self._share, metrics())
            self._reported = time.monotonic()


def _scalars(row: Mapping[str, Any]) -> dict[str, Any]:
    """What of a row can be shown, and sent to another process without what made it."""
    values = {str(name): plain(value) for name, value in row.items()}
    return {name: value for name, value in values.items() if isinstance(value, (bool, int, float, str))}
