"""Which number format the encoder computes in on a device, and how memory is kept."""

import ctypes
from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16", "float64"]
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def number_format(precision: Precision, device: torch.device) -> Literal["float32", "bfloat16", "float64"]:
    """The format asked for; `auto` is bfloat16 where the processor has instructions for it, else float32.

    A CPU without AVX-512 BF16 or AMX emulates bfloat16, which is many times slower than float32.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        has_bfloat16 = bool(torch.cuda.is_bf16_supported(including_emulation=False))
    else:
        has_bfloat16 = device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
    return "bfloat16" if has_bfloat16 else "float32"


def model_dtype(precision: Precision) -> torch.dtype:
    """The format of the weights: float32 also under bfloat16, which is used by autocast only."""
    return torch.float64 if precision == "float64" else torch.float32


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context in which encoder and head compute."""
    return torch.autocast(device.type, torch.bfloat16, enabled=number_format(precision, device) == "bfloat16")


def keep_freed_memory() -> None:
    """Tell glibc's malloc to keep what is freed: a CPU training step frees and takes the same megabytes.

    Without it a part of every step goes to page faults. Does nothing on other C libraries.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    libc.mallopt(_M_TRIM_THRESHOLD, 2**30)
    libc.mallopt(_M_MMAP_THRESHOLD, 2**25)  # the most that glibc accepts
