"""Faults at the C library: compiles preload.c, and writes the memory that it shares with the processes of a fault."""

import ctypes
import mmap
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("preload.c")
COUNT, ONCE, FROM, KILL = range(4)
_IN_USE: list[mmap.mmap] = []
"""The library reads this memory until the process ends, so it must never be freed."""


class _Noted(ctypes.Structure):
    _fields_ = (("path", ctypes.c_char * 192), ("process", ctypes.c_int))


class Control(ctypes.Structure):
    """`struct control` of preload.c."""

    _fields_ = (
        ("mode", ctypes.c_long),
        ("error", ctypes.c_long),
        ("target", ctypes.c_long),
        ("count", ctypes.c_long),
        ("fired", ctypes.c_long),
        ("clock", ctypes.c_double),
        ("noted", ctypes.c_long),
        ("root", ctypes.c_char * 512),
        ("operation", ctypes.c_char * 256),
        ("results", _Noted * 64),
    )

    def arm(self, mode: int, target: int = 0, error: int = 0) -> None:
        """Count from here; then fail or kill at the operation `target`."""
        self.count = self.fired = 0
        self.error, self.target, self.mode = error, target, mode

    def disarm(self) -> None:
        """Only note results from here, and let the clock run as it does."""
        self.mode, self.clock = COUNT, 0.0

    def written(self) -> list[tuple[str, int]]:
        """The key and the process of each result that was renamed into place, in order."""
        noted = self.results[: min(self.noted, 64)]
        return [(Path(each.path.decode()).parent.name, each.process) for each in noted]


def folder() -> Path:
    """Where the library lies, and what else is made once for all processes."""
    path = Path(tempfile.gettempdir()) / f"chaos-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def with_preload(arguments: list[str]) -> None:
    """Start this Python again with the library, unless it has it. Ends the process where there is no gcc."""
    if "chaos" in os.environ.get("LD_PRELOAD", ""):
        return
    library = folder() / "chaos.so"
    partial = library.with_suffix(f".{os.getpid()}")
    build = ["gcc", "-O1", "-shared", "-fPIC", "-o", str(partial), str(SOURCE), "-ldl"]
    try:
        subprocess.run(build, check=True)
    except FileNotFoundError:
        sys.exit("error: faults at write operations need gcc, which is not installed")
    partial.replace(library)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **threads, "LD_PRELOAD": str(library)})


def use_control(root: Path) -> Control:
    """Control this process, and those that it forks, where they write below `root`."""
    shared = mmap.mmap(-1, ctypes.sizeof(Control))
    control = Control.from_buffer(shared)
    control.root = os.fsencode(root) + b"/"
    _IN_USE.append(shared)
    ctypes.CDLL(os.environ["LD_PRELOAD"]).chaos_use(ctypes.c_void_p(ctypes.addressof(control)))
    return control
