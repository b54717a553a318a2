import itertools

import numpy as np
import torch
from scipy.stats import kstest

from ablate.simclr.randomness import generator, standard_normal


def test_every_seed_purpose_and_index_has_numbers_of_its_own() -> None:
    purposes = ("order", "augment", "classifier")
    draws = {generator(*key).random() for key in itertools.product(range(5), purposes, range(5))}
    assert len(draws) == 75


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
