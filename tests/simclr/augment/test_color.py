import colorsys
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from ablate.simclr.augment import color
from ablate.simclr.augment.color import Color
from ablate.simclr.base.vision import torchvision

reference = pytest.importorskip("torchvision.transforms.v2.functional")
assert torchvision

MULTIPLICATIVE = Color(brightness="multiplicative", operations="torchvision")
ADDITIVE = Color(brightness="additive", operations="torchvision")
ADJUSTMENTS = {
    "brightness": (color.multiply_brightness, reference.adjust_brightness, 0, 2),
    "contrast": (color.adjust_contrast, reference.adjust_contrast, 0, 2),
    "saturation": (color.adjust_saturation, reference.adjust_saturation, 0, 2),
    "hue": (color.adjust_hue, reference.adjust_hue, -0.5, 0.5),
}


def images() -> Tensor:
    """Random images, and those at the edges of the color space: black, white, gray, primaries, a gray ramp."""
    flat = [(0, 0, 0), (1, 1, 1), (0.5, 0.5, 0.5), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1)]
    plain = [torch.tensor(channels, dtype=torch.float32)[:, None, None].expand(3, 8, 8) for channels in flat]
    ramp = torch.linspace(0, 1, 64).view(1, 8, 8).expand(3, 8, 8)
    random = torch.rand(30, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return torch.cat([torch.stack([*plain, ramp]), random])


@pytest.mark.parametrize("name", ADJUSTMENTS)
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.8, 1.0])
def test_an_adjustment_is_torchvisions_at_every_factor(name: str, share: float) -> None:
    adjust, theirs, low, high = ADJUSTMENTS[name]
    factor = low + share * (high - low)
    changed = images()
    adjust(changed, torch.full((len(changed),), factor))
    torch.testing.assert_close(changed, theirs(images(), factor), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ADJUSTMENTS)
def test_each_image_of_a_batch_gets_its_own_factor(name: str) -> None:
    adjust, theirs, low, high = ADJUSTMENTS[name]
    factors = torch.linspace(low, high, len(images()))
    changed = images()
    adjust(changed, factors)
    alone = torch.stack([theirs(image, float(factor)) for image, factor in zip(images(), factors, strict=True)])
    torch.testing.assert_close(changed, alone, rtol=0, atol=1e-5)


def test_adding_brightness_is_adding_and_clipping() -> None:
    deltas = np.linspace(-0.8, 0.8, len(images()), dtype=np.float32)
    changed = images()
    color.add_brightness(changed, torch.from_numpy(deltas))
    expected = np.clip(images().numpy() + deltas[:, None, None, None], 0, 1)
    np.testing.assert_allclose(changed.numpy(), expected, atol=1e-7)


def test_grayscale_is_torchvisions() -> None:
    torch.testing.assert_close(color.grayscale(images()), reference.rgb_to_grayscale(images()), rtol=0, atol=1e-6)


def test_jitter_applies_the_four_adjustments_in_each_images_own_order() -> None:
    random = np.random.default_rng(0)
    count = len(images())
    order = random.permuted(np.tile(np.arange(4), (count, 1)), axis=1)
    order[::5] = -1
    amounts = random.uniform([0.2, 0.2, 0.2, -0.2], [1.8, 1.8, 1.8, 0.2], (count, 4)).astype(np.float32)
    expected = images()
    for row in range(count):
        for which in order[row][order[row] >= 0]:
            adjust = list(ADJUSTMENTS.values())[which][1]
            expected[row] = adjust(expected[row], float(amounts[row, which]))
    changed = color.jitter(images(), amounts, order, MULTIPLICATIVE)
    torch.testing.assert_close(changed, expected, rtol=0, atol=2e-5)
    assert torch.equal(changed[::5], images()[::5])


def test_jitter_leaves_the_batch_it_is_given_as_it_was() -> None:
    given = images()
    order = np.tile(np.arange(4), (len(given), 1))
    color.jitter(given, np.full((len(given), 4), 0.3, np.float32), order, ADDITIVE)
    assert torch.equal(given, images())


def test_random_factors_as_far_as_strength_2_give_torchvisions_images() -> None:
    random = np.random.default_rng(3)
    for adjust, theirs, low, high in ADJUSTMENTS.values():
        factors = random.uniform(low, high if high < 1 else 2.6, len(images())).astype(np.float32)
        changed = images()
        adjust(changed, torch.from_numpy(factors))
        alone = [theirs(image, float(factor)) for image, factor in zip(images(), factors, strict=True)]
        torch.testing.assert_close(changed, torch.stack(alone), rtol=0, atol=1e-5)


ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}


@pytest.mark.parametrize("name", ENHANCERS)
@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 2.0])
def test_an_adjustment_is_within_one_level_of_pillows_on_8_bit_images(name: str, factor: float) -> None:
    levels = (images() * 255).round()  # (B, 3, H, W), whole numbers
    changed = levels / 255
    ADJUSTMENTS[name][0](changed, torch.full((len(changed),), factor))
    ours = (changed * 255).round().permute(0, 2, 3, 1).numpy()  # (B, H, W, 3)
    for picture, mine in zip(levels.permute(0, 2, 3, 1).byte().numpy(), ours, strict=True):
        theirs = np.asarray(ENHANCERS[name](Image.fromarray(picture)).enhance(factor))
        assert np.abs(mine - theirs).max() <= 1


