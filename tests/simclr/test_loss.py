import math

import pytest
import torch
from torch import Tensor

from ablate.simclr.loss import nt_xent


def pair(count: int = 6, dimension: int = 5) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    return tuple(torch.randn(count, dimension, dtype=torch.float64, generator=random) for _ in range(2))  # type: ignore[return-value]


def algorithm_1(first: Tensor, second: Tensor, temperature: float) -> float:
    """Algorithm 1 of the paper in loops: z_{2k-1} and z_{2k} are the views of image k."""
    z = [view.tolist() for views in zip(first, second, strict=True) for view in views]

    def similarity(i: int, j: int) -> float:
        dot = sum(a * b for a, b in zip(z[i], z[j], strict=True))
        return dot / math.sqrt(sum(a * a for a in z[i])) / math.sqrt(sum(b * b for b in z[j]))

    def loss(i: int, j: int) -> float:
        others = sum(math.exp(similarity(i, k) / temperature) for k in range(len(z)) if k != i)
        return -math.log(math.exp(similarity(i, j) / temperature) / others)

    pairs = range(0, len(z), 2)
    return sum(loss(k, k + 1) + loss(k + 1, k) for k in pairs) / len(z)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 0.5, 1.0])
def test_nt_xent_is_algorithm_1_in_loops(temperature: float) -> None:
    first, second = pair()
    assert nt_xent(first, second, temperature).loss.item() == pytest.approx(
        algorithm_1(first, second, temperature), rel=1e-12
    )


def test_the_gradient_of_nt_xent_is_that_of_finite_differences() -> None:
    first, second = (view.requires_grad_() for view in pair(4, 3))
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.5).loss, (first, second))


def test_nt_xent_does_not_depend_on_the_length_of_z() -> None:
    first, second = pair()
    lengths = torch.rand(6, 1, dtype=torch.float64) + 0.1
    assert nt_xent(first * lengths, second, 0.1).loss.item() == pytest.approx(nt_xent(first, second, 0.1).loss.item())


def test_accuracy_counts_the_first_views_whose_nearest_second_view_is_their_own() -> None:
    first, second = pair(40)
    second = first + 1.2 * second
    cosine = torch.nn.functional.cosine_similarity(first[:, None], second[None], dim=2)  # (N, N)
    right = sum(max(range(40), key=lambda j: cosine[i, j].item()) == i for i in range(40))
    assert 0 < right < 40
    assert nt_xent(first, second, 0.1).accuracy.item() == pytest.approx(right / 40)


def test_identical_views_are_always_nearest_to_each_other() -> None:
    first, _ = pair()
    assert nt_xent(first, first, 0.1).accuracy == 1


@pytest.mark.parametrize("count", [2, 5, 64])
def test_when_all_z_are_alike_the_loss_is_that_of_guessing_among_2n_minus_1(count: int) -> None:
    z = torch.ones(count, 3, dtype=torch.float64)
    assert nt_xent(z, z, 0.1).loss.item() == pytest.approx(math.log(2 * count - 1), rel=1e-12)


def test_accuracy_carries_no_gradient_where_the_loss_does() -> None:
    first, second = (view.requires_grad_() for view in pair())
    result = nt_xent(first, second, 0.1)
    assert result.loss.requires_grad
    assert not result.accuracy.requires_grad
