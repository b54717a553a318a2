import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from ablate.simclr.data.images import Dataset
from ablate.simclr.evaluate.linear import evaluate_linear, features, fit_linear
from ablate.simclr.pretrain import make_model
from tests.simclr.conftest import Listener, small_config


def cross_entropy(flat: np.ndarray, inputs: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """Multinomial logistic regression's loss in float64; `flat` holds weights and biases."""
    matrix = flat.reshape(classes, -1)
    logits = inputs @ matrix[:, :-1].T + matrix[:, -1]
    logits = logits - logits.max(1, keepdims=True)
    return float((np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]).mean())


def test_the_classifier_comes_to_the_loss_of_scipys_logistic_regression() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    inputs = random.standard_normal((300, 4)) + 1.2 * np.eye(3, 4)[labels]
    best = minimize(cross_entropy, np.zeros(3 * 5), (inputs, labels, 3), method="L-BFGS-B").fun
    config = small_config(evaluate={"epochs": 200, "batch_size": 256, "learning_rate": 0.5})
    tensors = torch.from_numpy(inputs).float(), torch.from_numpy(labels)
    weight, bias = fit_linear(config, *tensors, 3, Listener())
    ours = cross_entropy(np.hstack([weight.numpy(), bias.numpy()[:, None]]).ravel(), inputs, labels, 3)
    assert 0.2 < best <= ours + 1e-9
    assert ours == pytest.approx(best, rel=1e-3)


def test_the_classifier_starts_from_zero_so_that_a_rate_of_nothing_leaves_zero() -> None:
    config = small_config(evaluate={"epochs": 1, "learning_rate": 1e-30})
    weight, bias = fit_linear(config, torch.rand(20, 4), torch.arange(20) % 3, 3, Listener())
    assert weight.abs().max() < 1e-20
    assert bias.abs().max() < 1e-20


def test_features_leave_the_encoder_as_it_was_and_do_not_depend_on_the_batch(data: Dataset) -> None:
    config = small_config()
    encoder, _ = make_model(config, torch.device("cpu"))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    whole = features(config, encoder, data.train.images)
    alone = features(config, encoder, data.train.images[:3])
    torch.testing.assert_close(whole[:3], alone, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_top1_is_the_share_of_test_images_that_are_classified_right_in_percent(data: Dataset) -> None:
    class Telling(torch.nn.Module):
        """Represents an image by its label, read from a table; three of forty test images are mislabelled."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(told[len(images)], 10).float() * 10

    wrong = data.test.labels.clone()
    wrong[:3] = (wrong[:3] + 1) % 10
    told = {72: data.train.labels, 40: wrong}
    config = small_config(evaluate={"epochs": 100})
    metrics = evaluate_linear(config, Telling(), data, Listener())
    assert metrics == {"top1": 100 * 37 / 40, "train_top1": 100.0}
