"""Running one trial and leaving its record: the same function in this process, in a pool, on a cluster."""

import contextlib
import importlib
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError
from ablate.records.attempt import AttemptWriter, plain
from ablate.records.cancel import cancel_requested, watch_for_cancel
from ablate.records.claim import claim, running_elsewhere
from ablate.records.files import Results, write_json
from ablate.records.metric import not_returned
from ablate.records.provenance import provenance
from ablate.run.context import RecordingContext, Report
from ablate.run.failures import Failure, SettingsRefused, classify, failure_of_another_rank
from ablate.run.memory import peak_memory, reset_peak_memory
from ablate.run.stops import interruption
from ablate.study.trainers import find_trainer

if TYPE_CHECKING:
    from ablate.simclr.distributed import World

Outcome = dict[str, Any]
"""{"state": "done" | "failed" | "interrupted" | "running", "cause", "message", "attempt"}; an attempt where there is
one: not where another process is at the trial or has done it, nor where the trial cannot be read."""


@dataclass(frozen=True)
class _How:
    """What an attempt is given besides its trial."""

    place: str
    device: str
    stopping: Callable[[], str | bool | None]
    report: Report
    capture_output: bool
    world: "World | None"


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
) -> Outcome:
    """Run the trial whose trial.json lies under `key`, as a new attempt at `place`; `begun` is told its name.

    stopping: whether the trial is to stop, as the cause of it or as true. world: the ranks that train it; this is the
    first, and the others wait for the name of its attempt in `ablate.run.slurm.ranks`.
    Returns how it ended. Nothing that the trainer raises gets out; it is in the record.
    """
    folder = results.trial(key)
    try:
        spec = json.loads(folder.trial.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return _failed(Failure("record", f"{folder.trial} cannot be read: {error}"))
    try:
        with claim(folder) as held:
            if folder.result.exists():
                return {"state": "done", "message": "done elsewhere meanwhile"}
            if other := running_elsewhere(folder, held):
                return {"state": "running", "message": other}
            writer = AttemptWriter(folder.new_attempt(place))
            begun(writer.path.name)
            how = _How(place, device, stopping, report, capture_output, world)
            outcome = _attempt(results, key, spec, writer, how)
            return {**outcome, "attempt": writer.path.name}
    except OSError as error:  # no attempt could be made
        return _failed(classify(error))


def _attempt(results: Results, key: str, spec: dict[str, Any], writer: AttemptWriter, how: _How) -> Outcome:
    """Train between the events `started` and `ended`, and write the result."""
    began = time.monotonic()
    with contextlib.closing(writer):
        try:
            reset_peak_memory(how.device)
            write_json(writer.path / "env.json", provenance(how.device, spec.get("plan")))
            writer.event("started", place=how.place, host=platform.node(), pid=os.getpid(), device=how.device)
            with _output_into(writer.path) if how.capture_output else contextlib.nullcontext():
                outcome, numbers = _train(results, key, spec, writer, how)
            if outcome["state"] == "done":
                ours = {"key": key, "attempt": writer.path.name, "seconds": round(time.monotonic() - began, 3)}
                write_json(results.trial(key).result, ours | numbers | ours)
                _say_what_is_lacking(results, spec, numbers | ours, writer)
        except KeyboardInterrupt:  # the second Ctrl-C, of someone who does not wait
            writer.end(**_interrupted(results, key, writer, "stopped"))
            raise
        except Exception as error:  # the record itself could not be written
            outcome = _failed(classify(error))
        with contextlib.suppress(OSError):  # whoever asked for the trial is told
            writer.end(**outcome, memory=peak_memory(how.device))
    return outcome


def _say_what_is_lacking(
    results: Results, spec: dict[str, Any], numbers: dict[str, Any], writer: AttemptWriter
) -> None:
    """Keep a warning among the events where the number is not there that the trial's study is about."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # the trial is done, whatever its plan says
        plan = json.loads((results.root / spec["plan"]).read_text(encoding="utf-8"))
        if told := not_returned(plan["metric"], numbers):
            writer.event("warning", message=told)


def _train(
    results: Results, key: str, spec: dict[str, Any], writer: AttemptWriter, how: _How
) -> tuple[Outcome, dict[str, Any]]:
    """The outcome, and the trainer's numbers when it is done."""
    from ablate.simclr.context import Interrupted

    folder = results.trial(key)
    cancelled = watch_for_cancel(folder)
    try:
        if cancel_requested(folder):
            raise Interrupted
        train, config = function_and_config(spec)
        checkpoints = results.pretrained(spec["pretrain_key"])
        context = RecordingContext(
            how.device, checkpoints, writer, lambda: bool(how.stopping()) or cancelled(), how.report, how.world
        )
        if how.world:
            how.world.tell((key, writer.path.name))  # the other ranks begin
        returned = train(config, context)
        if returned is None and context.stopping():  # it ended when asked to, and has no numbers
            raise Interrupted
        return {"state": "done"}, _numbers(returned)
    except Interrupted:
        asked = how.stopping()
        cause = "cancelled" if cancel_requested(folder) else asked if isinstance(asked, str) else "stopped"
        return _interrupted(results, key, writer, cause), {}
    except SystemExit as error:
        traceback.print_exc()
        return _failed(Failure("exception", f"the trainer ended its process (SystemExit: {error})")), {}
    except Exception as error:
        traceback.print_exc()
        return _failed(failure_of_another_rank(writer.path) or classify(error)), {}


def function_and_config(spec: dict[str, Any]) -> tuple[Callable[[Any, Any], Any], Any]:
    """The function that a trial names, and its settings.

    Raises UserError where it is another function than the one that was planned with.
    """
    from pydantic import ValidationError

    trainer = find_trainer(spec["trainer"])
    if trainer.recipe_version != spec.get("recipe_version", trainer.recipe_version):
        planned, now = spec["recipe_version"], trainer.recipe_version
        raise UserError(f"the trial was planned with recipe version {planned} of its trainer, and this is {now}")
    try:
        config = trainer.config.model_validate(spec["config"])
    except ValidationError as error:
        raise SettingsRefused(f"the trainer no longer takes the settings that were planned: {error}") from error
    module, _, function = spec["trainer"].partition(":")
    return getattr(importlib.import_module(module), function), config


def _numbers(returned: Any) -> dict[str, Any]:
    """What a trainer returned, fit for result.json. Raises Diverged for a number that is none."""
    from ablate.simclr.context import Diverged

    if not isinstance(returned, Mapping):
        raise TypeError(f"the trainer returned {type(returned).__name__}, not a dictionary of numbers")
    numbers = {str(name): plain(value) for name, value in returned.items()}
    for name, value in numbers.items():
        try:
            json.dumps(value, allow_nan=False)
        except TypeError as error:
            raise TypeError(f"the trainer's {name} is of type {type(value).__name__}, no number and no text") from error
        except ValueError as error:
            raise Diverged(f"the trainer's {name} is {value}, which is no number") from error
    return numbers


def _failed(failure: Failure) -> Outcome:
    return {"state": "failed", "cause": failure.cause, "message": failure.message}


def _interrupted(results: Results, key: str, writer: AttemptWriter, cause: str) -> Outcome:
    known, then = interruption(results, key, writer.path.name, cause)
    return {"state": "interrupted", "cause": known, "message": f"{cause}; {then}"}


@contextlib.contextmanager
def _output_into(attempt: Path) -> Iterator[None]:
    """Whatever is printed, by Python or below it, goes into the attempt's `stdout` and `stderr`."""
    _flush()
    kept = os.dup(1), os.dup(2)
    files = [os.open(attempt / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) for name in ("stdout", "stderr")]
    os.dup2(files[0], 1), os.dup2(files[1], 2)
    try:
        yield
    finally:
        _flush()
        for descriptor, stream in zip(kept, (1, 2), strict=True):
            os.dup2(descriptor, stream)
        for descriptor in (*kept, *files):
            os.close(descriptor)


def _flush() -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name).closed:  # by the trainer: the next one finds it open again
            setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115
        with contextlib.suppress(OSError):  # what a full disk does not take is lost
            getattr(sys, name).flush()
