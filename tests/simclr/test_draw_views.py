import numpy as np
import pytest
import torch

from ablate.simclr.config import Augment, Config, Data
from ablate.simclr.data.batches import Stream
from ablate.simclr.data.dataset import load, sample
from ablate.simclr.data.views import apply_views, draw_views
from ablate.simclr.draw import BINS, histogram, histograms, step_views, strip
from tests.report.pictures.studies import TEXTURES, config_of

DATA = Data.model_validate(TEXTURES)
CPU = torch.device("cpu")


@pytest.mark.parametrize("sides", ["one", "both"])
@pytest.mark.parametrize("transforms", [("crop", "color"), ("noise",), ("blur", "sobel")])
def test_views_are_those_that_the_trainer_draws_of_the_same_images(transforms: tuple[str, ...], sides: str) -> None:
    augment = Augment.model_validate({"transforms": transforms, "views": sides, "base_crop": True})
    images = sample(DATA, "train", 3)
    (pixels,) = images.images.stream([np.arange(3)], CPU)
    stream = Stream(images.images, augment, 16, batch_size=3, steps=2, seed=0, purpose="pretrain", views=2)
    for step, views in enumerate(step_views(augment, images, 16, 2, steps=2)):
        order, shapes = stream.order(step), np.full((3, 2), 16)
        drawn = draw_views(augment, shapes, 16, 0, step)
        trainers = apply_views(drawn, pixels[order] / 255, shapes, augment, 16)[0].numpy()
        for place, image in enumerate(order):
            assert np.allclose(views[image], trainers[place], atol=1e-6)
            assert np.allclose(views[3 + image], trainers[3 + place], atol=1e-6)


@pytest.mark.parametrize(("count", "each", "classes"), [(3, 1, 3), (40, 4, 10), (8, 4, 2)])
def test_a_sample_has_images_that_the_trial_sees_under_their_own_labels(count: int, each: int, classes: int) -> None:
    for split in ("train", "test"):
        found, whole = sample(DATA, split, count, each), load(DATA, CPU)
        known = whole.train if split == "train" else whole.test
        (pixels,) = known.images.stream([np.arange(len(known.images))], CPU)
        assert np.bincount(found.labels)[np.unique(found.labels)].tolist() == [count // classes] * classes
        for image, label in zip(found.images.pixels, found.labels, strict=True):
            (row,) = np.flatnonzero((pixels == image).all(dim=(1, 2, 3)).numpy())
            assert known.labels[row] == label


def test_a_strip_begins_with_the_images_as_they_are() -> None:
    config = config_of("color", "color")
    drawn = strip(config, sample(DATA, "train", 3))
    assert drawn["uri"].shape == (drawn["rows"], drawn["columns"], 3, 16, 16) == (3, 7, 3, 16, 16)
    assert np.allclose(drawn["uri"][:, 0] * 255, sample(DATA, "train", 3).images.pixels.numpy(), atol=1e-4)


def test_a_histogram_counts_the_values_of_all_channels() -> None:
    image = np.zeros((3, 2, 2), np.float32)
    image[0] = [[0.0, 0.5], [0.5, 1.0]]
    image[1] = 1.0
    counts = [0.0] * BINS
    counts[0], counts[BINS // 2], counts[-1] = 5 / 12, 2 / 12, 5 / 12
    assert histogram(image).tolist() == pytest.approx(counts)


def test_histograms_are_of_the_same_crops_without_and_with_color() -> None:
    never = {"jitter_probability": 0.0, "gray_probability": 0.0}
    config = Config.model_validate(config_of("crop", "color").model_dump() | {"augment": {"color": never}})
    without, same = histograms(config, sample(DATA, "train", 2))["shares"]
    assert without == same
    always = {"augment": {"color": {"jitter_probability": 1.0}}}
    without, other = histograms(Config.model_validate(config.model_dump() | always), sample(DATA, "train", 2))["shares"]
    assert without == same
    assert np.abs(np.array(without) - other).sum(axis=-1).min() > 0.1
    assert np.shape(other) == (2, 4, BINS)
