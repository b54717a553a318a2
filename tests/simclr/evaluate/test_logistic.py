import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from ablate.simclr.evaluate import logistic
from ablate.simclr.evaluate.logistic import L2_GRID, Linear, fit_logistic, sweep_l2
from ablate.simclr.evaluate.scores import eleven_point_map, top_k
from ablate.simclr.evaluate.transfer import hold_out
from ablate.trainer.contract import Diverged, Interrupted


def drawn(rows: int = 400, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of unequal scales, far from zero, of three classes that overlap and occur unequally often."""
    random = np.random.default_rng(seed)
    labels = random.choice(3, rows, p=[0.6, 0.3, 0.1])
    features = (random.standard_normal((rows, 5)) + 1.5 * np.eye(3, 5)[labels]) * [1, 3, 0.5, 1, 2] + 4
    return torch.from_numpy(features).float(), torch.from_numpy(labels)


def several(rows: int = 400) -> torch.Tensor:
    """Targets of two classes, of which some are unknown."""
    features, labels = drawn(rows)
    targets = torch.stack([labels == 0, features[:, 3] > 4.5], dim=1).long()
    targets[::7, 0] = -1
    targets[100:200, 1] = -1
    return targets


def scikit(features: torch.Tensor, labels: torch.Tensor, l2: float) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and intercepts of a minimiser that is not ours."""
    model = LogisticRegression(C=1 / (len(labels) * l2), solver="newton-cg", tol=1e-8, max_iter=1000)
    model.fit(features.double().numpy(), labels.numpy())
    return model.coef_, model.intercept_


def largest_gradient(found: Linear, features: torch.Tensor, labels: torch.Tensor, l2: float) -> float:
    """Of mean cross entropy + l2 / 2 |W|^2 by W and b, from its formula in float64."""
    inputs, weight = features.double().numpy(), found.weight.double().numpy()
    logits = inputs @ weight.T + found.bias.double().numpy()
    residual = softmax(logits, axis=1) - np.eye(len(weight))[labels.numpy()]
    by_weight = residual.T @ inputs / len(inputs) + l2 * weight
    return float(max(abs(by_weight).max(), abs(residual.mean(0)).max()))


@pytest.mark.parametrize("l2", [1e-5, 1e-3, 1e-1, 10])
def test_weights_are_those_of_scikit_learn_with_c_of_one_over_n_l2(l2: float) -> None:
    features, labels = drawn()
    found = fit_logistic(features, labels, 3, l2)
    weight, bias = scikit(features, labels, l2)
    np.testing.assert_allclose(found.weight.numpy(), weight, rtol=1e-3, atol=1e-3 * abs(weight).max())
    ours = found.bias.numpy()  # one number added to all biases changes nothing
    np.testing.assert_allclose(ours - ours.mean(), bias - bias.mean(), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("l2", [1e-6, 1e-3, 1e5])
def test_the_gradient_in_float64_is_zero_where_the_search_ends(l2: float) -> None:
    features, labels = drawn()
    found = fit_logistic(features, labels, 3, l2)
    assert found.gradient_norm <= 1e-5
    assert largest_gradient(found, features, labels, l2) < 1e-4  # features are of length ten


@pytest.mark.parametrize("rows", [20, 60])
def test_fewer_rows_than_features_and_features_that_repeat_or_never_change_are_no_hindrance(rows: int) -> None:
    features, labels = drawn(rows)
    wide = torch.cat([features, features, torch.ones(rows, 3), features.square()[:, :1].expand(-1, 20)], dim=1)
    found = fit_logistic(wide, labels, 3, 1e-2, tolerance=1e-6)
    assert largest_gradient(found, wide, labels, 1e-2) < 1e-3
    torch.testing.assert_close(found.weight[:, :5], found.weight[:, 5:10], rtol=1e-2, atol=1e-4)
    assert found.weight[:, 10:13].abs().max() < 1e-5


@pytest.mark.parametrize("l2", [1e-4, 1e-1])
def test_each_of_several_labels_is_scikit_learns_binary_regression_on_the_rows_where_it_is_known(l2: float) -> None:
    features, targets = drawn()[0], several()
    found = fit_logistic(features, targets, 2, l2, tolerance=1e-6)
    for column, target in enumerate(targets.unbind(1)):
        weight, bias = scikit(features[target >= 0], target[target >= 0], l2)
        np.testing.assert_allclose(found.weight[column].numpy(), weight[0], rtol=1e-3, atol=1e-3)
        assert float(found.bias[column]) == pytest.approx(bias[0], rel=2e-3)


def test_a_label_known_nowhere_leaves_zero() -> None:
    targets = torch.stack([several()[:, 0], torch.full((400,), -1)], dim=1)
    found = fit_logistic(drawn()[0], targets, 2, 1e-3)
    assert found.weight[1].abs().max() == found.bias[1] == 0
    assert found.weight[0].abs().max() > 0.1


def test_the_bias_is_not_penalised_so_that_the_heaviest_penalty_leaves_the_frequencies() -> None:
    features, labels = drawn()
    found = fit_logistic(features, labels, 3, 1e6)
    assert found.weight.abs().max() < 1e-5
    frequency = np.bincount(labels.numpy()) / len(labels)
    np.testing.assert_allclose(found.logits(features).softmax(1)[0].numpy(), frequency, atol=1e-4)
    binary = fit_logistic(features, several(), 2, 1e6)
    known = [target[target >= 0].double().mean() for target in several().unbind(1)]
    np.testing.assert_allclose(expit(binary.bias.double().numpy()), known, atol=1e-3)


def test_features_a_thousand_times_as_long_have_weights_a_thousandth_of_the_size() -> None:
    features, labels = drawn()
    plain, longer = fit_logistic(features, labels, 3, 1e-3), fit_logistic(1024 * features, labels, 3, 1e-3 * 1024**2)
    torch.testing.assert_close(1024 * longer.weight, plain.weight, rtol=1e-3, atol=1e-4)


def test_features_without_any_variance_give_the_frequencies() -> None:
    labels = drawn()[1]
    found = fit_logistic(torch.full((400, 4), 3.0), labels, 3, 1e-3)
    assert found.weight.abs().max() == 0
    frequency = np.bincount(labels.numpy()) / len(labels)
    np.testing.assert_allclose(found.bias.softmax(0).numpy(), frequency, atol=1e-4)


def test_the_minimum_does_not_depend_on_the_start_and_is_left_at_once_when_started_from() -> None:
    features, labels = drawn()
    random = torch.Generator().manual_seed(0)
    far = Linear(5 * torch.randn(3, 5, generator=random), torch.randn(3, generator=random), 0.0)
    found = fit_logistic(features, labels, 3, 1e-2, far)
    from_zero = fit_logistic(features, labels, 3, 1e-2)
    torch.testing.assert_close(found.weight, from_zero.weight, rtol=1e-3, atol=1e-4)
    again = fit_logistic(features, labels, 3, 1e-2, found, tolerance=1.1e-5, max_iterations=0)
    torch.testing.assert_close(again.weight, found.weight)
    assert again.gradient_norm <= 1.1e-5


def test_a_search_that_is_cut_short_says_so() -> None:
    assert fit_logistic(*drawn(), 3, 1e-3, max_iterations=1).gradient_norm > 1e-3


def test_a_tolerance_below_the_rounding_ends_all_the_same() -> None:
    found = fit_logistic(*drawn(), 3, 1e-3, tolerance=0)
    assert 0 < found.gradient_norm < 1e-5


def test_the_minimum_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = (drawn()[1], 3), (several(), 2)
    whole = [fit_logistic(drawn()[0], *labels, 1e-3) for labels in sets]
    monkeypatch.setattr(logistic, "_ELEMENTS", 35)  # seven rows of five features
    parts = [fit_logistic(drawn()[0], *labels, 1e-3) for labels in sets]
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one.weight, other.weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("l2", [0.0, -1.0])
def test_without_a_penalty_nothing_is_fitted(l2: float) -> None:
    with pytest.raises(ValueError, match="not positive"):
        fit_logistic(*drawn(), 3, l2)


def test_features_that_are_not_numbers_have_diverged() -> None:
    features, labels = drawn()
    features[3, 2] = torch.nan
    with pytest.raises(Diverged):
        fit_logistic(features, labels, 3, 1e-3)


def test_a_stop_interrupts_the_fit_and_the_sweep() -> None:
    answers = iter([False] * 3 + [True])
    with pytest.raises(Interrupted):
        fit_logistic(*drawn(), 3, 1e-3, stopping=lambda: next(answers))
    with pytest.raises(Interrupted):
        sweep_l2(drawn(), drawn(), 3, lambda logits, labels: top_k(logits, labels, 1), stopping=lambda: True)


def test_the_grid_is_that_of_the_paper_45_values_from_1e_minus_6_to_1e5_with_a_constant_ratio() -> None:
    assert len(L2_GRID) == 45
    assert L2_GRID[0] == pytest.approx(1e-6)
    assert L2_GRID[-1] == pytest.approx(1e5)
    np.testing.assert_allclose(np.diff(np.log10(L2_GRID)), 11 / 44)


def test_every_l2_of_a_sweep_scores_what_a_fit_from_zero_scores_and_the_best_is_trained_again_on_all() -> None:
    train, validation = drawn(60), drawn(300, seed=1)

    def minus_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> float:
        return -float(torch.nn.functional.cross_entropy(logits, labels))

    sweep = sweep_l2(train, validation, 3, minus_cross_entropy)
    assert list(sweep.scores) == sorted(L2_GRID, reverse=True)
    for l2 in L2_GRID[::8]:
        alone = fit_logistic(*train, 3, l2).logits(validation[0])
        assert sweep.scores[l2] == pytest.approx(minus_cross_entropy(alone, validation[1]), rel=5e-3)
    assert sweep.l2 == max(sweep.scores, key=lambda l2: sweep.scores[l2])
    assert L2_GRID[0] < sweep.l2 < L2_GRID[-1]
    both = [torch.cat(parts) for parts in zip(train, validation, strict=True)]
    weight, _ = scikit(*both, sweep.l2)
    np.testing.assert_allclose(sweep.classifier.weight.numpy(), weight, rtol=5e-3, atol=1e-3)


def test_of_equally_good_values_the_largest_is_chosen_and_of_no_values_none() -> None:
    assert sweep_l2(drawn(), drawn(), 3, lambda logits, labels: 1.0, (1e-2, 1.0, 1e-1)).l2 == 1.0
    with pytest.raises(ValueError, match="at least one"):
        sweep_l2(drawn(), drawn(), 3, lambda logits, labels: 1.0, ())


def test_a_sweep_takes_several_labels() -> None:
    features, targets = drawn()[0], several()
    sweep = sweep_l2((features, targets), (features, targets), 2, eleven_point_map, (1e-3, 1e-1))
    alone = fit_logistic(features, targets, 2, 1e-3)
    assert sweep.scores[1e-3] == pytest.approx(eleven_point_map(alone.logits(features), targets), rel=1e-3)
    assert sweep.classifier.weight.shape == (2, 5)


def test_a_held_out_part_has_its_share_of_every_class_and_is_disjoint_from_the_rest() -> None:
    labels = torch.tensor([0] * 40 + [1] * 10 + [2] * 2 + [3])[
        torch.randperm(53, generator=torch.Generator().manual_seed(0))
    ]
    kept, held = hold_out(labels, 0.2, seed=0)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(53))
    assert Counter(labels[held].tolist()) == {0: 8, 1: 2, 2: 1}
    assert kept.tolist() == sorted(kept.tolist())
    assert held.tolist() == sorted(held.tolist())


def test_a_share_of_nearly_everything_leaves_one_row_of_each_class() -> None:
    kept, _ = hold_out(torch.arange(30) % 3, 0.99, seed=0)
    assert sorted((kept % 3).tolist()) == [0, 1, 2]


def test_what_is_held_out_depends_on_the_seed_alone() -> None:
    labels = torch.arange(100) % 5
    first, again, other = (hold_out(labels, 0.2, seed)[1] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_nothing_warns_in_a_fit_of_classes_that_a_line_separates() -> None:
    labels = torch.arange(30) % 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit_logistic(torch.eye(3)[labels] * 10, labels, 3, 1e-6)
    assert top_k(found.logits(torch.eye(3)), torch.arange(3), 1) == 100
