import numpy as np
import torch
from scipy import ndimage

from ablate.simclr.augment.sobel import sobel

IMAGES = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_sobel_is_scipys_gradient_magnitude_stretched_over_the_whole_image() -> None:
    for image, ours in zip(IMAGES.double().numpy(), sobel(IMAGES).numpy(), strict=True):
        gradients = [[ndimage.sobel(channel, axis, mode="mirror") for channel in image] for axis in (0, 1)]
        magnitude = np.hypot(*gradients)  # (3, H, W)
        expected = (magnitude - magnitude.min()) / (magnitude.max() - magnitude.min())
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_sobel_of_a_flat_image_is_black_and_not_nan() -> None:
    assert sobel(torch.full((1, 3, 8, 8), 0.4)).abs().max() == 0
