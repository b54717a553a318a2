import numpy as np
import pytest
import torch
from torch import nn

from ablate.simclr import config
from ablate.simclr.model.optimizer import LARS, make_optimizer


def lars_in_numpy(weight: np.ndarray, gradients: list[np.ndarray], rates: list[float], decay: float) -> np.ndarray:
    """The update of google-research/simclr (lars_optimizer.py), for one weight, in float64."""
    velocity = np.zeros_like(weight)
    for gradient, rate in zip(gradients, rates, strict=True):
        trust = 1.0
        if weight.ndim > 1:
            gradient = gradient + decay * weight
            norms = np.linalg.norm(weight), np.linalg.norm(gradient)
            trust = 0.001 * norms[0] / norms[1] if min(norms) > 0 else 1.0
        velocity = 0.9 * velocity + rate * trust * gradient
        weight = weight - velocity
    return weight


def lars_in_torch(weight: np.ndarray, gradients: list[np.ndarray], rates: list[float], decay: float) -> np.ndarray:
    parameter = nn.Parameter(torch.from_numpy(weight.copy()))
    optimizer = LARS([parameter], lr=0.0, weight_decay=decay)
    for gradient, rate in zip(gradients, rates, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    return parameter.detach().numpy()


def check(weight: np.ndarray, decay: float = 0.1) -> None:
    """Six recorded steps whose learning rate changes, so that its place inside the momentum shows."""
    random = np.random.default_rng(0)
    gradients = [random.standard_normal(weight.shape) for _ in range(6)]
    rates = [0.0, 0.5, 5.0, 5.0, 1.0, 0.2]
    expected = lars_in_numpy(weight, gradients, rates, decay)
    assert not np.allclose(expected, weight)
    np.testing.assert_allclose(lars_in_torch(weight, gradients, rates, decay), expected, rtol=1e-12)


def test_lars_updates_a_kernel_by_the_authors_formula() -> None:
    check(np.random.default_rng(1).standard_normal((8, 4, 3, 3)))


def test_lars_gives_a_bias_neither_decay_nor_trust() -> None:
    check(np.random.default_rng(1).standard_normal(8))


def test_lars_trusts_fully_where_a_norm_is_zero() -> None:
    check(np.zeros((5, 3)))


def test_lars_is_the_default_and_leaves_what_does_not_learn_alone() -> None:
    module = nn.BatchNorm1d(3)
    module.bias.requires_grad_(False)
    optimizer = make_optimizer(config.Optimizer(), [module])
    assert isinstance(optimizer, LARS)
    assert optimizer.param_groups[0]["weight_decay"] == 1e-6  # the paper's
    assert optimizer.param_groups[0]["params"] == [module.weight]


def test_adamw_takes_its_weight_decay_from_the_settings() -> None:
    layer = nn.Linear(2, 2)
    optimizer = make_optimizer(config.Optimizer(name="adamw", weight_decay=0.25), [layer])
    assert isinstance(optimizer, torch.optim.AdamW)
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decays == {id(layer.weight): 0.25, id(layer.bias): 0.0}  # biases have none


def test_lars_trusts_fully_and_stays_finite_where_the_gradient_is_zero() -> None:
    weight = np.random.default_rng(1).standard_normal((4, 3))
    gradients = [np.ones((4, 3)), np.zeros((4, 3)), np.ones((4, 3))]
    ours = lars_in_torch(weight, gradients, [1.0, 1.0, 1.0], decay=0.0)
    np.testing.assert_allclose(ours, lars_in_numpy(weight, gradients, [1.0, 1.0, 1.0], 0.0), rtol=1e-12)


def test_the_first_step_of_lars_has_the_length_of_the_trust_whatever_the_scale_of_the_gradient() -> None:
    weight, gradient = np.random.default_rng(1).standard_normal((2, 6, 5))
    for scale in (1e-3, 1.0, 1e3):
        moved = lars_in_torch(weight, [scale * gradient], [2.0], decay=0.0) - weight
        assert np.linalg.norm(moved) == pytest.approx(0.001 * 2.0 * np.linalg.norm(weight), rel=1e-9)


def test_an_optimizer_takes_the_parameters_of_every_module_it_is_given() -> None:
    modules = [nn.Linear(2, 3), nn.Linear(3, 4, bias=False)]
    taken = make_optimizer(config.Optimizer(), modules).param_groups[0]["params"]
    assert [tuple(parameter.shape) for parameter in taken] == [(3, 2), (3,), (4, 3)]


def test_sgd_takes_the_steps_of_nesterovs_momentum_written_out_in_numpy() -> None:
    random = np.random.default_rng(0)
    weight, velocity = random.standard_normal((4, 3)), np.zeros((4, 3))
    parameter = nn.Parameter(torch.from_numpy(weight.copy()))
    settings = config.Optimizer(name="sgd", weight_decay=0.1, momentum=0.8)
    optimizer = make_optimizer(settings, [nn.ParameterList([parameter])])
    for rate in (0.1, 0.5, 0.2):
        gradient = random.standard_normal((4, 3))
        parameter.grad = torch.from_numpy(gradient.copy())
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        decayed = gradient + 0.1 * weight
        velocity = 0.8 * velocity + decayed
        weight = weight - rate * (decayed + 0.8 * velocity)
    np.testing.assert_allclose(parameter.detach().numpy(), weight, rtol=1e-12)
