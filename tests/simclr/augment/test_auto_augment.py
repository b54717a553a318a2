from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest, chi2_contingency, chisquare
from torch import Tensor

from ablate.simclr.augment.auto_augment import auto_augment, draw_auto_augment
from ablate.simclr.base.vision import torchvision

AutoAugment = torchvision.transforms.AutoAugment
# Every sub-policy with every choice of what is applied and which signs: 25 x 4 x 4.
CASES = np.array(list(product(range(25), *[(False, True)] * 4)))
POLICY, APPLIED, NEGATIVE = CASES[:, 0], CASES[:, 1:3].astype(bool), CASES[:, 3:].astype(bool)
# The probabilities of the paper's table 9 (ImageNet), sub-policy by sub-policy.
PROBABILITIES = np.array(
    [
        *[(0.4, 0.6), (0.6, 0.6), (0.8, 0.6), (0.6, 0.6), (0.4, 0.2)],
        *[(0.4, 0.8), (0.6, 0.6), (0.8, 1.0), (0.2, 0.6), (0.6, 0.4)],
        *[(0.8, 0.4), (0.4, 0.6), (0.0, 0.8), (0.6, 1.0), (0.6, 1.0)],
        *[(0.8, 1.0), (0.8, 0.8), (0.4, 0.6), (0.6, 1.0), (0.4, 0.6)],
        *[(0.4, 0.2), (0.6, 0.6), (0.6, 1.0), (0.6, 1.0), (0.8, 0.6)],
    ]
)


class Fixed(AutoAugment):
    """torchvision's AutoAugment with its three draws given: the sub-policy, what is applied, and the signs."""

    def __init__(self, policy: int, applied: np.ndarray, negative: np.ndarray) -> None:
        super().__init__(fill=[128.0, 128.0, 128.0])  # as in Google's code
        probabilities = torch.where(torch.from_numpy(applied), 0.0, 2.0)  # applied where at most the probability
        self.given = int(policy), probabilities, torch.from_numpy(~negative).int()

    def get_params(self, transform_num: int) -> tuple[int, Tensor, Tensor]:
        assert transform_num == 25
        return self.given


def levels(count: int, height: int, width: int) -> Tensor:
    """8-bit images of which each has a range of its own, with smooth and with noisy parts, and some flat."""
    random = torch.Generator().manual_seed(0)
    noise = torch.rand(count, 3, height, width, generator=random)
    ramp = torch.linspace(0, 1, width).expand(count, 3, height, width)
    low, high = torch.rand(2, count, 3, 1, 1, generator=random).sort(dim=0).values
    images = low + (high - low) * torch.where(noise[:, :, :1] > 0.5, noise, ramp)
    images[::7] = noise[::7, :, :1, :1]
    return (images * 255).round().byte()


def test_every_sub_policy_with_every_choice_and_sign_is_torchvisions_to_the_bit() -> None:
    given = levels(len(CASES), 32, 28)
    ours = auto_augment(given / 255, POLICY, APPLIED, NEGATIVE)
    for image, mine, case in zip(given, ours, zip(POLICY, APPLIED, NEGATIVE, strict=True), strict=True):
        assert torch.equal((mine * 255).round().byte(), Fixed(*case)(image)), case


def test_sub_policies_are_torchvisions_at_224_px_too() -> None:
    given = levels(25, 224, 224)
    policy, applied, negative = np.arange(25), np.ones((25, 2), bool), np.arange(50).reshape(25, 2) % 3 == 0
    ours = auto_augment(given / 255, policy, applied, negative)
    for image, mine, case in zip(given, ours, zip(policy, applied, negative, strict=True), strict=True):
        assert torch.equal((mine * 255).round().byte(), Fixed(*case)(image)), case


def test_every_operation_alone_is_within_one_level_of_what_pillow_computes() -> None:
    alone = APPLIED.sum(axis=1) == 1
    policy, applied, negative = POLICY[alone], APPLIED[alone], NEGATIVE[alone]
    given = levels(len(policy), 32, 32)
    ours = (auto_augment(given / 255, policy, applied, negative) * 255).round().permute(0, 2, 3, 1).numpy()
    pictures = given.permute(0, 2, 3, 1).numpy()
    for picture, mine, case in zip(pictures, ours, zip(policy, applied, negative, strict=True), strict=True):
        theirs = np.asarray(Fixed(*case)(Image.fromarray(picture)), dtype=np.float32)
        assert np.abs(mine - theirs).max() <= 1, case


def test_an_image_without_an_operation_is_only_rounded_to_8_bits() -> None:
    images = torch.rand(25, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    none = np.zeros((25, 2), bool)
    kept = auto_augment(images, np.arange(25), none, none)
    assert kept.dtype == torch.float64
    np.testing.assert_allclose(kept.numpy(), np.rint(images.numpy() * 255) / 255, rtol=0, atol=1e-12)


def test_an_image_comes_out_the_same_in_any_batch_and_the_batch_given_stays_as_it_was() -> None:
    given = levels(len(CASES), 16, 16) / 255
    before = given.clone()
    whole = auto_augment(given, POLICY, APPLIED, NEGATIVE)
    assert torch.equal(given, before)
    for chosen in (np.array([399, 7, 130]), np.array([251])):
        alone = auto_augment(given[chosen], POLICY[chosen], APPLIED[chosen], NEGATIVE[chosen])
        assert torch.equal(alone, whole[chosen])


def test_sub_policies_are_drawn_uniformly_and_their_operations_with_the_papers_probabilities() -> None:
    draws = draw_auto_augment(100_000, np.random.default_rng(0))
    drawn = np.bincount(draws["policy"], minlength=25)
    assert chisquare(drawn).pvalue > 0.001
    for policy, place in np.ndindex(25, 2):
        applied = draws["operations"][draws["policy"] == policy, place].sum()
        # 50 tests, so each at a fiftieth of 0.001; probabilities 0 and 1 must be met exactly.
        assert binomtest(applied, drawn[policy], PROBABILITIES[policy, place]).pvalue > 2e-5


@pytest.mark.parametrize("place", [0, 1])
def test_signs_are_even_and_independent_of_each_other_and_of_what_is_applied(place: int) -> None:
    draws = draw_auto_augment(100_000, np.random.default_rng(1))
    negative, applied = draws["negative"], draws["operations"]
    assert binomtest(negative[:, place].sum(), 100_000, 0.5).pvalue > 0.001
    for other in (negative[:, 1 - place], applied[:, 0], applied[:, 1]):
        table = np.bincount(2 * negative[:, place] + other, minlength=4).reshape(2, 2)
        assert chi2_contingency(table).pvalue > 0.001


def test_the_two_operations_of_a_sub_policy_are_applied_independently() -> None:
    draws = draw_auto_augment(100_000, np.random.default_rng(2))
    first, second = draws["operations"][draws["policy"] == 3].T  # probabilities 0.6 and 0.6
    table = np.bincount(2 * first.astype(int) + second, minlength=4)
    assert chisquare(table, len(first) * np.array([0.16, 0.24, 0.24, 0.36])).pvalue > 0.001
