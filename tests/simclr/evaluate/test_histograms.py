"""Color histograms that identify images, against loops and numpy."""

import numpy as np
import pytest
import torch

from ablate.simclr.data.batches import stream_of
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.data.images import Resident, Split
from ablate.simclr.draw import histogram as drawn
from ablate.simclr.evaluate.frozen import Frozen
from ablate.simclr.evaluate.histograms import histogram, histograms, identified
from ablate.simclr.model import make_model
from ablate.trainer.world import ALONE
from tests.simclr.conftest import Listener, small_config

CPU = torch.device("cpu")


def test_a_histogram_is_numpys_of_all_values_of_an_image() -> None:
    images = torch.rand(5, 3, 7, 6, generator=torch.Generator().manual_seed(0))
    images[0, 0, 0, :4] = torch.tensor([0.0, 1.0, 0.5, 31 / 32])  # on edges
    expected = [np.histogram(image.numpy().ravel(), bins=32, range=(0, 1))[0] / image.numel() for image in images]
    np.testing.assert_array_equal(histogram(images).numpy(), np.array(expected))
    np.testing.assert_array_equal(histogram(images).numpy(), [drawn(image.numpy()) for image in images])  # of Fig. 6


def by_loops(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    right = overlap = 0.0
    for own in range(len(first)):
        common = [sum(min(a, b) for a, b in zip(first[own], row, strict=True)) for row in second]
        most = [number for number, value in enumerate(common) if value > max(common) - 1e-12]
        right += (own in most) / len(most)
        overlap += common[own]
    return right / len(first), overlap / len(first)


def test_a_view_is_identified_by_the_greatest_share_in_common() -> None:
    counts = np.random.default_rng(0).integers(0, 5, size=(2, 12, 8)) / 32  # sums are exact, and some are equal
    found = identified(*torch.from_numpy(counts))
    assert [float(each) for each in found] == pytest.approx(by_loops(*counts), abs=1e-12)
    assert 0 < by_loops(*counts)[0] < 1
    alike = torch.ones(4, 8, dtype=torch.float64) / 8
    assert [float(each) for each in identified(alike, alike)] == pytest.approx([0.25, 1.0])


def found_with(data: Dataset, **augment: object) -> dict[str, float]:
    config = small_config(augment=augment, epochs=0)
    return histograms(Frozen(config, make_model(config, data.classes, CPU), data, Listener()))


def test_the_numbers_are_those_of_two_views_of_the_test_images(data: Dataset) -> None:
    found = found_with(data, transforms=["crop"])
    config = small_config(augment={"transforms": ["crop"]})
    (batch,) = stream_of(config, data.test.images, 40, 1, "pairs", views=2).batches(0, ALONE, CPU)
    views = np.array([np.histogram(view, bins=32, range=(0, 1))[0] / view.size for view in batch.views.numpy()])
    accuracy, overlap = by_loops(views[:40], views[40:])
    assert found == pytest.approx({"histogram_accuracy": 100 * accuracy, "histogram_overlap": overlap})


def test_images_of_one_brightness_each_are_identified_until_their_color_is_distorted(data: Dataset) -> None:
    levels = torch.arange(6, 246, 6, dtype=torch.uint8)[:, None, None, None].expand(40, 3, 16, 16).contiguous()
    flat = Dataset(data.train, Split(Resident(levels), data.test.labels), data.classes)
    crops, colored = found_with(flat, transforms=["crop"]), found_with(flat, transforms=["crop", "color"])
    ranges = {32 * level // 255 for level in range(6, 246, 6)}  # images in the same range share the one answer
    assert crops["histogram_accuracy"] == pytest.approx(100 * len(ranges) / 40)
    assert crops["histogram_overlap"] == 1
    assert colored["histogram_accuracy"] < 30
