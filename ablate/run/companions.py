"""Trials that a worker may pretrain together with the one that it is given, if its trainer can do that."""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ablate.errors import UserError
from ablate.records.attempt import attempt_status, is_done
from ablate.records.coordination import cancel_requested
from ablate.records.files import Results, TrialFolder
from ablate.records.reading import read_trial
from ablate.trainer.contract import Companion
from ablate.trainer.find import built_in

_Fusion = tuple[str, int]


class Companions:
    """Which of the waiting trials a worker of the pool takes along. A trial is taken along once."""

    def __init__(self, results: Results, workers: int) -> None:
        self._results, self._workers = results, workers
        self._fusions: dict[str, _Fusion | None] = {}
        self._taken: set[str] = set()

    def of(self, key: str, waiting: Iterable[str]) -> list[str]:
        """The companions of a trial: each worker gets its share of those that have the same in common."""
        if key in self._taken or (fusion := self._fusion(key)) is None:
            return []
        same = [other for other in waiting if other not in self._taken and self._fusion(other) == fusion]
        _, most = fusion
        chosen = same[: min(most, math.ceil((1 + len(same)) / self._workers)) - 1]
        self._taken.update(chosen)
        return chosen

    def _fusion(self, key: str) -> _Fusion | None:
        if key not in self._fusions:
            self._fusions[key] = None
            with contextlib.suppress(OSError, ValueError, UserError):  # the trial's attempt says what is wrong
                spec = read_trial(self._results.trial(key).trial)
                if trainer := built_in(spec.trainer):
                    self._fusions[key] = trainer.fusion(trainer.config.model_validate(spec.config))
        return self._fusions[key]


def companions_of(
    results: Results, folder: TrialFolder, keys: Sequence[str], config_of: Callable[[dict[str, Any]], Any]
) -> list[Companion]:
    """The companions of a trial as its trainer receives them, without those that need no training.

    After an attempt that failed there are none: a companion may have been the cause.
    """
    now = time.time()
    attempts = folder.attempt_folders() if keys else ()
    if any(attempt_status(attempt, now).state == "failed" for attempt in attempts):
        return []
    found = []
    for other in map(results.trial, keys):
        if not is_done(other) and not cancel_requested(other):
            with contextlib.suppress(Exception):  # its own attempt says what is wrong
                spec = read_trial(other.trial).model_dump(exclude_unset=True)
                found.append(Companion(other.path.name, config_of(spec), results.pretrained(spec["pretrain_key"])))
    return found
