import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ablate.simclr.augment.equalize import equalize
from ablate.simclr.augment.solarize import solarize


def levels() -> Tensor:
    """8-bit images (12, 3, 32, 24): noise, dark and bright, a ramp, two levels, one level, and a lone bright pixel."""
    random = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (4, 3, 32, 24), generator=random)
    dark, bright = noise // 5, 255 - noise // 7
    ramp = torch.arange(768).view(1, 1, 32, 24).expand(1, 3, 32, 24) // 3
    two, flat = 40 + 150 * (noise[:1] % 2), torch.full((1, 3, 32, 24), 200)
    lone = flat.clone()
    lone[..., 3, 5] = 255
    return torch.cat([noise, dark[:2], bright[:2], ramp, two, flat, lone]).byte()


def pillow(levels: Tensor) -> list[Image.Image]:
    return [Image.fromarray(image) for image in levels.permute(0, 2, 3, 1).numpy()]


def to_levels(images: Tensor) -> np.ndarray:
    return (images * 255).round().permute(0, 2, 3, 1).byte().numpy()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equalization_is_pillows_to_the_bit(dtype: torch.dtype) -> None:
    ours = equalize(levels().to(dtype) / 255)
    assert ours.dtype == dtype
    for mine, picture in zip(to_levels(ours), pillow(levels()), strict=True):
        np.testing.assert_array_equal(mine, np.asarray(ImageOps.equalize(picture)))


def test_equalization_is_pillows_where_a_channel_has_too_few_pixels_for_a_step() -> None:
    small = levels()[..., :12, :12]
    for mine, picture in zip(to_levels(equalize(small / 255)), pillow(small), strict=True):
        np.testing.assert_array_equal(mine, np.asarray(ImageOps.equalize(picture)))


def test_equalization_rounds_to_the_nearest_level_first() -> None:
    between = (levels() + 0.4 * torch.rand(12, 3, 32, 24, generator=torch.Generator().manual_seed(1))) / 255
    assert torch.equal(equalize(between.clamp(max=1)), equalize(levels() / 255))


def test_equalization_of_an_image_is_the_same_in_any_batch() -> None:
    images, chosen = levels() / 255, torch.tensor([9, 0, 4])
    assert torch.equal(equalize(images[chosen]), equalize(images)[chosen])


def test_solarization_with_a_threshold_per_image_is_pillows() -> None:
    thresholds = [0, 1, 40, 41, 85, 127, 128, 170, 200, 201, 255, 256]
    ours = solarize(levels() / 255, torch.tensor(thresholds) / 255)
    for mine, picture, threshold in zip(to_levels(ours), pillow(levels()), thresholds, strict=True):
        np.testing.assert_array_equal(mine, np.asarray(ImageOps.solarize(picture, threshold)))


@pytest.mark.parametrize("level", range(256))
def test_solarization_inverts_a_level_at_its_threshold_and_not_the_level_below(level: int) -> None:
    at = torch.tensor([level, level - 1]).float() * (1 / 255)
    inverted = solarize(at.view(1, 1, 1, 2), torch.tensor([level / 255])).flatten()
    torch.testing.assert_close(inverted, torch.stack([1 - at[0], at[1]]), rtol=0, atol=0)


def test_neither_changes_the_batch_it_is_given() -> None:
    given = levels() / 255
    equalize(given)
    solarize(given, torch.full((12,), 0.5))
    assert torch.equal(given, levels() / 255)
