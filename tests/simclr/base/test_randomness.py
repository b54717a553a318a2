import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from ablate.simclr.base.randomness import generator, standard_normal


def test_every_seed_purpose_and_index_has_numbers_of_its_own() -> None:
    purposes = ("pretrain", "order", "classifier")
    draws = {generator(*key).random() for key in itertools.product(range(5), purposes, range(5), range(2))}
    assert len(draws) == 150


def test_noise_of_many_seeds_is_standard_normal() -> None:
    noise = standard_normal(torch.arange(40, dtype=torch.int32), (3, 16, 16))
    assert noise.shape == (40, 3, 16, 16)
    assert kstest(noise.flatten().numpy(), "norm").pvalue > 0.001


def test_noise_of_neighbouring_seeds_and_pixels_is_uncorrelated() -> None:
    noise = standard_normal(torch.arange(200, dtype=torch.int32), (3, 16, 16)).flatten(1).numpy()
    between_seeds = np.corrcoef(noise)[~np.eye(200, dtype=bool)]
    assert abs(between_seeds.mean()) < 0.005
    assert np.abs(between_seeds).max() < 0.2  # 5.5 standard deviations of 20,000 pairs
    assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 0.02


def test_the_noise_of_an_image_does_not_depend_on_its_batch() -> None:
    alone = standard_normal(torch.tensor([77], dtype=torch.int32), (3, 5, 5))
    among = standard_normal(torch.tensor([1, 77, 3], dtype=torch.int32), (3, 5, 5))
    assert torch.equal(alone[0], among[1])


def test_a_generator_made_again_draws_the_same_numbers_whatever_numpys_own() -> None:
    np.random.seed(1)
    first = generator(3, "order", 7).random(5)
    np.random.seed(2)
    assert np.array_equal(first, generator(3, "order", 7).random(5))


def murmur3_finaliser(bits: int) -> int:
    """fmix32 of MurmurHash3, in whole numbers."""
    bits = (bits ^ bits >> 16) * 0x85EBCA6B % 2**32
    bits = (bits ^ bits >> 13) * 0xC2B2AE35 % 2**32
    return bits ^ bits >> 16


def test_noise_is_box_and_mullers_transform_of_hashed_counters_in_pythons_whole_numbers() -> None:
    assert murmur3_finaliser(1) == 0x514E28B7  # MurmurHash3_x86_32 of the empty string with seed 1
    for seed in (0, 1, 2**31 - 1):
        uniform = []
        for counter in range(8):
            inner = murmur3_finaliser((counter * 0x9E3779B9 + seed) % 2**32)
            uniform.append(((murmur3_finaliser(inner ^ seed) >> 8) + 0.5) / 2**24)
        radii = [math.sqrt(-2 * math.log(u)) for u in uniform[:4]]
        angles = [2 * math.pi * u for u in uniform[4:]]
        expected = [r * math.cos(a) for r, a in zip(radii, angles, strict=True)]
        expected += [r * math.sin(a) for r, a in zip(radii, angles, strict=True)]
        noise = standard_normal(torch.tensor([seed], dtype=torch.int32), (7,))  # an odd number leaves one out
        np.testing.assert_allclose(noise[0].numpy(), expected[:7], rtol=1e-4, atol=1e-5)


def test_noise_has_the_mean_and_standard_deviation_of_the_standard_normal() -> None:
    noise = standard_normal(torch.arange(100, dtype=torch.int32) * 7919, (3, 32, 32))
    assert torch.isfinite(noise).all()
    assert abs(noise.mean().item()) < 0.01  # 5.5 standard errors of 307,200 numbers
    assert noise.std().item() == pytest.approx(1, abs=0.007)
    assert noise.abs().max() > 4
