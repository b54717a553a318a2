import numpy as np
import pytest
import torch
from sklearn.neural_network import MLPClassifier

from ablate.simclr.evaluate.scores import top_k
from ablate.simclr.evaluate.transformation import fit_mlp
from ablate.trainer.contract import Interrupted


def drawn(rows: int, dimension: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, dimension, generator=torch.Generator().manual_seed(seed))


def quadrants(features: torch.Tensor) -> torch.Tensor:
    """Labels that no linear classifier finds: whether the first two features have the same sign."""
    return (features[:, 0] * features[:, 1] > 0).long()


def test_features_that_determine_the_label_in_a_curved_way_are_read_like_scikit_learns_network_reads_them() -> None:
    features, unseen = drawn(4000, 8), drawn(2000, 8, seed=1)
    model = fit_mlp(features, quadrants(features), 2, hidden=64)
    theirs = MLPClassifier(64, batch_size=256, max_iter=30, n_iter_no_change=100, alpha=0, random_state=0)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        theirs.fit(features.numpy(), quadrants(features).numpy())
    ours = top_k(model(unseen), quadrants(unseen), 1)
    assert ours > 93
    assert ours == pytest.approx(100 * theirs.score(unseen.numpy(), quadrants(unseen).numpy()), abs=4)


def test_features_that_carry_the_label_are_read_without_a_fault() -> None:
    labels = torch.arange(2000) % 4
    features = drawn(4, 16)[labels] + 0.05 * drawn(2000, 16, seed=1)
    model = fit_mlp(features[:1000], labels[:1000], 4)
    assert top_k(model(features[1000:]), labels[1000:], 1) == 100


def test_features_that_carry_nothing_are_read_at_chance() -> None:
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 4, 4000))
    model = fit_mlp(drawn(2000, 16), labels[:2000], 4)
    assert top_k(model(drawn(2000, 16, seed=1)), labels[2000:], 1) == pytest.approx(25, abs=4)  # 4 standard errors


def test_the_network_depends_on_its_seed_and_on_nothing_else_that_is_random() -> None:
    features = drawn(100, 4)
    inputs = features, quadrants(features), 2
    first = fit_mlp(*inputs, epochs=2, seed=1)(features)
    torch.manual_seed(12345)
    before = torch.get_rng_state()
    assert torch.equal(fit_mlp(*inputs, epochs=2, seed=1)(features), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.allclose(fit_mlp(*inputs, epochs=2, seed=2)(features), first, atol=1e-3)


def test_neither_scale_nor_shift_nor_a_constant_feature_changes_what_is_read() -> None:
    features = torch.cat([drawn(200, 4), torch.ones(200, 1)], dim=1)
    labels = quadrants(features)
    moved = 1024 * features + 4096
    plain = fit_mlp(features, labels, 2, epochs=3)(features)
    torch.testing.assert_close(fit_mlp(moved, labels, 2, epochs=3)(moved), plain, rtol=1e-2, atol=1e-2)


def test_the_hidden_layer_is_as_wide_as_the_features_unless_told() -> None:
    features = drawn(10, 6)
    for hidden, width in ((None, 6), (11, 11)):
        shapes = [tuple(p.shape) for p in fit_mlp(features, quadrants(features), 2, hidden, epochs=1).parameters()]
        assert shapes == [(width, 6), (width,), (2, width), (2,)]


def test_a_stop_interrupts_the_training() -> None:
    features = drawn(10, 6)
    with pytest.raises(Interrupted):
        fit_mlp(features, quadrants(features), 2, stopping=lambda: True)
