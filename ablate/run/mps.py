"""NVIDIA's Multi-Process Service (MPS): workers that share a GPU use it at the same time, not in turns.

Its limits, and what it asks of a process that ends: https://docs.nvidia.com/deploy/mps. Not Apple's `--device mps`.
"""

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from ablate.run.gpu import visible_gpus

PIPE = "CUDA_MPS_PIPE_DIRECTORY"
"""The variable with the folder in which CUDA looks for a control daemon; with /dev/null it does without."""
_CONTROL, _PREFIX = "nvidia-cuda-mps-control", "ablate-mps-"
MAY_BE_OF_ANOTHER = "under MPS it may be an error of another trial, so this one runs again"
_OF_THE_MACHINE = "/tmp/nvidia-mps"
"""Where CUDA looks without the variable."""
_MOST_WORKERS = 24
"""For one GPU: MPS takes 48 contexts, of which a trial has two if its trainer is a command."""
_START_SECONDS, _END_SECONDS = 30.0, 5.0
_LOOK = """
import ctypes, uuid
cuda = ctypes.CDLL("libcuda.so.1")
def call(name, *arguments):
    if code := getattr(cuda, name)(*arguments):
        raise SystemExit(f"{name} returned error {code}")
number, major, context = ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p()
call("cuInit", 0), call("cuDeviceGetCount", ctypes.byref(number))
for device in range(number.value):
    name = (ctypes.c_ubyte * 16)()
    call("cuDeviceGetUuid_v2", name, device)
    call("cuDeviceGetAttribute", ctypes.byref(major), 75, device)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    print(f"{major.value} GPU-{uuid.UUID(bytes=bytes(name))}")
"""
"""Prints the GPUs that a new process can use: their compute capability and name. 75 is the attribute's number."""
_NOT_READY = "error 807"
"""What CUDA returns while the server of MPS sets up its GPUs; a daemon starts it when the first process asks for it."""
_KEEP = """
trap "" HUP INT TERM USR1 USR2
"$0" -d </dev/null || exit
read -r _
echo "quit -t 90" | timeout 120 "$0"
rm -rf "$1"
"""
"""Starts a daemon, which ends when the pool's process is gone or closes its end of the pipe that is read here.

Slurm signals all processes of a job: these ignore it, as trials save their state then. Those that have not ended
after 90 s, longer than a worker waits for its trial, are ended."""


class _Unavailable(Exception):
    """Why workers go without MPS."""


