import math

import numpy as np
import pytest
import torch
from scipy.linalg import qr
from scipy.spatial.distance import pdist
from scipy.stats import entropy

from ablate.simclr.evaluate.geometry import alignment, effective_rank, squared_eigenvalues, uniformity


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(rows: torch.Tensor) -> np.ndarray:
    wide = rows.double().numpy()
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


@pytest.mark.parametrize("shape", [(100, 8), (8, 30)])
@pytest.mark.parametrize("block", [3, 8192])
def test_the_effective_rank_is_the_exponential_of_scipys_entropy_of_numpys_singular_values(
    shape: tuple[int, int], block: int
) -> None:
    features = drawn(*shape) * torch.logspace(0, -2, shape[1]) + 0.5
    values = np.linalg.svd(features.double().numpy(), compute_uv=False)
    assert effective_rank(features, block) == pytest.approx(math.exp(entropy(values)), rel=1e-4)


def test_orthonormal_columns_have_full_rank_and_multiples_of_one_row_have_rank_one() -> None:
    columns = torch.from_numpy(qr(drawn(40, 6).double().numpy(), mode="economic")[0])
    assert effective_rank(columns * 7) == pytest.approx(6, rel=1e-4)
    assert effective_rank(drawn(40, 1) * drawn(1, 6)) == pytest.approx(1, rel=1e-4)


def test_features_that_are_all_zero_have_rank_zero() -> None:
    assert effective_rank(torch.zeros(5, 3)) == 0


@pytest.mark.parametrize("alpha", [1, 2, 3])
def test_alignment_is_the_mean_distance_of_pairs_as_a_loop_finds_it(alpha: int) -> None:
    first, second = drawn(20, 5), 3 * drawn(20, 5, seed=1)
    expected = [np.linalg.norm(u - v) ** alpha for u, v in zip(unit(first), unit(second), strict=True)]
    assert alignment(first, second, alpha) == pytest.approx(np.mean(expected), rel=1e-6)
    assert alignment(first, 2 * first) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("block", [1, 7, 2048])
@pytest.mark.parametrize("t", [1, 2])
def test_uniformity_is_that_of_scipys_pairwise_distances_whatever_the_block(block: int, t: int) -> None:
    features = drawn(30, 5) + 1
    expected = np.log(np.exp(-t * pdist(unit(features), "sqeuclidean")).mean())
    assert uniformity(features, t, block) == pytest.approx(expected, rel=1e-5)


def test_features_in_one_point_are_not_uniform_at_all_and_one_feature_has_no_pair() -> None:
    assert uniformity(torch.ones(10, 4)) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="needs at least 2 features, not 1"):
        uniformity(torch.ones(1, 4))


def test_a_shear_has_the_eigenvalues_of_its_diagonal_and_not_its_singular_values() -> None:
    weight = torch.tensor([[1.0, 100.0, 0.0], [0.0, -3.0, 5.0], [0.0, 0.0, 2.0]])
    assert squared_eigenvalues(weight).tolist() == pytest.approx([9, 4, 1])


def test_a_turn_that_stretches_by_two_has_complex_eigenvalues_of_absolute_value_two() -> None:
    cosine, sine = 2 * math.cos(0.3), 2 * math.sin(0.3)
    assert squared_eigenvalues(torch.tensor([[cosine, -sine], [sine, cosine]])).tolist() == pytest.approx([4, 4])


def test_a_matrix_that_is_not_square_gives_the_eigenvalues_of_its_gram_matrix() -> None:
    weight = drawn(4, 9)
    gram = weight.double() @ weight.double().T
    np.testing.assert_allclose(squared_eigenvalues(weight), np.linalg.eigvalsh(gram.numpy())[::-1])
