import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from scipy.stats import kstest

from ablate.simclr.augment import filters
from ablate.simclr.vision import torchvision

reference = pytest.importorskip("torchvision.transforms.v2.functional")
assert torchvision
IMAGES = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("size", "radius"), [(32, 1), (64, 3), (224, 11)])
def test_blur_is_torchvisions_with_zeros_beyond_the_edge(size: int, radius: int) -> None:
    images = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.1, 0.7, 2.0])
    padded = F.pad(images, [radius] * 4)
    expected = [
        reference.gaussian_blur(image, [2 * radius + 1] * 2, [float(s)] * 2)[:, radius:-radius, radius:-radius]
        for image, s in zip(padded, sigma, strict=True)
    ]
    torch.testing.assert_close(filters.gaussian_blur(images, sigma), torch.stack(expected), rtol=0, atol=1e-5)


def test_sobel_is_scipys_gradient_magnitude_stretched_over_the_whole_image() -> None:
    for image, ours in zip(IMAGES.double().numpy(), filters.sobel(IMAGES).numpy(), strict=True):
        gradients = [[ndimage.sobel(channel, axis, mode="mirror") for channel in image] for axis in (0, 1)]
        magnitude = np.hypot(*gradients)  # (3, H, W)
        expected = (magnitude - magnitude.min()) / (magnitude.max() - magnitude.min())
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_sobel_of_a_flat_image_is_black_and_not_nan() -> None:
    assert filters.sobel(torch.full((1, 3, 8, 8), 0.4)).abs().max() == 0


def test_noise_is_normal_with_each_images_own_standard_deviation() -> None:
    sigma, seeds = torch.tensor([0.02, 0.1]), torch.tensor([5, 6], dtype=torch.int32)
    noisy = filters.gaussian_noise(torch.full((2, 3, 64, 64), 0.5), sigma, seeds)
    for image, s in zip(noisy, sigma.tolist(), strict=True):
        assert kstest(((image - 0.5) / s).flatten().numpy(), "norm").pvalue > 0.001


def test_noise_is_clipped_to_the_range_of_an_image() -> None:
    noisy = filters.gaussian_noise(IMAGES, torch.full((6,), 1.0), torch.arange(6, dtype=torch.int32))
    assert (noisy.min(), noisy.max()) == (0, 1)


def test_cutout_covers_the_square_that_a_loop_covers() -> None:
    centre = torch.tensor([[0.0, 0.0], [0.5, 0.5], [0.99, 0.2], [0.3, 0.99], [0.25, 0.75], [0.6, 0.1]])
    expected = IMAGES.clone()
    for index, (row, column) in enumerate(centre.tolist()):
        for y in range(32):
            for x in range(32):
                if abs(y + 0.5 - int(row * 32)) < 8 and abs(x + 0.5 - int(column * 32)) < 8:
                    expected[index, :, y, x] = 0.5
    assert torch.equal(filters.cutout(IMAGES, centre, side=0.5, fill=0.5), expected)


def test_rotation_is_pillows_by_quarter_turns() -> None:
    turned = filters.rotate(IMAGES, np.array([0, 1, 2, 3, 1, 0]))
    turns = [None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270]
    for image, ours, quarter in zip(IMAGES, turned, [0, 1, 2, 3, 1, 0], strict=True):
        for channel, rotated in zip(image.numpy(), ours.numpy(), strict=True):
            picture = Image.fromarray(channel)
            theirs = picture.transpose(turns[quarter]) if quarter else picture
            np.testing.assert_array_equal(rotated, np.asarray(theirs))


def test_noise_is_its_standard_deviation_times_what_the_seed_draws_before_clipping() -> None:
    gray, seeds = torch.full((2, 3, 64, 64), 0.5), torch.tensor([5, 6], dtype=torch.int32)
    weak, strong = (
        (filters.gaussian_noise(gray, torch.full((2,), sigma), seeds) - 0.5) / sigma for sigma in (0.02, 0.08)
    )
    torch.testing.assert_close(weak, strong, rtol=0, atol=1e-4)
    assert (weak.mean((1, 2, 3)).abs() < 0.04).all()  # 4.4 standard errors of 12,288 numbers
    assert ((weak.std((1, 2, 3)) - 1).abs() < 0.03).all()
    assert abs(np.corrcoef(weak.flatten(1).numpy())[0, 1]) < 0.04


def test_noise_of_an_image_is_the_same_in_any_batch() -> None:
    sigma, seeds = torch.linspace(0.05, 0.2, 6), torch.arange(6, dtype=torch.int32) + 100
    whole = filters.gaussian_noise(IMAGES, sigma, seeds)
    chosen = torch.tensor([4, 1])
    assert torch.equal(filters.gaussian_noise(IMAGES[chosen], sigma[chosen], seeds[chosen]), whole[chosen])
    assert not torch.equal(filters.gaussian_noise(IMAGES, sigma, seeds + 1), whole)


@pytest.mark.parametrize(("side", "pixels"), [(0.1, 3), (0.28, 9), (1.0, 32)])
def test_cutout_squares_of_odd_and_full_sides_are_those_of_numpy_slices(side: float, pixels: int) -> None:
    centre = np.random.default_rng(0).random((6, 2)).astype(np.float32)
    expected = IMAGES.numpy().copy()
    for image, (row, column) in zip(expected, centre, strict=True):
        top, left = int(row * 32) - pixels // 2, int(column * 32) - pixels // 2
        image[:, max(top, 0) : max(top + pixels, 0), max(left, 0) : max(left + pixels, 0)] = 0.25
    ours = filters.cutout(IMAGES, torch.from_numpy(centre), side, fill=0.25)
    np.testing.assert_array_equal(ours.numpy(), expected)


def test_cutout_covers_on_average_the_share_that_squares_over_the_edge_leave() -> None:
    centre = torch.from_numpy(np.random.default_rng(0).random((4000, 2)).astype(np.float32))
    covered = filters.cutout(torch.zeros(4000, 1, 32, 32), centre, side=0.5, fill=1.0)
    # A side s around a uniform centre covers s - s^2 / 4 of an axis: 0.4375 for s = 1/2.
    assert covered.mean().item() == pytest.approx(0.4375**2, abs=0.005)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_is_torchvisions_counter_clockwise_rotation(turns: int) -> None:
    expected = reference.rotate(IMAGES, 90.0 * turns)
    torch.testing.assert_close(filters.rotate(IMAGES, np.full(6, turns)), expected, rtol=0, atol=1e-6)
