import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from ablate.simclr.evaluate.linear import knn_predict


def drawn(train: int, test: int, dimension: int = 6, classes: int = 4) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (train,), generator=random)
    return (
        torch.randn(train, dimension, generator=random) * torch.rand(train, 1, generator=random) * 5,
        labels,
        torch.randn(test, dimension, generator=random),
    )


def test_votes_are_those_of_wu_et_al_written_as_loops_in_float64() -> None:
    train, labels, test = drawn(50, 10)
    expected = np.zeros((10, 4))
    for row, query in enumerate(test.double().numpy()):
        likeness = [
            float(query @ other / np.linalg.norm(query) / np.linalg.norm(other)) for other in train.double().numpy()
        ]
        for near in sorted(range(50), key=lambda other: -likeness[other])[:7]:
            expected[row, labels[near]] += math.exp((likeness[near] - max(likeness)) / 0.07)
    np.testing.assert_allclose(knn_predict(train, labels, test, 4, neighbours=7).numpy(), expected, rtol=1e-4)


def test_shares_of_the_votes_are_scikit_learns_with_cosine_distance_and_the_same_weights() -> None:
    train, labels, test = drawn(400, 60)
    known = KNeighborsClassifier(200, metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.07))
    known.fit(train.double().numpy(), labels.numpy())
    votes = knn_predict(train, labels, test, 4)  # 200 and 0.07 unless told otherwise
    np.testing.assert_allclose(
        (votes / votes.sum(1, keepdim=True)).numpy(), known.predict_proba(test.double().numpy()), rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("block", [(1, 3), (7, 64), (60, 399)])
def test_votes_do_not_depend_on_the_blocks(block: tuple[int, int]) -> None:
    train, labels, test = drawn(400, 60)
    whole = knn_predict(train, labels, test, 4, neighbours=20)
    torch.testing.assert_close(knn_predict(train, labels, test, 4, neighbours=20, block=block), whole)


def test_more_neighbours_than_training_rows_are_all_of_them() -> None:
    train, labels, test = drawn(30, 5)
    all_of_them = knn_predict(train, labels, test, 4, neighbours=30)
    torch.testing.assert_close(knn_predict(train, labels, test, 4, neighbours=200, block=(2, 8)), all_of_them)
    assert not torch.allclose(knn_predict(train, labels, test, 4, neighbours=3), all_of_them)


def test_the_length_of_features_does_not_matter() -> None:
    train, labels, test = drawn(30, 5)
    longer = knn_predict(train * 100, labels, test / 100, 4, neighbours=5)
    torch.testing.assert_close(longer, knn_predict(train, labels, test, 4, neighbours=5), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("temperature", [0.01, 1e-4])
def test_a_low_temperature_leaves_the_nearest_neighbour_and_no_overflow(temperature: float) -> None:
    train, labels, test = drawn(200, 30)
    votes = knn_predict(train, labels, test, 4, temperature=temperature)
    assert torch.isfinite(votes).all()
    similarity = torch.nn.functional.normalize(test.double()) @ torch.nn.functional.normalize(train.double()).T
    weights = ((similarity - similarity.max(1, keepdim=True).values) / temperature).exp()
    exact = torch.zeros(30, 4, dtype=torch.float64).index_add_(1, labels, weights)
    assert torch.equal(votes.argmax(1), exact.argmax(1))
