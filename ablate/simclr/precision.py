"""Which number format the encoder computes in on a device, and how its memory is kept."""

import ctypes
from typing import Literal

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def computes_bfloat16(precision: Literal["auto", "float32", "bfloat16"], device: torch.device) -> bool:
    """Whether bfloat16 autocast is used: as asked, or where the processor has instructions for it.

    A CPU without AVX-512 BF16 or AMX emulates bfloat16, which is many times slower than float32.
    """
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


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
