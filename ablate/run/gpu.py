"""A worker and its GPU: setting CUDA up, its part of the memory, what a trial used, and whether CUDA still works."""

import gc
import os
import sys
from pathlib import Path

CONTEXT_MIB = 640
"""What CUDA itself takes of a GPU's memory for each process, outside of torch's numbers: its context and the kernels of
cuBLAS, cuDNN and torch. Assumed, not measured; larger than what is reported for current GPUs."""
_MEBIBYTE = 2**20


def visible_gpus() -> int:
    """How many GPUs one process sees here, found without torch.

    CUDA reads CUDA_VISIBLE_DEVICES up to the first entry that does not name a GPU, and uses at most one MIG instance.
    """
    present = len(list(Path("/dev").glob("nvidia[0-9]*")))
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return present
    chosen: list[str] = []
    for entry in map(str.strip, listed.split(",")):
        if not (entry.isdigit() or entry.startswith(("GPU-", "MIG-"))):
            break
        chosen.append(entry)
    if any(entry.startswith("MIG-") for entry in chosen):
        return min(present, 1)
    return min(present, len(chosen))


def workers_on(device: str, index: int, workers: int) -> int:
    """How many of a pool's workers use the GPU of the worker of this index. device: as the user named it."""
    import torch

    if ":" in device:
        return workers
    gpus = torch.cuda.device_count()
    return len(range(index % gpus, workers, gpus))


def use(device: str, workers: int = 1) -> None:
    """Make this process use one GPU, and at most its part of the memory if other workers use it too.

    Without this, pinned memory and new streams would open a second context on the first GPU. What all contexts need
    is set aside before the rest is divided.
    """
    import torch

    torch.cuda.init()
    torch.cuda.set_device(device)
    if workers > 1:
        total = torch.cuda.get_device_properties(device).total_memory
        contexts = min(workers * CONTEXT_MIB * _MEBIBYTE, total // 2)
        torch.cuda.set_per_process_memory_fraction((total - contexts) / total / workers, device)


def reset_peak_memory(device: str) -> None:
    """Return what earlier trials of this process left to the GPU, and start a new measurement.

    Initializes CUDA first: torch rejects every GPU in a process where nothing has done so.
    """
    import torch

    torch.cuda.init()
    gc.collect()  # a model may be in a reference cycle
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: str) -> dict[str, int]:
    """What torch reserved at most since the reset, `gpu`, of `gpu_total`, in MiB; nothing if CUDA was not used."""
    if "torch" not in sys.modules:
        return {}
    import torch

    try:
        used, total = torch.cuda.max_memory_reserved(device), torch.cuda.get_device_properties(device).total_memory
    except RuntimeError:  # an error of the GPU has made CUDA unusable
        return {}
    return {"gpu": used // _MEBIBYTE, "gpu_total": total // _MEBIBYTE}


def is_dead(device: str) -> bool:
    """Whether an error has made a GPU unusable for this process: CUDA then returns it to every call."""
    if not device.startswith("cuda") or "torch" not in sys.modules:
        return False
    import torch

    try:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize(device)
    except RuntimeError:
        return True
    return False
