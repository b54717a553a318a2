import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from ablate.simclr.context import Interrupted
from ablate.simclr.data.images import Dataset
from ablate.simclr.evaluate.linear import evaluate_linear, features, fit_linear
from ablate.simclr.pretrain import make_model
from ablate.simclr.randomness import generator
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


def test_the_classifier_takes_the_steps_of_nesterov_and_cosine_written_out_in_numpy() -> None:
    random = np.random.default_rng(0)
    inputs, labels = random.standard_normal((40, 4)), random.integers(0, 3, 40)
    config = small_config(evaluate={"epochs": 3, "batch_size": 16, "learning_rate": 2.0})
    matrix, velocity = np.zeros((3, 5)), np.zeros((3, 5))
    padded = np.hstack([inputs, np.ones((40, 1))])  # the bias is a weight of an input of one
    for step in range(9):  # three batches an epoch: 16, 16 and 8 images
        order = generator(0, "classifier", step // 3).permutation(40)
        chosen = order[16 * (step % 3) :][:16]
        share = np.exp(padded[chosen] @ matrix.T)
        share /= share.sum(1, keepdims=True)
        gradient = (share - np.eye(3)[labels[chosen]]).T @ padded[chosen] / len(chosen)
        velocity = 0.9 * velocity + gradient
        rate = 2.0 * 16 / 256 * 0.5 * (1 + np.cos(np.pi * step / 9))
        matrix = matrix - rate * (gradient + 0.9 * velocity)
    weight, bias = fit_linear(config, torch.from_numpy(inputs).float(), torch.from_numpy(labels), 3, Listener())
    np.testing.assert_allclose(np.hstack([weight.numpy(), bias.numpy()[:, None]]), matrix, rtol=1e-4, atol=1e-6)


def test_features_are_those_of_the_running_statistics_also_when_the_encoder_was_training(data: Dataset) -> None:
    config = small_config(precision="float32")
    encoder, _ = make_model(config, torch.device("cpu"))
    encoder.train()
    with torch.no_grad():
        encoder(torch.rand(16, 3, 16, 16))  # moves the running statistics away from 0 and 1
        made = features(config, encoder, data.test.images)
        expected = encoder.eval()(data.test.images / 255)
        other = encoder.train()(data.test.images / 255)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(made, other, atol=1e-2)


def test_a_context_that_stops_interrupts_the_classifier() -> None:
    with pytest.raises(Interrupted):
        fit_linear(small_config(), torch.rand(20, 4), torch.arange(20) % 3, 3, Listener(stop_after=0))
