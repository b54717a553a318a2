"""The most memory that an attempt held: of its process, and on its GPU."""

import contextlib
import sys
from pathlib import Path

_MEBIBYTE = 2**20


def reset_peak_memory(device: str) -> None:
    """Begin to measure anew: a worker of a pool has other trials behind it."""
    with contextlib.suppress(OSError):  # outside of Linux the peak is that of the process's life
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # proc(5): the peak becomes what is held now
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: str) -> dict[str, int]:
    """The peak since then in MiB: `process`, and on a GPU `gpu` of `gpu_total`; what is not known is left out."""
    found = {}
    if (process := _peak_of_process()) is not None:
        found["process"] = process
    if device.startswith("cuda") and "torch" in sys.modules:
        import torch

        found["gpu"] = torch.cuda.max_memory_reserved(device) // _MEBIBYTE
        found["gpu_total"] = torch.cuda.get_device_properties(device).total_memory // _MEBIBYTE
    return found


def held_memory(process: int) -> int:
    """What a process holds now in MiB; 0 where nobody can say."""
    return _status(str(process), "VmRSS:") or 0


def _peak_of_process() -> int | None:
    return _status("self", "VmHWM:")


def _status(process: str, name: str) -> int | None:
    """A line of /proc/PID/status, in MiB."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith(name)), None)
