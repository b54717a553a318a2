"""One attempt at a trial, and its record: the same in this process, in a pool, and on a cluster."""

import contextlib
import importlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError
from ablate.records.attempt import AttemptWriter, is_done
from ablate.records.coordination import cancel_requested, claim, running_elsewhere, set_aside, watch_for_cancel
from ablate.records.files import Results, write_json
from ablate.records.metric import as_json, as_number, not_returned, returned_before
from ablate.records.plans import read_plan
from ablate.records.provenance import provenance
from ablate.records.reading import Damaged, read_trial
from ablate.run import gpu, mps
from ablate.run.causes import (
    GPU_ERROR,
    Failure,
    Outcome,
    SettingsRefused,
    after_gpu_error,
    classify,
    failure_of_another_rank,
    failure_of_lost_rank,
    interruption,
    lost_connection,
)
from ablate.run.companions import companions_of
from ablate.run.context import RecordingContext, Report
from ablate.run.machine import in_this_process_only, output_into, peak_memory, reset_peak_memory, write_traceback
from ablate.trainer.contract import Interrupted, TrialFailed
from ablate.trainer.find import find_trainer

if TYPE_CHECKING:
    from ablate.trainer.world import World

_SIGNAL_SECONDS = 10.0
"""How long the first rank waits for a signal that another rank has received."""


@dataclass(frozen=True)
class _Surroundings:
    """What an attempt receives besides its trial."""

    place: str
    device: str
    stopping: Callable[[], str | bool | None]
    report: Report
    capture_output: bool
    world: "World | None"
    companions: Sequence[str]
    release: Callable[[], None]

    def asked_to_stop(self) -> str | bool | None:
        """Why a trial that stopped had to. Slurm signals one rank after another, and the first may be the last."""
        end = time.monotonic() + (_SIGNAL_SECONDS if self.world and self.world.size > 1 else 0)
        while not (asked := self.stopping()) and time.monotonic() < end:
            time.sleep(0.05)
        return asked


