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
