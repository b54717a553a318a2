import numpy as np
import pytest

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


def test_the_color_of_an_image_gives_the_image_away() -> None:
    """Among 200 images, the halves of one are nearest to each other by hue and saturation alone."""
    images = draw(200, 32, 0, "train")[0].astype(float)
    chroma = [part.mean((2, 3)) for part in (images[..., :16], images[..., 16:])]
    first, second = (color / color.sum(1, keepdims=True) for color in chroma)  # (200, 3), brightness divided out
    nearest = ((first[:, None] - second[None]) ** 2).sum(2).argmin(1)
    assert (nearest == np.arange(200)).mean() > 0.5  # chance is 0.005


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
    assert (across > down)[upright].mean() > 0.9
    assert (down > across)[level].mean() > 0.9


def test_the_mean_color_classifies_2000_images_near_chance() -> None:
    images, labels = draw(2000, 32, 0, "test")
    assert labels.dtype == np.int64
    assert nearest_mean(images.mean((2, 3)), labels) < 0.2
