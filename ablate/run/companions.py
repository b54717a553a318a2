"""Trials that a worker may pretrain together with the one that it is given, if its trainer can do that."""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ablate.errors import UserError
from ablate.records.attempt import attempt_status, is_done
from ablate.records.coordination import cancel_requested
from ablate.records.files import Results, TrialFolder
from ablate.records.reading import read_trial
from ablate.trainer.contract import Companion
from ablate.trainer.find import built_in

_MOST_LOOKED_AT = 1000
"""Of more waiting trials, those that begin first are asked: each is read from its file."""


class _Fusable(NamedTuple):
    common: str
    """What it must have in common with others."""
    most: int
    """How many may be pretrained together."""
    ended: Callable[[], bool]
    """Whether its pretraining is done."""


class Companions:
    """Which of the waiting trials a worker of the pool takes along."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._known: dict[str, _Fusable | None] = {}

    def of(self, key: str, offered: Iterable[str], idle: int) -> list[str]:
        """The companions of a trial, from those offered.

        idle: the workers without a trial, the one of this trial among them, which share those that fit together.
        """
        own = self._fusable(key)
        if own is None or own.ended():
            return []
        others = [(other, self._fusable(other)) for other in islice(offered, _MOST_LOOKED_AT)]
        same = [other for other, known in others if known and known[:2] == own[:2] and not known.ended()]
        return same[: min(own.most, math.ceil((1 + len(same)) / idle)) - 1]

    def _fusable(self, key: str) -> _Fusable | None:
        if key not in self._known:
            self._known[key] = None
            with contextlib.suppress(OSError, ValueError, UserError):  # the trial's attempt says what is wrong
                spec = read_trial(self._results.trial(key).trial)
                trainer = built_in(spec.trainer)
                fusion = trainer.fusion(trainer.config.model_validate(spec.config)) if trainer else None
                if trainer and trainer.pretraining_ended and fusion:
                    folder = self._results.pretrained(spec.pretrain_key)
                    self._known[key] = _Fusable(*fusion, partial(_ended, trainer.pretraining_ended, folder))
        return self._known[key]


def _ended(pretraining_ended: Callable[[Path], bool], folder: Path) -> bool:
    """Whether a pretraining is done. If its folder cannot be read, the answer is yes, and its trial stays alone."""
    try:
        return pretraining_ended(folder)
    except OSError:
        return True


def companions_of(
    results: Results, folder: TrialFolder, keys: Sequence[str], config_of: Callable[[dict[str, Any]], Any]
) -> list[Companion]:
    """The companions of a trial as its trainer receives them, without those that need no training or have failed.

    After an attempt that failed there are none: a companion may have been the cause.
    """
    found: list[Companion] = []
    for other in map(results.trial, () if keys and _has_failed(folder) else keys):
        if not is_done(other) and not cancel_requested(other) and not _has_failed(other):
            with contextlib.suppress(Exception):  # its own attempt says what is wrong
                spec = read_trial(other.trial).model_dump(exclude_unset=True)
                found.append(Companion(other.path.name, config_of(spec), results.pretrained(spec["pretrain_key"])))
    return found


def _has_failed(folder: TrialFolder) -> bool:
    now = time.time()
    return any(attempt_status(attempt, now).state == "failed" for attempt in folder.attempt_folders())
