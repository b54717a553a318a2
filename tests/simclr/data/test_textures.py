import numpy as np
import pytest
import torch
from scipy import ndimage

from ablate.simclr.augment import color, crop
from ablate.simclr.data.textures import FAMILIES, draw, draw_mixed


def test_the_same_arguments_draw_the_same_images() -> None:
    first, second = draw(700, 32, 0, "train"), draw(700, 32, 0, "train")
    assert np.array_equal(first[0], second[0])
    assert first[0].shape == (700, 3, 32, 32)
    assert first[0].dtype == np.uint8


@pytest.mark.parametrize("other", [(60, 32, 1, "train"), (60, 32, 0, "test")])
def test_another_seed_or_split_draws_other_images(other: tuple[int, int, int, str]) -> None:
    assert not np.array_equal(draw(60, 32, 0, "train")[0], draw(*other)[0])


def test_the_classes_are_balanced() -> None:
    assert np.bincount(draw(1000, 32, 0, "train")[1]).tolist() == [100] * len(FAMILIES)


def nearest_mean(descriptors: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy on the second half of a classifier by the nearest class mean of the first half."""
    half = len(labels) // 2
    means = np.stack([descriptors[:half][labels[:half] == label].mean(0) for label in range(10)])
    distance = ((descriptors[half:, None] - means[None]) ** 2).sum(2)
    return float((distance.argmin(1) == labels[half:]).mean())


def test_the_color_of_an_image_does_not_tell_its_class() -> None:
    images, labels = draw(4000, 32, 0, "train")
    assert nearest_mean(images.mean((2, 3)), labels) < 0.15  # chance is 0.1


def test_all_images_share_three_tints() -> None:
    images = draw(400, 32, 0, "train")[0].astype(float)
    bright = (images.min(1) > 60) & (images.max(1) < 250)  # on the ellipse, and not clipped
    ratio = [np.median(each[0][lit] / each[1][lit]) for each, lit in zip(images, bright, strict=True) if lit.sum() > 50]
    tints = np.array([0.65 / 0.70, 0.98 / 0.73, 0.50 / 0.69])  # red to green
    distance = np.abs(np.log(np.array(ratio)[:, None] / tints))
    assert (distance.min(1) < np.log(1.08 / 0.92)).mean() > 0.95  # each channel varies by 8 %
    assert (np.bincount(distance.argmin(1), minlength=3) / len(ratio) > 0.2).all()


def shown(images: np.ndarray) -> np.ndarray:
    """The share of each image (n, 3, S, S), in 0 to 1, that its ellipse covers: light pixels and holes between them."""
    lit = ndimage.maximum_filter(images.max(1), (1, 5, 5)) > 0.3
    covered: np.ndarray = ndimage.minimum_filter(lit, (1, 5, 5)).mean((1, 2))
    return covered


def test_the_share_of_an_image_that_its_ellipse_covers_is_log_uniform() -> None:
    covered = shown(draw(1000, 32, 0, "train")[0] / 255)
    # areas are log-uniform from 0.3 to 1; edges cut off a part of the largest, and dilation adds about as much
    assert np.isclose((covered < 0.5).mean(), np.log(0.5 / 0.3) / np.log(1 / 0.3), atol=0.1)
    assert 0.25 < np.quantile(covered, 0.05) < 0.37


def test_the_size_of_the_ellipse_gives_an_image_away_until_it_is_cropped() -> None:
    """Among 100 images, matched by the covered share alone: after color distortion, and after a crop."""
    pixels = torch.from_numpy(draw(100, 32, 0, "train")[0]) / 255
    random, shapes = np.random.default_rng(0), np.full((100, 2), 32)
    cropping = crop.Crop(area_min=0.5, sampler="torchvision", antialias=True)
    coloring = color.Color(strength=0.6, brightness="multiplicative", operations="torchvision", gray_probability=0)
    cropped = crop.apply(pixels, crop.draw(cropping, shapes, random, 1), cropping)
    colored = color.apply(pixels.clone(), color.draw(coloring, shapes, random, 1), coloring)
    own = shown(pixels.numpy())
    change = {name: np.abs(shown(view.numpy()) - own) for name, view in {"crop": cropped, "color": colored}.items()}
    assert np.median(change["color"]) < 0.03
    assert np.median(change["crop"]) > 0.1


def test_the_spectrum_of_an_image_tells_its_class() -> None:
    images, labels = draw(4000, 32, 0, "train")
    gray = images.mean(1) - images.mean((1, 2, 3))[:, None, None]
    spectrum = np.log1p(np.abs(np.fft.rfft2(gray))).reshape(4000, -1)
    assert nearest_mean(spectrum, labels) > 0.5


def test_mixed_textures_are_other_classes_that_the_spectrum_tells() -> None:
    images, labels = draw_mixed(4000, 32, 0, "train")
    assert np.bincount(labels).tolist() == [400] * len(FAMILIES)
    gray = images.mean(1) - images.mean((1, 2, 3))[:, None, None]
    spectrum = np.log1p(np.abs(np.fft.rfft2(gray))).reshape(4000, -1)
    assert nearest_mean(spectrum, labels) > 0.4
    assert nearest_mean(images.mean((2, 3)), labels) < 0.15  # chance is 0.1
    own = draw(4000, 32, 0, "train")[0]
    own_gray = own.mean(1) - own.mean((1, 2, 3))[:, None, None]
    own_spectrum = np.log1p(np.abs(np.fft.rfft2(own_gray))).reshape(4000, -1)
    crossed = np.concatenate([own_spectrum[:2000], spectrum[:2000]])
    assert nearest_mean(crossed, np.concatenate([labels[:2000], labels[:2000]])) < 0.4  # not the same classes


def test_no_test_image_is_a_training_image() -> None:
    train, test = (draw(1000, 16, 0, split)[0] for split in ("train", "test"))
    assert len({image.tobytes() for image in [*train, *test]}) == 2000


def test_labels_are_the_families_that_the_images_show() -> None:
    images, labels = draw(1000, 32, 0, "train")
    gray = images.mean(1) - images.mean((1, 2, 3))[:, None, None]  # (1000, 32, 32)
    across, down = gray.mean(1).var(1), gray.mean(2).var(1)  # of the mean of each column, of each row
    upright, level = (labels == FAMILIES.index(name) for name in ("stripes_upright", "stripes_level"))
    assert (across > down)[upright].mean() > 0.75  # the ellipse adds its own outline
    assert (down > across)[level].mean() > 0.75


def test_the_mean_color_classifies_2000_images_near_chance() -> None:
    images, labels = draw(2000, 32, 0, "test")
    assert labels.dtype == np.int64
    assert nearest_mean(images.mean((2, 3)), labels) < 0.2