class MultiProcessService:
    """MPS for the workers of one pool, if several share a GPU and it can be started here.

    environment: variables for their trials' processes. device: what the workers use. note: one line for the user, or
    None where there is nothing to say.
    """

    def __init__(self, device: str, workers: int) -> None:
        self.environment: dict[str, str] = {}
        self.device, self.note = device, None
        self._keeper: subprocess.Popen[bytes] | None = None
        gpus = visible_gpus() if device.startswith(("auto", "cuda")) and sys.platform == "linux" else 0
        gpus = min(gpus, 1) if ":" in device else gpus
        control = shutil.which(_CONTROL)
        if not control or not 0 < gpus < workers or (device == "auto" and not _torch_uses_gpus()):
            return
        shared, own = f"{workers} workers on {gpus} GPU{'s' * (gpus > 1)}", os.environ.get(PIPE)
        try:
            if _has_daemon(Path(own or _OF_THE_MACHINE)):
                self.note = f"{shared} use the NVIDIA MPS of {own or _OF_THE_MACHINE}"
                return
            if own is not None:
                raise _Unavailable(f"{PIPE}={own} has no daemon")
            if workers > gpus * _MOST_WORKERS:
                raise _Unavailable(f"it serves at most {_MOST_WORKERS} of them on a GPU")
            self._start(control)
        except (_Unavailable, OSError) as why:
            self.note = f"{shared} take turns, without NVIDIA MPS: {why}"
            return
        self.device = device.replace("auto", "cuda")  # should MPS fail later, `auto` would go on with the CPU
        self.note = f"{shared} work at the same time, under NVIDIA MPS (to do without: {PIPE}=/dev/null)"

    def leave(self) -> bool:
        """Let trials that begin later run without MPS; False if they do already."""
        if left := is_shared(self.environment):
            self.environment = {PIPE: os.devnull}  # and GPUs by the names of the user
        return left

    def end(self, seconds: float = _END_SECONDS) -> bool:
        """End the daemon, once no worker uses it; False if that takes longer."""
        if self._keeper and self._keeper.stdin:
            self._keeper.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._keeper.wait(seconds)
        return self._keeper is None or self._keeper.poll() is not None

    def _start(self, control: str) -> None:
        """Start a daemon, and set the environment once a process has seen the same GPUs under it as without."""
        until = time.monotonic() + _START_SECONDS
        seen = _look(os.environ, until)
        if any(int(line.partition(" ")[0]) < 7 for line in seen):
            raise _Unavailable("before compute capability 7.0, trials could write into each other's memory")
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip()
        # Not by number: those count among what the daemon sees. Of several slices (MIG), CUDA uses the first.
        names = first if first.startswith("MIG-") else ",".join(line.partition(" ")[2] for line in seen)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))  # a socket's path has 107 bytes at most
        found = {PIPE: f"{folder}/pipe", "CUDA_VISIBLE_DEVICES": names}
        try:
            self._keeper = _start_daemon(control, folder, {**os.environ, **found})
            _wait_for_socket(self._keeper, folder, until)
            if _look({**os.environ, **found}, until) != seen:
                raise _Unavailable("under it, a process does not see the same GPUs")
        except BaseException:
            if not self.end(_END_SECONDS / 2) and self._keeper:
                os.killpg(self._keeper.pid, signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.environment = found


def is_shared(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a process is under its pool's MPS, where an error of one process may end the work of all."""
    return Path(environment.get(PIPE, "")).match(f"{_PREFIX}*/pipe")


def _has_daemon(folder: Path) -> bool:
    """Whether a control daemon runs for a folder: one that was killed leaves its files there."""
    if not os.access(folder / f"{_CONTROL}.pid", os.F_OK):  # also where another user closed the folder
        return False
    with contextlib.suppress(OSError, ValueError):
        if Path(f"/proc/{int((folder / f'{_CONTROL}.pid').read_text())}").exists():
            return True
    with socket.socket(socket.AF_UNIX) as client:  # a container does not see the processes of its host
        client.settimeout(1)
        return client.connect_ex(str(folder / "control")) not in (errno.ECONNREFUSED, errno.ENOENT)


def _torch_uses_gpus() -> bool:
    code = "import torch; raise SystemExit(not torch.cuda.is_available())"
    return subprocess.run((sys.executable, "-P", "-c", code), capture_output=True).returncode == 0


def _start_daemon(control: str, folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    (folder / "pipe").mkdir()
    (folder / "log").mkdir()
    with (folder / "said").open("wb") as said:
        return subprocess.Popen(
            ("/bin/sh", "-c", _KEEP, control, str(folder)),
            env={**environment, "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"},
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def _wait_for_socket(keeper: subprocess.Popen[bytes], folder: Path, until: float) -> None:
    while not (folder / "pipe" / "control").exists():
        if (code := keeper.poll()) is not None:
            last = (folder / "said").read_text(errors="replace").strip().rpartition("\n")[2]
            raise _Unavailable(f"{_CONTROL} ended with exit code {code}{last and f' ({last})'}")
        if time.monotonic() > until:
            raise _Unavailable(f"{_CONTROL} was not ready within {_START_SECONDS:.0f} s")
        time.sleep(0.05)


def _look(environment: Mapping[str, str], until: float) -> list[str]:
    """The GPUs that a process sees; see _LOOK."""
    command = (sys.executable, "-I", "-c", _LOOK)
    while (left := until - time.monotonic()) > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=left)
            if found.returncode == 0:
                return found.stdout.splitlines()
            if _NOT_READY not in found.stderr:
                raise _Unavailable(found.stderr.strip().rpartition("\n")[2])
            time.sleep(0.1)
    raise _Unavailable(f"CUDA did not answer within {_START_SECONDS:.0f} s")