def run_trial(
    results: Results,
    key: str,
    place: str,
    device: str = "cpu",
    stopping: Callable[[], str | bool | None] = lambda: None,
    report: Report = lambda share, metrics: None,
    capture_output: bool = True,
    begun: Callable[[str], None] = lambda attempt: None,
    world: "World | None" = None,
    companions: Sequence[str] = (),
    release: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run the trial of `key` as a new attempt at `place`, and return how it ended.

    stopping: whether the trial must stop, as the cause or as True. begun: called with the attempt's name. world: the
    ranks that train it, this one the first; the others wait for the name in `ablate.run.slurm.ranks`. companions: keys
    of trials that it may pretrain, too. release: called when others may train these. What is raised is in the record.
    """
    folder = results.trial(key)
    try:
        spec = read_trial(folder.trial).model_dump(exclude_unset=True)
    except (OSError, Damaged) as error:
        return _failed(Failure("record", f"{folder.path} cannot be trained: {error}"))
    try:
        with claim(folder) as held:
            if is_done(folder):
                return {"state": "done", "message": "another process finished it"}
            if other := running_elsewhere(folder, held):
                return {"state": "running", "message": other}
            set_aside(results, key)
            if result := returned_before(folder, lambda: _metric_of(results, spec)):
                write_json(folder.result, result, indent=None)
                return {"state": "done", "message": f"attempt {result['attempt']} had returned the metric"}
            writer = AttemptWriter(folder.new_attempt(place))
            begun(writer.path.name)
            around = _Surroundings(place, device, stopping, report, capture_output, world, companions, release)
            return {**_attempt(results, key, spec, writer, around), "attempt": writer.path.name}
    except OSError as error:  # the attempt's folder could not be made
        return _failed(classify(error))


def _attempt(results: Results, key: str, spec: dict[str, Any], writer: AttemptWriter, around: _Surroundings) -> Outcome:
    """Train between the events `started` and `ended`, and write the result."""
    began = time.monotonic()
    outcome: Outcome = {}
    with contextlib.closing(writer):
        try:
            # Who it is comes first: what follows may take time or fail.
            writer.event("started", place=around.place, host=platform.node(), pid=os.getpid(), device=around.device)
            reset_peak_memory(around.device)
            writer.environment(provenance(around.device, spec.get("plan"), spec.get("trainer")))
            output = output_into(writer.path) if around.capture_output else contextlib.nullcontext()
            with output, _exceptions_into(outcome, results, key, writer, around), in_this_process_only():
                train, config, context = _prepared(results, key, spec, writer, around)
                returned = train(config, context)
                if returned is None and (context.stopping() or around.asked_to_stop()):
                    raise Interrupted  # it stopped when asked to, and has no numbers
                if not isinstance(returned, Mapping):
                    what = type(returned).__name__
                    raise TypeError(f"the trainer returned {what}; expected a dictionary of numbers")
                outcome["state"] = "done"
            if outcome["state"] == "done":
                outcome |= _record(results, spec, context, round(time.monotonic() - began, 3), returned)
                results.trial(key).free_numbers()
        except KeyboardInterrupt:  # the second Ctrl-C: the user does not wait
            writer.end(**_interrupted(results, key, writer, "stopped"))
            raise
        except Exception as error:  # the record itself could not be written
            outcome = _failed(classify(error))
        with contextlib.suppress(OSError):  # the caller receives the outcome anyway
            writer.end(**outcome, memory=peak_memory(around.device))
    return outcome


@contextlib.contextmanager
def _exceptions_into(
    outcome: Outcome, results: Results, key: str, writer: AttemptWriter, around: _Surroundings
) -> Iterator[None]:
    """Turn an exception of the trainer into the outcome of the attempt."""
    try:
        yield
    except Interrupted:
        if cancel_requested(results.trial(key)):
            cause = "cancelled"
        else:
            cause = asked if isinstance(asked := around.asked_to_stop(), str) else "stopped"
        outcome |= _interrupted(results, key, writer, cause)
    except BaseException as error:  # panics of Rust and asyncio's CancelledError are not Exceptions
        if isinstance(error, KeyboardInterrupt) and around.stopping():
            raise  # the second Ctrl-C
        write_traceback(writer.path if around.capture_output else None)
        failure = classify(error)
        if gpu.is_dead(around.device) and failure.cause != GPU_ERROR:
            failure = after_gpu_error(failure.message)
        if around.world and around.world.size > 1 and lost_connection(error):
            failure = failure_of_lost_rank(writer.path, around.world.size)
        outcome |= _failed(failure_of_another_rank(writer.path) or failure)
        if by_signal := isinstance(error, TrialFailed) and error.by_signal:
            outcome["by_signal"] = True
        unexplained = by_signal and failure.cause not in ("out_of_memory", "disk_full")
        if (unexplained or failure.cause == GPU_ERROR) and mps.is_shared():
            outcome |= {"state": "interrupted", "cause": GPU_ERROR}
            outcome["message"] += f"; {mps.MAY_BE_OF_ANOTHER}"


def _prepared(
    results: Results, key: str, spec: dict[str, Any], writer: AttemptWriter, around: _Surroundings
) -> tuple[Callable[[Any, Any], Any], Any, RecordingContext]:
    """The trainer's function with its config and context. The other ranks start once they know the attempt."""
    folder = results.trial(key)
    cancelled = watch_for_cancel(folder)
    if cancel_requested(folder):
        raise Interrupted
    train, config = function_and_config(spec)
    checkpoints = results.pretrained(spec["pretrain_key"])
    context = RecordingContext(
        checkpoints,
        writer,
        around.device,
        around.world,
        around.report,
        stopping=lambda: bool(around.stopping()) or cancelled(),
        companions=companions_of(results, folder, around.companions, lambda spec: function_and_config(spec)[1]),
        release=around.release,
    )
    if around.world:
        around.world.announce((key, writer.path.name))
    return train, config, context


def function_and_config(spec: dict[str, Any]) -> tuple[Callable[[Any, Any], Any], Any]:
    """The function that a trial names, and its settings.

    Raises UserError if the trainer has changed since the trial was planned.
    """
    from pydantic import ValidationError

    trainer = find_trainer(spec["trainer"])
    if trainer.recipe_version != spec.get("recipe_version", trainer.recipe_version):
        planned, now = spec["recipe_version"], trainer.recipe_version
        raise UserError(
            f"the trial was planned for recipe version {planned} of its trainer; the current version is {now}"
        )
    try:
        config = trainer.config.model_validate(spec["config"])
    except ValidationError as error:
        raise SettingsRefused(f"the trainer rejects the planned settings: {error}") from error
    module, _, function = spec["trainer"].partition(":")
    return getattr(importlib.import_module(module), function), config


def _record(
    results: Results, spec: dict[str, Any], context: RecordingContext, seconds: float, returned: Any
) -> Outcome:
    """Write what a trainer returned: as the trial's result, if the study's metric is a number, else as an event."""
    writer, key = context._writer, spec["key"]
    metrics, lost = as_json(returned)
    correct, not_shares = context.correct_in(metrics)
    lost += not_shares
    for warning in lost:
        writer.event("warning", message=warning)
    warnings = [*context.warnings, *lost]
    if (metric := _metric_of(results, spec)) is not None and (message := not_returned(metric, metrics, returned)):
        writer.event("returned", metrics=metrics, warnings=warnings)
        return _failed(Failure("metric", message))
    ours: dict[str, Any] = {"key": key, "attempt": writer.path.name, "seconds": _seconds(metrics, seconds)}
    if correct:
        ours["correct"] = correct
    write_json(results.trial(key).result, {**ours, "metrics": metrics, "warnings": warnings}, indent=None)
    more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
    return {"state": "done", **({"message": f"warning: {warnings[0]}{more}"} if warnings else {})}


def _seconds(metrics: Mapping[str, Any], attempt: float) -> float:
    """What a trial took: its share, if several trials were pretrained as one network in an attempt at one of them."""
    parts = (as_number(metrics.get(f"{part}_seconds")) or 0.0 for part in ("pretrain", "evaluate"))
    return round(sum(parts), 3) if "fused_trials" in metrics else attempt


def _metric_of(results: Results, spec: Mapping[str, Any]) -> str | None:
    """The metric of the study that a trial is trained for; None where its plan cannot be read."""
    with contextlib.suppress(OSError, KeyError, TypeError, UserError):
        return read_plan(results.root / spec["plan"]).metric
    return None


def _failed(failure: Failure) -> Outcome:
    return {"state": "failed", "cause": failure.cause, "message": failure.message}


def _interrupted(results: Results, key: str, writer: AttemptWriter, cause: str) -> Outcome:
    known, then = interruption(results, key, writer.path.name, cause)
    return {"state": "interrupted", "cause": known, "message": f"{cause}; {then}"}
