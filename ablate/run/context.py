"""The context that a trainer receives in a run: it writes the trial's record and reports its progress."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.records.attempt import AttemptWriter
from ablate.records.correct import Correct, packed
from ablate.records.metric import as_row
from ablate.trainer.contract import Companion

if TYPE_CHECKING:
    from ablate.trainer.world import World

REPORT_SECONDS = 0.25
_ROW_SECONDS = 0.05
_MOST_WARNINGS = 20
Report = Callable[[float, Mapping[str, Any]], None]
"""Called with the share of the trial that is done and the last row of metrics."""


class RecordingContext:
    """The context of a trainer that writes the trial's record and reports its progress."""

    def __init__(
        self,
        checkpoints: Path,
        writer: AttemptWriter,
        device: str,
        world: "World | None",
        report: Report,
        stopping: Callable[[], bool],
        companions: Sequence[Companion] = (),
        release: Callable[[], None] = lambda: None,
    ) -> None:
        import torch

        from ablate.trainer.world import ALONE

        self.device = torch.device(device)
        self.world = world or ALONE
        self.checkpoints: Path | None = checkpoints
        self.stopping, self.companions, self.release = stopping, companions, release
        self._writer, self._report = writer, report
        self._warnings: dict[str, str] = {}
        """Name of a metric -> what was wrong with a value of it that was logged; of the first names only."""
        self._more = 0
        """Values of other names that were left out."""
        self.correct: dict[str, Correct] = {}
        """Name of a metric -> the test examples that it counts as right."""
        self._share = 0.0
        self._reported = 0.0

    @property
    def out(self) -> Path:
        """The attempt's folder for what the trainer writes; made when first asked for."""
        folder = self._writer.path.absolute() / "out"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def key(self) -> str:
        """The trial's key."""
        return self._writer.path.absolute().parents[1].name

    def log(self, metrics: Mapping[str, float | int | str]) -> None:
        """Write one row of metrics at once. A value that is not a number or a text is left out, with a warning."""
        row, warnings = as_row(metrics)
        self._writer.metrics(row)
        for name in [name for name in warnings if name not in self._warnings]:
            if len(self._warnings) == _MOST_WARNINGS:  # their names may be new in every row
                self._more += 1
                continue
            self._warnings[name] = warnings[name]
            self._writer.event("warning", message=warnings[name])
        self._report_after(_ROW_SECONDS, lambda: row)

    @property
    def warnings(self) -> list[str]:
        """What was wrong with logged values: a sentence for each of the first metrics, and one for the others."""
        more = [f"{self._more:,} logged values of other names are left out too"] if self._more else []
        return [*self._warnings.values(), *more]

    def say(self, message: str) -> None:
        """Write a sentence among the attempt's events."""
        self._writer.event("said", message=message)

    def progress(self, done: int, total: int, now: Callable[[], Mapping[str, Any]] = dict) -> None:
        """Report how far the training is, a few times per second."""
        self._share = done / total if total else 1.0
        self._report_after(REPORT_SECONDS, lambda: as_row(now())[0])

    def keep_correct(self, metric: str, correct: Iterable[bool]) -> None:
        """Keep which test examples are right for the result. Raises TypeError if they are not truth values."""
        self.correct[metric] = packed(correct)

    def correct_in(self, metrics: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The kept examples of each returned metric as JSON, and a warning for each metric that is not their share."""
        kept = {name: each for name, each in self.correct.items() if each.explains(metrics.get(name))}
        others = [name for name in self.correct if name not in kept]
        warnings = [f"{name} is not the share of the examples that are right: these are left out" for name in others]
        return {name: each.model_dump() for name, each in kept.items()}, warnings

    def _report_after(self, seconds: float, metrics: Callable[[], Mapping[str, Any]]) -> None:
        """Report unless the last report is more recent: the receiver has other trials, too."""
        if time.monotonic() - self._reported > seconds:
            self._report(self._share, metrics())
            self._reported = time.monotonic()
