"""What this machine gives to trials: devices, cores, threads, memory, and files for their output."""

import contextlib
import importlib.util
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ablate.errors import UserError, missing_torch, nearest
from ablate.run import gpu

DEVICES = ("auto", "cpu", "cuda", "cuda:0", "mps")
HAS_WORKERS = hasattr(signal, "SIGUSR1")
"""Whether trials can have processes of their own, which need descriptors and signals that Windows lacks."""


@dataclass(frozen=True)
class Check:
    """A finding about this machine or a cluster: one line of `ablate doctor`."""

    name: str
    state: Literal["ok", "warning", "problem"]
    message: str
    help: str | None = None


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_device(device: str) -> None:
    """Raise UserError for a device that torch does not know or does not see, and where torch is not installed."""
    if device not in ("auto", "cpu", "mps") and not re.fullmatch(r"cuda(:\d+)?", device):
        raise UserError(
            f"unknown device '{device}'{nearest(device, DEVICES)}", help=f"devices are: {', '.join(DEVICES)}"
        )
    if "torch" not in sys.modules and importlib.util.find_spec("torch") is None:
        raise missing_torch()
    if device in ("auto", "cpu"):  # torch, whose import takes seconds, is left to the processes that train
        return
    import torch

    if device == "mps":
        if not torch.backends.mps.is_available():
            raise UserError("--device mps: torch finds no Apple GPU on this machine", help="use --device cpu")
        return
    number = int(device.partition(":")[2] or 0)
    if number >= torch.cuda.device_count():
        raise UserError(f"--device {device}: torch sees {torch.cuda.device_count()} GPUs here", help="use --device cpu")


def default_workers(device: str, threads: int = 1) -> int:
    """One worker per GPU, of which Apple's machines have one; without GPUs, one per core, or per `threads` cores."""
    if device == "mps" or device.startswith("cuda:"):
        return 1
    gpus = gpu.visible_gpus() if device in ("auto", "cuda") else 0
    return gpus or max(1, available_cores() // threads)


def pick_device(device: str, index: int = 0) -> str:
    """The device of the worker of this index: `auto` and `cuda` spread the workers over the GPUs."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return f"cuda:{index % torch.cuda.device_count()}" if device == "cuda" else device


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch use this many threads, and restore the number afterwards, for the sake of notebooks."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def take_cores(index: int, beside: int, threads: int) -> None:
    """Keep this worker to its own cores if the job has as many as its workers need."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) == beside * threads < (os.cpu_count() or 1):
        os.sched_setaffinity(0, cores[index * threads : (index + 1) * threads])


def reset_peak_memory(device: str) -> None:
    """Start a new measurement of peak memory: this process may have run other trials."""
    with contextlib.suppress(OSError):  # outside of Linux the peak is that of the process's life
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # proc(5): resets the peak to the current value
    if device.startswith("cuda"):
        gpu.reset_peak_memory(device)


def peak_memory(device: str) -> dict[str, int]:
    """Peak memory since the reset in MiB: `process`, and on a GPU `gpu` of `gpu_total`; unknown values are left out."""
    found = {}
    if (process := _status("self", "VmHWM:")) is not None:
        found["process"] = process
    return {**found, **gpu.peak_memory(device)} if device.startswith("cuda") else found


def memory_of(process: int) -> int:
    """The memory that a process uses now, in MiB; 0 if unknown."""
    return _status(str(process), "VmRSS:") or 0


def _status(process: str, name: str) -> int | None:
    """A line of /proc/PID/status, in MiB."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith(name)), None)


@contextmanager
def output_into(folder: Path) -> Iterator[None]:
    """Write everything that is printed, by Python or below it, to `stdout` and `stderr` in the folder."""
    _flush()
    kept = os.dup(1), os.dup(2)
    files = [os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) for name in ("stdout", "stderr")]
    os.dup2(files[0], 1), os.dup2(files[1], 2)
    try:
        yield
    finally:
        _flush()
        for descriptor, stream in zip(kept, (1, 2), strict=True):
            os.dup2(descriptor, stream)
        for descriptor in (*kept, *files):
            with contextlib.suppress(OSError):  # the trainer closed it
                os.close(descriptor)
        for number, name in ((1, "stdout"), (2, "stderr")):
            if getattr(getattr(sys, name), "closed", True):  # the trainer closed it: reopen it for the next trial
                setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # the disk is full, or the trainer closed it
            stream.flush()


@contextmanager
def in_this_process_only() -> Iterator[None]:
    """End a process that the trainer forked, should it come back here: the record is not its own."""
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != process:
            traceback.print_exc()
            os._exit(1)


def write_traceback(captured: Path | None) -> None:
    """Print the exception's traceback, into the folder's `stderr` if the trainer has replaced or closed the stream."""
    text = traceback.format_exc()
    try:
        stream: Any = sys.stderr if not captured or sys.stderr is sys.__stderr__ else None
        stream.write(text)
        stream.flush()
    except (OSError, ValueError, AttributeError):
        if captured:
            path = captured / "stderr"
            with contextlib.suppress(OSError), path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
