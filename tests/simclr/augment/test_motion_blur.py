import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from ablate.simclr.augment.motion_blur import line_kernels, motion_blur

IMAGES = torch.rand(6, 3, 14, 11, generator=torch.Generator().manual_seed(0))
LENGTH = torch.tensor([0.3, 2.0, 3.5, 5.0, 8.2, 13.0])
ANGLE = torch.tensor([0.4, 2.5, 0.9, -1.2, 6.0, 1.6])


def read(channel: np.ndarray, y: float, x: float) -> float:
    """The bilinear value at a point, zero beyond the edge."""
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < channel.shape[0] and 0 <= column < channel.shape[1]:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * channel[row, column]
    return total


def walk(channel: np.ndarray, length: float, angle: float) -> np.ndarray:
    """The average along the line through each pixel, walked from the pixel outwards."""
    blurred = np.zeros_like(channel)
    for y, x in np.ndindex(*channel.shape):
        blurred[y, x], remaining, distance = channel[y, x], (length - 1) / 2, 1
        while remaining > 0:
            share, down, right = min(1, remaining), -distance * math.sin(angle), distance * math.cos(angle)
            blurred[y, x] += share * (read(channel, y + down, x + right) + read(channel, y - down, x - right))
            remaining, distance = remaining - 1, distance + 1
    return blurred / max(length, 1)


def one(images: Tensor, length: float, angle: float) -> Tensor:
    return motion_blur(images, torch.full((len(images),), length), torch.full((len(images),), angle))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_motion_blur_is_a_walk_along_each_images_own_line(dtype: torch.dtype, tolerance: float) -> None:
    ours = motion_blur(IMAGES.to(dtype), LENGTH.to(dtype), ANGLE.to(dtype))
    assert ours.dtype == dtype
    for image, mine, length, angle in zip(IMAGES, ours, LENGTH.tolist(), ANGLE.tolist(), strict=True):
        expected = [walk(channel, length, angle) for channel in image.double().numpy()]
        np.testing.assert_allclose(mine.numpy(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("size", [11, 32, 64])
@pytest.mark.parametrize("length", [1, 3, 5, 11])
def test_a_line_of_odd_length_along_a_row_or_column_is_scipys_uniform_filter(length: int, size: int) -> None:
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    for angle, axis in ((0.0, 3), (math.pi / 2, 2), (math.pi, 3)):
        expected = ndimage.uniform_filter1d(images.double().numpy(), length, axis, mode="constant")
        np.testing.assert_allclose(one(images, length, angle).numpy(), expected, rtol=0, atol=1e-6)


def test_a_line_at_45_degrees_rises_to_the_right() -> None:
    dot = torch.zeros(1, 1, 15, 15)
    dot[..., 7, 7] = 1
    blurred = one(dot, 7.0, math.pi / 4)[0, 0]
    assert blurred[6, 8] > 0.05
    assert blurred[5, 9] > 0.05
    assert blurred[6, 6] < 1e-6
    assert blurred[8, 8] < 1e-6


@pytest.mark.parametrize("angle", [0.2, 1.0, 2.2])
def test_mirrored_turned_and_reversed_lines_blur_mirrored_turned_and_equal_images(angle: float) -> None:
    blurred = one(IMAGES, 6.5, angle)
    near = {"rtol": 0.0, "atol": 1e-6}
    torch.testing.assert_close(one(IMAGES, 6.5, angle + math.pi), blurred, **near)
    torch.testing.assert_close(one(IMAGES.flip(3), 6.5, -angle).flip(3), blurred, **near)
    torch.testing.assert_close(one(IMAGES.flip(2), 6.5, -angle).flip(2), blurred, **near)
    torch.testing.assert_close(
        one(IMAGES.rot90(1, (2, 3)), 6.5, angle + math.pi / 2).rot90(-1, (2, 3)), blurred, **near
    )


def test_a_line_spreads_a_dot_without_loss_along_its_direction_alone() -> None:
    length = torch.tensor([1.0, 2.0, 4.6, 9.0, 15.0], dtype=torch.float64)
    angle = torch.tensor([0.3, 1.1, 2.0, -0.7, 0.1], dtype=torch.float64)
    kernels = line_kernels(length, angle, radius=10)
    offset = torch.arange(-10, 11, dtype=torch.float64)
    torch.testing.assert_close(kernels.sum((1, 2)), torch.ones(5, dtype=torch.float64))
    right, up = offset * angle.cos()[:, None], -offset * angle.sin()[:, None]
    along = right[:, None, :] + up[:, :, None]
    across = (offset * angle.sin()[:, None])[:, None, :] + (offset * angle.cos()[:, None])[:, :, None]
    assert (kernels * along).sum((1, 2)).abs().max() < 1e-12
    # Unit steps of a line have the variance (L^2 - 1) / 12 where L is odd; reading between pixels adds at most
    # 1/4 along each axis.
    assert ((kernels * across**2).sum((1, 2)) <= 0.25 + 1e-9).all()
    spread = (kernels * along**2).sum((1, 2))[3:]
    uniform = (length[3:] ** 2 - 1) / 12
    assert ((spread >= uniform) & (spread <= uniform + 0.25)).all()


def test_a_flat_image_darkens_only_where_the_line_crosses_the_edge() -> None:
    blurred = one(torch.full((1, 3, 32, 32), 0.7), 9.0, 0.6)
    torch.testing.assert_close(blurred[..., 5:-5, 5:-5], torch.full((1, 3, 22, 22), 0.7), rtol=0, atol=1e-6)
    assert blurred[..., 0, :].max() < 0.69


def test_a_line_of_at_most_one_pixel_changes_nothing() -> None:
    for length in (0.0, 0.7, 1.0):
        torch.testing.assert_close(one(IMAGES, length, 0.8), IMAGES, rtol=0, atol=1e-6)


def test_a_line_longer_than_the_longer_side_is_as_long_as_that() -> None:
    square = torch.rand(2, 3, 15, 15, generator=torch.Generator().manual_seed(2))
    assert torch.equal(one(square, 40.0, 0.8), one(square, 15.0, 0.8))


@pytest.mark.parametrize("size", [32, 224])
def test_motion_blur_of_an_image_is_the_same_in_any_batch_and_stays_in_the_range_of_an_image(size: int) -> None:
    images = torch.rand(5, 3, size, size, generator=torch.Generator().manual_seed(3)).round()
    whole = motion_blur(images, LENGTH[:5], ANGLE[:5])
    assert (whole.min() >= 0) & (whole.max() <= 1)
    for chosen in ([3, 1], [4]):
        assert torch.equal(motion_blur(images[chosen], LENGTH[chosen], ANGLE[chosen]), whole[chosen])
