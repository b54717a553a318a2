import numpy as np
import torch
from scipy.stats import kstest

from ablate.simclr.augment.noise import gaussian_noise

IMAGES = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_noise_is_normal_with_each_images_own_standard_deviation() -> None:
    sigma, seeds = torch.tensor([0.02, 0.1]), torch.tensor([5, 6], dtype=torch.int32)
    noisy = gaussian_noise(torch.full((2, 3, 64, 64), 0.5), sigma, seeds)
    for image, s in zip(noisy, sigma.tolist(), strict=True):
        assert kstest(((image - 0.5) / s).flatten().numpy(), "norm").pvalue > 0.001


def test_noise_is_clipped_to_the_range_of_an_image() -> None:
    noisy = gaussian_noise(IMAGES, torch.full((6,), 1.0), torch.arange(6, dtype=torch.int32))
    assert (noisy.min(), noisy.max()) == (0, 1)


def test_noise_is_its_standard_deviation_times_what_the_seed_draws_before_clipping() -> None:
    gray, seeds = torch.full((2, 3, 64, 64), 0.5), torch.tensor([5, 6], dtype=torch.int32)
    weak, strong = ((gaussian_noise(gray, torch.full((2,), sigma), seeds) - 0.5) / sigma for sigma in (0.02, 0.08))
    torch.testing.assert_close(weak, strong, rtol=0, atol=1e-4)
    assert (weak.mean((1, 2, 3)).abs() < 0.04).all()  # 4.4 standard errors of 12,288 numbers
    assert ((weak.std((1, 2, 3)) - 1).abs() < 0.03).all()
    assert abs(np.corrcoef(weak.flatten(1).numpy())[0, 1]) < 0.04


def test_noise_of_an_image_is_the_same_in_any_batch() -> None:
    sigma, seeds = torch.linspace(0.05, 0.2, 6), torch.arange(6, dtype=torch.int32) + 100
    whole = gaussian_noise(IMAGES, sigma, seeds)
    chosen = torch.tensor([4, 1])
    assert torch.equal(gaussian_noise(IMAGES[chosen], sigma[chosen], seeds[chosen]), whole[chosen])
    assert not torch.equal(gaussian_noise(IMAGES, sigma, seeds + 1), whole)
