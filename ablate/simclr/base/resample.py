"""Resampling of images along rows and columns by one matrix per image: computes crops, flips and blurs.

Cropping with resizing, flipping and Gaussian blur are linear and act on each side of the image separately, so each
is out = R x C^T with one R and one C per image: two batched products for a whole batch.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

_WINDOW = 32
"""Windows are rounded up to multiples of this many pixels: more wastes products, fewer makes more groups."""


def apply_separable(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """R x C^T for each image and channel.

    images (B, C, h, w), rows (B, H, h), columns (B, W, w) -> (B, C, H, W).
    """
    batch, channels, height, width = images.shape
    across = torch.bmm(images.reshape(batch, channels * height, width), columns.mT)  # (B, C h, W)
    across = across.view(batch, channels, height, -1)
    return torch.matmul(rows[:, None], across)  # (B, C, H, W)


def resized_crop(
    images: Tensor, boxes: Tensor, flip: Tensor, size: int, interpolation: str, antialias: bool = True
) -> Tensor:
    """Cut boxes (B, 4) out of images (B, C, H, W), resize them to size x size, and flip those marked in flip (B,).

    Boxes are (top, left, height, width) in pixels. With k B boxes, k for each image in turn, there are k B results.
    Equal to torchvision's resized_crop; bicubic results are clipped to [0, 1].
    """
    boxes = boxes.to(images.dtype)
    if images.device.type == "cpu" and max(images.shape[-2:]) > _WINDOW:
        return _crop_windows(images, boxes, flip, size, interpolation, antialias)
    return _crop(images.repeat(len(boxes) // len(images), 1, 1, 1), boxes, flip, size, interpolation, antialias)


def _crop(images: Tensor, boxes: Tensor, flip: Tensor, size: int, interpolation: str, antialias: bool) -> Tensor:
    starts, lengths = boxes.T.reshape(2, 2, -1)  # (2, B) each: of rows, of columns
    flips = torch.stack([torch.zeros_like(flip), flip])
    height, width = images.shape[-2:]
    if height == width:  # both in one call: half as many kernels
        both = resize_matrix(
            starts.flatten(), lengths.flatten(), flips.flatten(), width, size, interpolation, antialias
        )
        rows, columns = both.chunk(2)
    else:
        rows, columns = (
            resize_matrix(starts[axis], lengths[axis], flips[axis], side, size, interpolation, antialias)
            for axis, side in enumerate((height, width))
        )
    return apply_separable(images, rows, columns).clamp_(0, 1)


def _crop_windows(
    images: Tensor, boxes: Tensor, flip: Tensor, size: int, interpolation: str, antialias: bool
) -> Tensor:
    """The same in groups of boxes that fit one size of window, so that products skip most pixels outside the boxes.

    On a CPU the products take most of the time for large images, and a window has about half the pixels.
    """
    limits = torch.tensor(images.shape[-2:])
    first = boxes[:, :2].floor().long()
    needed = (boxes[:, :2] + boxes[:, 2:]).ceil().long().minimum(limits) - first
    windows = (-(-needed // _WINDOW) * _WINDOW).minimum(limits)  # (B, 2)
    first = first.minimum(limits - windows)
    sides, group_of = windows.unique(dim=0, return_inverse=True)
    out = images.new_empty(len(boxes), images.shape[1], size, size)
    for number, (rows, columns) in enumerate(sides.tolist()):
        members = (group_of == number).nonzero()[:, 0]
        corners = first[members]
        cut = torch.stack(
            [
                images[box % len(images), :, top : top + rows, left : left + columns]
                for box, (top, left) in zip(members.tolist(), corners.tolist(), strict=True)
            ]
        )
        inside = boxes[members] - torch.nn.functional.pad(corners, (0, 2))
        out[members] = _crop(cut, inside, flip[members], size, interpolation, antialias)
    return out


def resize_matrix(
    start: Tensor, length: Tensor, flip: Tensor, in_size: int, out_size: int, interpolation: str, antialias: bool
) -> Tensor:
    """Return the matrices that cut [start, start + length) out of a side and resize it.

    start, length (B,) in pixels and flip (B,) bool -> (B, out_size, in_size), of the dtype of start. With
    `antialias` as in Pillow: the filter widens when the side shrinks, and stops at the edge of the cut. Without, as
    in torch's interpolate: four or two taps, which at the edge read the cut's last pixel. Weights are computed for
    the few pixels below each filter, then scattered into the matrix.
    """
    radius, filter_weights = _FILTERS[interpolation, antialias]
    scale = (length / out_size)[:, None, None]  # (B, 1, 1)
    target = torch.arange(0.5, out_size, device=start.device, dtype=start.dtype)  # centres of pixels
    target = torch.where(flip[:, None], out_size - target, target)  # (B, out)
    start, end = start[:, None, None], (start + length)[:, None, None]
    centre = start + target[:, :, None] * scale  # (B, out, 1)
    widening: Tensor | float = scale.clamp(min=1) if antialias else 1.0
    taps = 2 * (math.ceil(radius * max(1, in_size / out_size)) if antialias else radius) + 1
    pixel = (centre - radius * widening).floor() + torch.arange(taps, device=start.device)  # (B, out, taps)
    distance = pixel + 0.5 - centre
    weights = filter_weights((distance / widening if antialias else distance).abs_())
    if antialias:
        weights.mul_((pixel >= start) & (pixel < end))
        weights.div_(weights.sum(dim=2, keepdim=True))
    else:
        pixel = pixel.clamp(start.floor(), end.ceil() - 1)
    matrix = weights.new_zeros(len(start), out_size, in_size)
    return _add_taps(matrix, pixel.long().clamp_(0, in_size - 1), weights)  # weights beyond the sides are 0


def _add_taps(matrix: Tensor, pixel: Tensor, weights: Tensor, at_once: bool | None = None) -> Tensor:
    """Add weights (B, out, taps) to a matrix (B, out, in) at the columns `pixel`, always in the order of the taps.

    At the edge of a cut several taps read the same pixel. A GPU adds the weights of one call in any order, which
    changes the rounding; it therefore gets one call per tap. at_once: add all taps in one call; by default on a CPU.
    """
    if at_once if at_once is not None else matrix.device.type == "cpu":
        return matrix.scatter_add_(2, pixel, weights)
    for place, weight in zip(pixel.split(1, dim=2), weights.split(1, dim=2), strict=True):
        matrix.scatter_add_(2, place, weight)
    return matrix


def blur_matrix(sigma: Tensor, radius: int, size: int) -> Tensor:
    """Return the matrices of a Gaussian blur with 2 radius + 1 taps, zeros beyond the edge: (B, size, size)."""
    offsets = torch.arange(radius + 1, device=sigma.device)  # the taps at 0 .. radius; they are symmetric
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
    # (name, antialias): (radius in pixels, weight at a distance); a of the cubic is Pillow's, then torch's
    ("bilinear", True): (1, _bilinear),
    ("bilinear", False): (1, _bilinear),
    ("bicubic", True): (2, partial(_bicubic, a=-0.5)),
    ("bicubic", False): (2, partial(_bicubic, a=-0.75)),
}
