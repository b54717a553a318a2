"""Images resampled along rows and columns by one matrix per image: how crops, flips and blurs are computed.

A crop-and-resize, a flip and a Gaussian blur are linear and act on each side of the image alone, so each is
out = R x C^T with matrices R and C of the image's own: two batched products for a whole batch.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor


def apply_separable(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """R x C^T for each image and channel.

    images (B, C, h, w), rows (B, H, h), columns (B, W, w) -> (B, C, H, W).
    """
    batch, channels, height, width = images.shape
    across = torch.bmm(images.reshape(batch, channels * height, width), columns.mT)  # (B, C h, W)
    across = across.view(batch, channels, height, -1)
    return torch.matmul(rows[:, None], across)  # (B, C, H, W)


def resize_matrix(
    start: Tensor, length: Tensor, flip: Tensor, in_size: int, out_size: int, interpolation: str, antialias: bool
) -> Tensor:
    """The matrices that cut [start, start + length) out of a side and resize it.

    start, length (B,) in pixels and flip (B,) bool -> (B, out_size, in_size), of the dtype of start. With
    `antialias` as Pillow does: the filter is widened when the side shrinks, and stops at the edge of the cut.
    Without, as torch's interpolate: four or two taps, which at the edge read the cut's last pixel. Weights
    are computed for the few pixels below each filter, and then set into the matrix.
    """
    radius, filter_weights = _FILTERS[interpolation, antialias]
    scale = (length / out_size)[:, None, None]  # (B, 1, 1)
    target = torch.arange(out_size, device=start.device, dtype=start.dtype)
    target = torch.where(flip[:, None], out_size - 1 - target, target)  # (B, out)
    start, end = start[:, None, None], (start + length)[:, None, None]
    centre = start + (target[:, :, None] + 0.5) * scale  # (B, out, 1)
    widening = scale.clamp(min=1) if antialias else torch.ones_like(scale)
    taps = 2 * (math.ceil(radius * max(1, in_size / out_size)) if antialias else radius) + 1
    pixel = (centre - radius * widening).floor() + torch.arange(taps, device=start.device)  # (B, out, taps)
    weights = filter_weights(((pixel + 0.5 - centre) / widening).abs_())
    if antialias:
        weights.mul_((pixel >= start) & (pixel < end))
        weights.div_(weights.sum(dim=2, keepdim=True))
    else:
        pixel = pixel.clamp(start.floor(), end.ceil() - 1)
    matrix = weights.new_zeros(len(start), out_size, in_size)
    return matrix.scatter_add_(2, pixel.long().clamp_(0, in_size - 1), weights)  # beyond the sides they are 0


def blur_matrix(sigma: Tensor, radius: int, size: int) -> Tensor:
    """The matrices of a Gaussian blur with 2 radius + 1 taps and zeros beyond the edge: (B, size, size)."""
    offsets = torch.arange(radius + 1, device=sigma.device)  # taps are symmetric: those at 0 .. radius
    taps = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)  # (B, radius + 1)
    taps = taps / (2 * taps.sum(dim=1, keepdim=True) - taps[:, :1])
    position = torch.arange(size, device=sigma.device)
    distance = (position[:, None] - position).abs().clamp(max=radius + 1)  # (size, size)
    return F.pad(taps, (0, 1))[:, distance]


def _bilinear(distance: Tensor) -> Tensor:
    return (1 - distance).clamp_(min=0)


def _bicubic(distance: Tensor, a: float) -> Tensor:
    """Keys's cubic; both pieces are 0 where they meet and at 2, so clamping joins them."""
    near, far = distance.clamp(max=1), distance.clamp(1, 2)
    inner = ((a + 2) * near).sub_(a + 3).mul_(near).mul_(near).add_(1)
    return inner.add_((far - 2).square_().mul_(far.sub_(1)).mul_(a))  # a (x - 1) (x - 2)^2


_FILTERS: dict[tuple[str, bool], tuple[int, Callable[[Tensor], Tensor]]] = {
    # (name, antialias): (radius in pixels, weight at a distance); the cubic's a is Pillow's, or torch's
    ("bilinear", True): (1, _bilinear),
    ("bilinear", False): (1, _bilinear),
    ("bicubic", True): (2, partial(_bicubic, a=-0.5)),
    ("bicubic", False): (2, partial(_bicubic, a=-0.75)),
}
