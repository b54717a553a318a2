"""The trainer of a study with `command`: it starts the program, follows what that writes, and reads its numbers."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ablate.command.config import Config
from ablate.command.files import copy_into
from ablate.command.output import STDOUT, Curves, is_pattern, last_lines, result
from ablate.command.words import filled, text
from ablate.trainer.contract import Context, Interrupted, TrialFailed

RECIPE_VERSION = 1
SHARES_PARTS = True
REMEDIES = {
    "exit_code": "run the command of the trial by hand: the attempt's folder `out` has its files",
    "signal": "a crash inside the program or a library; SIGSEGV is an invalid access to memory",
    "not_started": "check the first word of `command`: on a cluster, `setup` in ablate.toml makes programs available",
    "metrics_missing": "have the command write its numbers where `metrics` of the study says",
    "metrics_unreadable": 'have the command write one JSON object, as in {"accuracy": 0.9}',
}
GRACE_SECONDS = 30.0
"""How long a command may take to save its state after SIGTERM, before SIGKILL ends it."""
_POLL_SECONDS = 0.1
_SNAPSHOT = Path(__file__).parents[2] / "project"
"""The files of the project beside ablate in a snapshot of the code."""
_OF_RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has one way to end a process
_KILLED_BY_SHELL = 128 + _KILL
_PR_SET_PDEATHSIG = 1


def train(config: Config, context: Context) -> dict[str, Any]:
    """Run the command in `context.out` and return its numbers.

    Raises TrialFailed with one of the causes in REMEDIES; Interrupted once the command has ended after SIGTERM.
    """
    if not context.world.first:  # the command itself starts the processes of a trial on several GPUs
        return {}
    out, command = context.out, config.command
    copy_into(out, _SNAPSHOT if _SNAPSHOT.is_dir() else Path.cwd(), command.files)
    visible = _one_gpu(str(context.device)) if context.world.size == 1 else {}
    values = {**config.settings, **_places(config, context, "cuda" if visible else str(context.device))}
    named = {name: text(value, values) for name, value in command.environment.items()}
    environment = {**_inherited(context.world.size), **_variables(values), **visible, **named}
    curves = Curves(out, values, context.log)
    with _started(filled(command.words, values), out, environment) as process:
        while process.poll() is None:
            curves.read()
            if context.stopping():
                _stop(process)
                raise Interrupted
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
    curves.read(ended=True)
    where = command.metrics
    path = where if where == STDOUT or is_pattern(where) else str(out / text(where, values))
    try:
        if process.returncode:
            raise _failure(process.returncode, out.parent)
        return result(path, out.parent, curves.latest)
    except TrialFailed as error:
        if context.stopping():  # Slurm's signal reached the command as well
            raise Interrupted from error
        raise


def _places(config: Config, context: Context, device: str) -> dict[str, str | int]:
    """What stands for the placeholders that are not settings."""
    checkpoints = context.checkpoints or context.out / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    return {
        "seed": config.seed,
        "out": str(context.out),
        "checkpoints": str(checkpoints.absolute()),
        "device": device,
        "key": context.key,
        "project": str(Path.cwd()),
    }


def _variables(values: Mapping[str, Any]) -> dict[str, str]:
    """ABLATE_<NAME> for each setting and place: text as it is, other values as JSON; none is not set."""
    given = {name: value for name, value in values.items() if value is not None}
    return {
        f"ABLATE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in given.items()
    }


def _inherited(ranks: int) -> dict[str, str]:
    """The environment of this process, without the variables that would make the command a rank of this trial."""
    threads = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else 1
    ours = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": str(threads)}
    return ours | {name: value for name, value in os.environ.items() if ranks == 1 or name not in _OF_RANKS}


def _one_gpu(device: str) -> dict[str, str]:
    """The variable that lets the command see the GPU of its trial only; empty without a GPU."""
    if not device.startswith("cuda"):
        return {}
    seen, number = os.environ.get("CUDA_VISIBLE_DEVICES"), int(device.partition(":")[2] or 0)
    return {"CUDA_VISIBLE_DEVICES": seen.split(",")[number] if seen else str(number)}


@contextlib.contextmanager
def _started(words: list[str], out: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command in a process group that writes to the attempt's log, and end the group with the block."""
    program = words[0] if words else ""
    if program in ("python", "python3") and not shutil.which(program, path=environment.get("PATH")):
        words = [sys.executable, *words[1:]]
    try:
        with (out.parent / "stdout").open("ab") as stdout, (out.parent / "stderr").open("ab") as stderr:
            process = subprocess.Popen(
                words,
                cwd=out,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=_as_from_a_terminal if os.name == "posix" else None,
            )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise TrialFailed("not_started", f"'{program}' cannot be started: {reason}") from error
    try:
        yield process
    finally:
        if process.poll() is None:  # an exception, such as the second Ctrl-C
            _signal(process, _KILL)
            process.wait()


def _as_from_a_terminal() -> None:
    """In the new process: Ctrl-C has its usual effect, which workers ignore, and it dies with this process.

    Slurm announces the end of a job to all processes of a step by SIGUSR2, whose usual effect is to end a process. The
    trainer hears it as well, and asks the command to end.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "SIGUSR2"):
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _KILL, 0, 0, 0)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the process group to end, and end it after the grace time."""
    _signal(process, signal.SIGTERM)
    until = time.monotonic() + GRACE_SECONDS
    while process.poll() is None and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
    _signal(process, _KILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.terminate()


def _failure(code: int, log: Path) -> TrialFailed:
    """The failure of a command that ended with a code other than 0: negative for a signal, which shells add to 128."""
    by_signal = code < 0 or code - 128 in signal.valid_signals()
    said = last_lines(log / "stderr") or last_lines(log / "stdout")
    said = f": {said}" if said else " and no message"
    if code in (-_KILL, _KILLED_BY_SHELL):
        return TrialFailed("killed", f"the command was killed (SIGKILL){said}", by_signal)
    if code < 0:
        with contextlib.suppress(ValueError):
            return TrialFailed("signal", f"the command was ended by {signal.Signals(-code).name}{said}", by_signal)
        return TrialFailed("signal", f"the command was ended by signal {-code}{said}", by_signal)
    return TrialFailed("exit_code", f"the command ended with exit code {code}{said}", by_signal)
