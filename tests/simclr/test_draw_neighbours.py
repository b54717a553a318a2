from pathlib import Path

import numpy as np
import pytest
import torch

from ablate.records.files import Results
from ablate.simclr.config import Data
from ablate.simclr.data.dataset import sample
from ablate.simclr.draw import features_of, nearest, neighbours
from ablate.simclr.model import make_model
from tests.report.pictures.studies import TEXTURES, config_of, save_untrained


def test_the_nearest_are_those_of_a_loop_in_double_precision() -> None:
    features = np.random.default_rng(0).standard_normal((50, 8))
    queries = np.array([3, 7, 49])
    rows, similarity = nearest(features, queries)
    for place, query in enumerate(queries):
        found = []
        for other in range(50):
            if other != query:
                dot = sum(float(a) * float(b) for a, b in zip(features[query], features[other], strict=True))
                lengths = [sum(float(a) ** 2 for a in features[row]) ** 0.5 for row in (query, other)]
                found.append((-dot / lengths[0] / lengths[1], other))
        found.sort()
        assert rows[place].tolist() == [row for _, row in found[:6]]
        assert similarity[place] == pytest.approx([-value for value, _ in found[:6]])


def test_of_equally_near_images_the_first_are_taken_and_never_the_query_itself() -> None:
    rows, _ = nearest(np.ones((9, 4)), np.array([2]))
    assert rows.tolist() == [[0, 1, 3, 4, 5, 6]]


def test_features_are_those_of_the_encoder_in_evaluation(tmp_path: Path) -> None:
    config = config_of("crop", "color").model_copy(update={"precision": "float32"})
    checkpoint = save_untrained(Results(tmp_path), "p", config)
    images = sample(Data.model_validate(TEXTURES), "test", 20, 2)
    model = make_model(config, 10, torch.device("cpu")).eval()
    with torch.no_grad():
        h = model.encoder(images.images.pixels / 255).double().numpy()
    assert np.allclose(features_of(config, checkpoint, images), h, atol=1e-5)


def test_neighbours_are_counted_by_the_classes_of_the_test_images(tmp_path: Path) -> None:
    config = config_of("crop", "color")
    drawn = neighbours(config, save_untrained(Results(tmp_path), "p", config))
    assert (drawn["gallery"], drawn["gallery_classes"]) == (40, 10)
    assert drawn["classes"] == ["stripes_upright", "stripes_diagonal", "grid", "rings", "blocks_coarse"]
    for query, names, right in zip(drawn["classes"], drawn["found"], drawn["right"], strict=True):
        assert right == [name == query for name in names]
        assert len(names) == 6


def test_weights_of_other_settings_are_refused(tmp_path: Path) -> None:
    checkpoint = save_untrained(Results(tmp_path), "p", config_of("crop", "color"))
    with pytest.raises(ValueError, match="belongs to other settings"):
        neighbours(config_of("crop", "blur"), checkpoint)


def test_a_damaged_checkpoint_is_refused_and_stays(tmp_path: Path) -> None:
    config = config_of("crop", "color")
    checkpoint = save_untrained(Results(tmp_path), "p", config)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is damaged"):
        neighbours(config, checkpoint)
    assert checkpoint.exists()


def test_an_encoder_that_a_page_cannot_wait_for_is_not_run(tmp_path: Path) -> None:
    huge = {"name": "resnet152", "width_multiplier": 4}
    config = config_of("crop", "color", {**TEXTURES, "image_size": 224}, encoder=huge)
    with pytest.raises(ValueError, match="too large"):
        neighbours(config, tmp_path / "final-0.pt")