@pytest.mark.parametrize("shift", [-0.5, -0.21, 0.0, 0.1, 0.37, 0.5])
def test_turning_the_hue_is_what_pythons_colorsys_does_to_every_pixel(shift: float) -> None:
    changed = images()
    color.adjust_hue(changed, torch.full((len(changed),), shift))
    for before, after in zip(
        images().permute(0, 2, 3, 1).reshape(-1, 3).tolist(),
        changed.permute(0, 2, 3, 1).reshape(-1, 3).tolist(),
        strict=True,
    ):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        assert after == pytest.approx(colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value), abs=1e-5)


def test_jitter_adds_the_brightness_where_the_authors_first_release_does() -> None:
    random = np.random.default_rng(4)
    count = len(images())
    order = random.permuted(np.tile(np.arange(4), (count, 1)), axis=1)
    amounts = random.uniform([-0.8, 0.2, 0.2, -0.2], [0.8, 1.8, 1.8, 0.2], (count, 4)).astype(np.float32)
    expected = images()
    for row in range(count):
        for which in order[row]:
            amount = float(amounts[row, which])
            if which == 0:
                expected[row] = torch.from_numpy(np.clip(expected[row].numpy() + amount, 0, 1))
            else:
                expected[row] = list(ADJUSTMENTS.values())[which][1](expected[row], amount)
    changed = color.jitter(images(), amounts, order, ADDITIVE)
    torch.testing.assert_close(changed, expected, rtol=0, atol=2e-5)


def test_contrast_about_each_channels_mean_is_tensorflows_formula() -> None:
    factors = np.linspace(0, 2, len(images()))
    changed = images()
    color.adjust_contrast_of_channels(changed, torch.from_numpy(factors).float())
    given = images().double().numpy()
    means = given.mean((2, 3), keepdims=True)
    expected = np.clip((given - means) * factors[:, None, None, None] + means, 0, 1)
    np.testing.assert_allclose(changed.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("factor", [0.0, 0.2, 1.0, 1.8, 5.0])
def test_scaling_the_saturation_is_what_pythons_colorsys_does_to_every_pixel(factor: float) -> None:
    changed = images()
    color.scale_saturation(changed, torch.full((len(changed),), factor))
    before, after = (each.permute(0, 2, 3, 1).reshape(-1, 3).tolist() for each in (images(), changed))
    for given, ours in zip(before, after, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*given)
        assert ours == pytest.approx(colorsys.hsv_to_rgb(hue, min(1, saturation * factor), value), abs=1e-5)


def test_jitter_uses_tensorflows_operations_unless_told_otherwise() -> None:
    order = np.tile([1, 2, -1, -1], (len(images()), 1))  # contrast, then saturation
    amounts = np.full((len(images()), 4), 0.5, np.float32)
    expected = images()
    half = torch.full((len(images()),), 0.5)
    color.adjust_contrast_of_channels(expected, half)
    color.scale_saturation(expected, half)
    torch.testing.assert_close(color.jitter(images(), amounts, order, Color()), expected, rtol=0, atol=1e-6)
    assert not torch.allclose(color.jitter(images(), amounts, order, MULTIPLICATIVE), expected, atol=0.01)


@pytest.mark.parametrize("brightness", ["additive", "multiplicative"])
def test_the_five_turns_of_a_gpu_are_the_jitter_in_each_images_own_order(
    brightness: Literal["additive", "multiplicative"],
) -> None:
    settings, random = Color(brightness=brightness, jitter_probability=0.9), np.random.default_rng(0)
    draws = color.draw(settings, np.zeros((300, 2), np.int64), random, 2)  # all 24 orders, and images without jitter
    images = torch.from_numpy(random.random((300, 3, 6, 6)))
    images[:20] = images[:20, :1]  # gray
    images[20:25], images[25:30] = 0, 1
    ours = color.jitter_in_five(images, draws["amounts"], draws["order"], settings)
    torch.testing.assert_close(
        ours, color.jitter(images.clone(), draws["amounts"], draws["order"], settings), atol=1e-6, rtol=0
    )
    assert torch.equal(ours[draws["order"][:, 0] < 0], images[draws["order"][:, 0] < 0])


def test_hue_and_saturation_of_hsv_are_those_of_colorsys() -> None:
    random = np.random.default_rng(1)
    colors = np.concatenate([random.random((40, 3)), [[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0], [0, 0, 1]]])
    factors, shifts = random.uniform(0, 2, len(colors)), random.uniform(-0.5, 0.5, len(colors))
    sextants = torch.from_numpy(6 * shifts[:, None] + np.array([5, 3, 1]))
    ours = color.adjust_hsv(torch.from_numpy(colors)[..., None, None], torch.from_numpy(factors), sextants)[..., 0, 0]
    for found, pixel, factor, shift in zip(ours.numpy(), colors, factors, shifts, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        wanted = colorsys.hsv_to_rgb((hue + shift) % 1, min(1, saturation * factor), value)
        assert found == pytest.approx(wanted, abs=1e-9)
