import numpy as np
import pytest
import torch
from sklearn.metrics import precision_recall_curve, top_k_accuracy_score

from ablate.simclr.evaluate.scores import eleven_point_map, mean_per_class, top_k


def drawn(rows: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(rows, classes, generator=random), torch.randint(classes, (rows,), generator=random)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_is_scikit_learns(k: int) -> None:
    logits, labels = drawn(200, 7)
    expected = 100 * top_k_accuracy_score(labels.numpy(), logits.numpy(), k=k)
    assert top_k(logits, labels, k) == pytest.approx(expected)


def test_with_as_many_guesses_as_classes_or_more_every_row_is_right() -> None:
    assert top_k(*drawn(20, 3), 5) == 100


def test_a_rare_class_counts_as_much_as_a_frequent_one_and_an_absent_one_not_at_all() -> None:
    labels = torch.tensor([0] * 8 + [1] * 2)
    guesses = torch.tensor([0] * 8 + [2, 1])
    logits = torch.nn.functional.one_hot(guesses, 4).float()
    assert mean_per_class(logits, labels, 4) == pytest.approx(100 * (8 / 8 + 1 / 2) / 2)
    assert top_k(logits, labels, 1) == pytest.approx(90)


def test_eleven_point_precision_is_read_off_scikit_learns_precision_recall_curve() -> None:
    random = np.random.default_rng(0)
    targets = random.integers(-1, 2, (300, 4))
    scores = np.round(random.standard_normal((300, 4)) + targets, 1)  # with many equal scores
    found = []
    for score, target in zip(scores.T, targets.T, strict=True):
        precision, recall, _ = precision_recall_curve(target[target >= 0], score[target >= 0])
        found.append(np.mean([precision[recall >= t / 10 - 1e-9].max() for t in range(11)]))
    ours = eleven_point_map(torch.from_numpy(scores).float(), torch.from_numpy(targets))
    assert ours == pytest.approx(100 * np.mean(found), rel=1e-9)


def test_eleven_point_precision_of_two_positives_at_ranks_one_and_four_is_that_of_pencil_and_paper() -> None:
    scores = torch.tensor([[0.9], [0.8], [0.7], [0.6], [0.5]])
    targets = torch.tensor([[1], [0], [0], [1], [0]])
    # precision 1 up to a recall of 0.5 (six points: 0, 0.1, ..., 0.5), then 2 / 4 (five points)
    assert eleven_point_map(scores, targets) == pytest.approx(100 * (6 * 1 + 5 * 0.5) / 11)


def test_three_of_ten_positives_reach_a_recall_of_three_tenths() -> None:
    ranks = [1, 1, 1] + [0] * 10 + [1] * 7  # precision 1 for three positives, 10 / 20 at the end
    scores = torch.linspace(1, 0, 20)[:, None]
    assert eleven_point_map(scores, torch.tensor(ranks)[:, None]) == pytest.approx(100 * (4 * 1 + 7 * 0.5) / 11)


def test_difficult_rows_and_classes_without_positives_change_nothing() -> None:
    scores, targets = torch.tensor([[3.0], [2.0], [1.0]]), torch.tensor([[1], [0], [1]])
    more = torch.cat([scores, torch.tensor([[9.0]])]), torch.cat([targets, torch.tensor([[-1]])])
    padded = torch.cat([scores, scores], dim=1), torch.cat([targets, torch.zeros_like(targets)], dim=1)
    plain = eleven_point_map(scores, targets)
    assert plain == eleven_point_map(*more) == eleven_point_map(*padded) < 100


def test_equal_scores_earn_no_more_than_the_share_of_positives_in_whatever_order_they_come() -> None:
    for targets in ([1, 0, 0, 0], [0, 0, 0, 1]):
        assert eleven_point_map(torch.zeros(4, 1), torch.tensor(targets)[:, None]) == pytest.approx(25)


def test_without_any_positive_there_is_no_average_precision() -> None:
    with pytest.raises(ValueError, match="no class has a positive"):
        eleven_point_map(torch.rand(3, 2), torch.tensor([[0, -1]] * 3))
