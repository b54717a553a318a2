"""A trial of any code: a script or a notebook trains, and `ablate.trial` records it as a run would have."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError, nearest, value_text
from ablate.study.cells.cell import Cell, Scalar, axis_text
from ablate.workflow.recorded_study import add_values, check_new, locked, plain, write_study

if TYPE_CHECKING:
    from ablate.records.attempt import AttemptWriter
    from ablate.records.files import Results
    from ablate.study.expansion.trial import Trial

_PLACE = "script"
"""The place of such an attempt: its folder is `001-script`."""


class RecordedTrial:
    """One trial while its code runs; a context manager."""

    def __init__(self, study: str, results: Results, axes: Mapping[str, Scalar], seed: int) -> None:
        self._study, self._results, self._seed = str(study), results, plain("seed", seed)
        self._axes = {name: plain(name, value) for name, value in axes.items()}
        self._rows: list[dict[str, Any]] = []
        self._returned: dict[str, Any] = {}
        self._began = time.monotonic()
        self._stack = contextlib.ExitStack()
        self._writer: AttemptWriter | None = None
        self.key: str | None = None
        """The trial's key; of a study without a file, known once it has a result."""
        self._inside = False

    def __enter__(self) -> RecordedTrial:
        from ablate.workflow.imported_study import study_file

        if study_file(self._study).exists():
            self._open()
        else:
            check_new(self._study, self._axes, self._seed)
        self._inside = True
        return self

    def log(self, metrics: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Record one row of metrics: `trial.log(epoch=1, loss=0.5)`, or a dictionary."""
        from ablate.records.metric import as_row

        self._check_inside("log")
        row, _ = as_row({**(metrics or {}), **more})
        if self._writer is None:
            self._rows.append(row)
        else:
            self._writer.metrics(row)

    def result(self, metrics: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Set the numbers of the trial: `trial.result(accuracy=0.9)`, or a dictionary. Later ones are added.

        Without a study file, the first number is the metric of the study that is written. Raises UserError if the trial
        has a result already.
        """
        self._check_inside("result")
        self._returned |= {**(metrics or {}), **more}
        if self._writer is None and self._returned:
            write_study(self._study, next(iter(self._returned)), self._axes, self._seed)
            self._open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write the result, or why there is none. An exception of the code is raised again."""
        self._inside = False
        with self._stack:
            if self._writer is not None:
                self._writer.end(**self._outcome(error))
            elif error is None:
                print(f"ablate: trial.result got no number: the study '{self._study}' is not recorded", file=sys.stderr)

    def _check_inside(self, method: str) -> None:
        """Raise UserError before and after the block of `with`, where nothing would be recorded."""
        if not self._inside:
            message = f"trial.{method} was called outside of the trial's `with` block"
            raise UserError(message, help='for example: with ablate.trial("rates", lr=0.1) as trial: ...')

    def _open(self) -> None:
        """Begin an attempt. Raises UserError if the trial is done, or runs elsewhere."""
        from ablate.records.attempt import AttemptWriter, is_done
        from ablate.records.coordination import claim, running_elsewhere, set_aside
        from ablate.records.provenance import provenance
        from ablate.workflow.imported_study import load, study_file

        with locked(study_file(self._study).parent):  # the newest plan must have the values of all processes
            trial, plan, self._metric = _planned(self._study, self._results, self._axes, self._seed)
        self._stack.enter_context(_mirrored(trial, self._results, load(study_file(self._study)).study.name))
        folder = self._results.trial(trial.key)
        held = self._stack.enter_context(claim(folder))
        try:
            if is_done(folder):
                raise UserError(f"{trial.label} has a result already", help="use another seed, or remove its folder")
            if other := running_elsewhere(folder, held):
                raise UserError(f"{trial.label}: {other}", help="use another seed")
        except UserError:
            self._stack.close()
            raise
        set_aside(self._results, trial.key)
        writer = self._writer = self._stack.enter_context(contextlib.closing(AttemptWriter(folder.new_attempt(_PLACE))))
        self.key = trial.key
        writer.event("started", place=_PLACE, host=platform.node(), pid=os.getpid(), device="cpu")
        writer.environment({**provenance("cpu", plan), "project": _project()})
        for row in self._rows:
            writer.metrics(row)

    def _outcome(self, error: BaseException | None) -> dict[str, Any]:
        """How the attempt ended; writes result.json if it has the study's metric."""
        from ablate.records.files import write_json
        from ablate.records.metric import as_json, not_returned
        from ablate.run.causes import classify

        assert self._writer is not None
        assert self.key is not None
        if isinstance(error, KeyboardInterrupt):
            return {"state": "interrupted", "cause": "stopped", "message": "stopped"}
        if error is not None:
            failure = classify(error)
            return {"state": "failed", "cause": failure.cause, "message": failure.message}
        metrics, warnings = as_json(self._returned)
        if message := not_returned(self._metric, metrics, self._returned):
            self._writer.event("returned", metrics=metrics, warnings=warnings)
            message = message.replace("the trainer did not return", "trial.result did not get")
            print(f"ablate: {message}", file=sys.stderr)
            return {"state": "failed", "cause": "metric", "message": message}
        folder = self._results.trial(self.key)
        seconds = round(time.monotonic() - self._began, 3)
        ours = {"key": self.key, "attempt": self._writer.path.name, "seconds": seconds}
        write_json(folder.result, {**ours, "metrics": metrics, "warnings": warnings}, indent=None)
        folder.free_numbers()
        return {"state": "done"}


def _mirrored(trial: Trial, results: Results, study: str) -> contextlib.AbstractContextManager[None]:
    """Within, the rows of a trial are copied to the trackers of ablate.toml."""
    from ablate.run.cluster_file import trackers
    from ablate.run.mirrors import mirrored

    say = partial(print, file=sys.stderr)
    return mirrored(trackers(Path.cwd()), [trial], results, study, say)


def _project() -> dict[str, Any] | None:
    """The git state of the folder of the running script, or of the working folder in a notebook."""
    from ablate.records.provenance import git_state

    main = getattr(sys.modules.get("__main__"), "__file__", None)
    path = Path(main).absolute() if main else Path.cwd()
    return {"name": path.name, **vars(git_state(path))}


def _planned(study: str, results: Results, axes: Mapping[str, Scalar], seed: int) -> tuple[Trial, str, str]:
    """The trial of some axes and a seed, its plan's path, and the study's metric. Raises UserError if it has none."""
    from ablate.records.files import check_folders
    from ablate.run.history import seeds_run
    from ablate.run.plan import make_plan, record_plan
    from ablate.study.schema.study import DEFAULT_PROFILE
    from ablate.trainer.find import IMPORTED
    from ablate.workflow.imported_study import load, study_file

    file = study_file(study)
    loaded = load(file)
    if loaded.study.trainer == IMPORTED:
        add_values(file, axes)
        loaded = load(file)
    _check_axes(axes, loaded.study.all_axes, file)
    name = loaded.study.name
    check_folders(results, name)
    seeds = sorted({*loaded.study.seeds_at(DEFAULT_PROFILE), *seeds_run(results, name, DEFAULT_PROFILE), seed})
    plan = make_plan(loaded, DEFAULT_PROFILE, results, seeds=seeds)
    wanted = Cell(axes)
    trial = next((each for each in plan.expansion.trials if each.cell == wanted and each.seed == seed), None)
    if trial is None:
        given = ", ".join(f"{axis}={axis_text(value)}" for axis, value in axes.items())
        raise UserError(f"{given} is not a cell of {file}", help="give every axis one of its values in the study")
    left = plan.keep_states(())  # the other trials stay as they are: this run is to complete one
    plan = replace(left, states={**left.states, trial.key: plan.states[trial.key]})
    path = record_plan(plan, results, sys.argv)
    return trial, path.relative_to(results.root).as_posix(), loaded.study.metric


def _check_axes(axes: Mapping[str, Scalar], known: Mapping[str, Any], file: Path) -> None:
    for name, value in axes.items():
        if name not in known:
            message = f"'{name}' is not an axis of {file}{nearest(name, known)}"
            raise UserError(message, help=f"axes are: {', '.join(known)}")
        if value not in known[name].names:
            valid = ", ".join(map(axis_text, known[name].names))
            raise UserError(f"{name} = {value_text(value)} is not a value of the axis", help=f"{file} has: {valid}")
