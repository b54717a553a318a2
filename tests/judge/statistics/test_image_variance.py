import numpy as np
import pytest

from ablate.judge.statistics.image_variance import variance_parts


def drawn(random: np.random.Generator, seeds: int, images: int, deviations: tuple[float, float, float]) -> np.ndarray:
    """Differences [seed, image] whose seeds, images and rest have these standard deviations."""
    of_seed, of_image, rest = deviations
    together = random.normal(0, of_seed, (seeds, 1)) + random.normal(0, of_image, (1, images))
    return np.asarray(together + random.normal(0, rest, (seeds, images)))


def test_the_parts_are_on_average_those_of_the_model() -> None:
    random = np.random.default_rng(1)
    found = [variance_parts(drawn(random, 5, 40, (1.5, 2.0, 3.0))) for _ in range(1_500)]
    for name, expected in (("seeds", 2.25 / 5), ("images", 4 / 40), ("both", 9 / 200)):
        assert np.mean([getattr(each, name) for each in found]) == pytest.approx(expected, rel=0.1), name


def test_the_parts_are_those_of_an_analysis_of_variance_by_hand() -> None:
    found, values = variance_parts(table := drawn(np.random.default_rng(2), 4, 6, (1.0, 1.0, 0.3))), table.tolist()
    assert found is not None
    mean = sum(map(sum, values)) / 24
    rows = [sum(row) / 6 for row in values]
    columns = [sum(row[image] for row in values) / 4 for image in range(6)]
    rest = sum((values[s][i] - rows[s] - columns[i] + mean) ** 2 for s in range(4) for i in range(6)) / 15
    assert found.both == pytest.approx(rest / 24)
    assert found.seeds + found.both == pytest.approx(sum((row - mean) ** 2 for row in rows) / 3 / 4)
    assert found.images + found.both == pytest.approx(sum((column - mean) ** 2 for column in columns) / 5 / 6)


def test_a_two_way_bootstrap_finds_the_same_variance() -> None:
    """Owen 2007: resampling both ways gives the variance of the seeds, of the images, and three times the rest."""
    random, seeds, images = np.random.default_rng(3), 30, 50
    table = drawn(random, seeds, images, (0.4, 2.0, 1.5))
    parts = variance_parts(table)
    assert parts is not None
    means = [
        table[random.integers(0, seeds, seeds)][:, random.integers(0, images, images)].mean() for _ in range(4_000)
    ]
    assert np.var(means) == pytest.approx(parts.seeds + parts.images + 3 * parts.both, rel=0.1)


def test_images_that_both_cells_classify_alike_cause_no_variance() -> None:
    right = np.random.default_rng(4).random((3, 200)) < 0.7
    parts = variance_parts(right * 1.0 - right)
    assert parts is not None
    assert (parts.share, parts.wider) == (None, None)
    of_seeds = variance_parts(np.repeat([[1.0], [2.0], [4.0]], 50, axis=1))
    assert of_seeds is not None
    assert (of_seeds.share, of_seeds.wider) == pytest.approx((0.0, 1.0))
    assert variance_parts(np.zeros((1, 50))) is None
