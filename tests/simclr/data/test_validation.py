"""data.validation: training images in place of the test images, which are not read."""

from typing import Any

import numpy as np
import pytest
import torch

from ablate.simclr.config import Config, Data
from ablate.simclr.data import dataset, textures

DATA = Data(train_images=100, test_images=50, image_size=8, validation=0.2)


def test_a_share_of_every_class_of_the_training_images_is_tested_on_and_no_test_image_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = textures.draw

    def draw(*given: Any, split: str, **more: Any) -> Any:
        assert split == "train"
        return drawn(*given, split=split, **more)

    monkeypatch.setattr(textures, "draw", draw)
    found = dataset.load(DATA, torch.device("cpu"))
    monkeypatch.undo()
    whole = dataset.load(DATA.model_copy(update={"validation": None}), torch.device("cpu")).train
    every = np.bincount(whole.labels)
    assert np.bincount(found.test.labels).tolist() == np.round(0.2 * every).tolist()
    assert (np.bincount(found.train.labels) + np.bincount(found.test.labels)).tolist() == every.tolist()

    def images(split: Any) -> set[bytes]:
        (pixels,) = split.images.stream([np.arange(len(split.images))], torch.device("cpu"))
        return {each.numpy().tobytes() for each in pixels}

    assert images(found.train) | images(found.test) == images(whole)
    assert not images(found.train) & images(found.test)


def test_a_batch_must_fit_into_the_images_that_are_left() -> None:
    Config(batch_size=100, data=Data(train_images=100, test_images=10))
    with pytest.raises(ValueError, match=r"more than the 80 training images that data\.validation = 0\.2 leaves"):
        Config(batch_size=90, data=DATA)
