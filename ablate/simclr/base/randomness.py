"""Random numbers that depend on (seed, purpose, step) only, never on the process.

What is drawn for a step is therefore the same after an interruption, in another process and on any number of ranks,
and no generator state is ever saved.
"""

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

Purpose = Literal["pretrain", "order", "classifier", "finetune", "transfer", "transformation", "pairs"]
_PURPOSES = get_args(Purpose)
_GOLDEN, _FIRST, _SECOND = -1640531527, -2048144789, -1028477387  # murmur3's constants as signed 32 bits


def generator(seed: int, purpose: Purpose, index: int, part: int = 0) -> np.random.Generator:
    """Return the generator of one step or epoch (`index`), for one purpose and one part of it.

    In a training, part 0 is the order of the images, 1 their views, and 2 and above dropout, by rank.
    """
    return np.random.default_rng([seed, _PURPOSES.index(purpose), index, part])


def standard_normal(seeds: Tensor, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw normal noise from one seed per image: (len(seeds), *shape), on the device of `seeds`.

    A hashed counter (murmur3's finaliser) goes through the Box-Muller transform, so that an image's noise depends
    only on its own seed. `seeds` is int32.
    """
    pairs = -(-torch.Size(shape).numel() // 2)
    counter = torch.arange(2 * pairs, dtype=torch.int32, device=seeds.device)
    bits = _mix(_mix(counter * _GOLDEN + seeds[:, None]) ^ seeds[:, None])  # (images, 2 pairs)
    uniform = (((bits >> 8) & 0xFFFFFF).to(dtype) + 0.5) * 2.0**-24  # 24 bits, strictly between 0 and 1
    radius = torch.sqrt(-2 * torch.log(uniform[:, :pairs]))
    angle = 2 * torch.pi * uniform[:, pairs:]
    normal = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
    return normal[:, : torch.Size(shape).numel()].reshape(-1, *shape)


def _mix(bits: Tensor) -> Tensor:
    """murmur3's 32-bit finaliser; int32 products wrap; masks make the shifts logical."""
    bits = (bits ^ ((bits >> 16) & 0xFFFF)) * _FIRST
    bits = (bits ^ ((bits >> 13) & 0x7FFFF)) * _SECOND
    return bits ^ ((bits >> 16) & 0xFFFF)
