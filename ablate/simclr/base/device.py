"""The device that a trial computes on: its number format, its memory, and copies to it."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Format = Literal["float32", "tf32", "bfloat16", "float64"]
Precision = Literal["auto", "float32", "tf32", "bfloat16", "float64"]
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def to_device(values: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to the device; to a GPU through pinned memory, so that nothing waits for the copy."""
    tensor = torch.from_numpy(values)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def beside(images: Tensor, values: np.ndarray) -> Tensor:
    """Copy an array to the images' device; floating-point values get the images' dtype."""
    if np.issubdtype(values.dtype, np.floating):
        # Before the copy: half the bytes, and no kernel for it.
        values = values.astype(np.float64 if images.dtype == torch.float64 else np.float32, copy=False)
    return to_device(values, images.device)


def number_format(precision: Precision, device: torch.device) -> Format:
    """Resolve `auto`: bfloat16 if the processor has instructions for it, else float32; and `tf32` where there is none.

    A CPU without AVX-512 BF16 or AMX emulates bfloat16, many times slower than float32. TF32 needs an Ampere GPU or a
    later one; elsewhere the same trial computes in float32.
    """
    if precision == "tf32":
        return "tf32" if device.type == "cuda" and torch.cuda.is_tf32_supported() else "float32"
    if precision != "auto":
        return precision
    if device.type == "cuda":
        has_bfloat16 = bool(torch.cuda.is_bf16_supported(including_emulation=False))
    else:
        has_bfloat16 = device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
    return "bfloat16" if has_bfloat16 else "float32"


def model_dtype(precision: Precision) -> torch.dtype:
    """Return the weights' dtype: float32 also for bfloat16, which only autocast uses."""
    return torch.float64 if precision == "float64" else torch.float32


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which encoder and head compute."""
    return torch.autocast(device.type, torch.bfloat16, enabled=number_format(precision, device) == "bfloat16")


@contextmanager
def arithmetic(precision: Precision, deterministic: bool, device: torch.device) -> Iterator[None]:
    """Within, a GPU computes in the format that is recorded; restores torch's settings, which are the process's.

    By default torch lets convolutions of float32 use TF32, with 10 bits of the 23. With `deterministic`, cuDNN and
    torch use only algorithms whose sums have a fixed order; an operation without one raises RuntimeError. A CPU needs
    neither.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, products.allow_tf32, cudnn.deterministic, cudnn.benchmark
    only, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    # cuBLAS reads it once, at its first product; a later trial of this process may be deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn.allow_tf32, products.allow_tf32 = number_format(precision, device) == "tf32", False
    cudnn.deterministic, cudnn.benchmark = deterministic, False
    torch.use_deterministic_algorithms(deterministic)
    try:
        yield
    finally:
        cudnn.allow_tf32, products.allow_tf32, cudnn.deterministic, cudnn.benchmark = before
        torch.use_deterministic_algorithms(only, warn_only=warns)


def free_memory(device: torch.device) -> int:
    """Bytes of a GPU that this process may still use: what is free, within its part of the GPU if it has one."""
    free, total = torch.cuda.mem_get_info(device)
    part = int(torch.cuda.get_per_process_memory_fraction(device) * total)
    return max(0, min(free, part - torch.cuda.memory_reserved(device)))


def keep_freed_memory() -> None:
    """Let glibc's malloc keep freed memory: every training step on a CPU frees and allocates the same megabytes.

    Otherwise page faults take a part of every step. Does nothing with other C libraries.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    libc.mallopt(_M_TRIM_THRESHOLD, 2**30)
    libc.mallopt(_M_MMAP_THRESHOLD, 2**25)  # the most that glibc accepts


def peak_memory(device: torch.device) -> float | None:
    """Return the peak memory so far, of the GPU or the process, in MiB; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes on macOS, else KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
