import numpy as np
import pytest
import torch
from torch import nn

from ablate.simclr import config
from ablate.simclr.model import ProjectionHead


def head(name: str, output: int = 16, **settings: object) -> ProjectionHead:
    settings |= {"name": name, "output_dimension": output}
    return ProjectionHead(config.Head.model_validate(settings), 64)


def test_no_head_is_the_identity() -> None:
    h = torch.rand(4, 64)
    assert torch.equal(head("none")(h), h)


@pytest.mark.parametrize(("name", "weights"), [("linear", [(16, 64)]), ("nonlinear", [(64, 64), (16, 64)])])
def test_dense_layers_have_these_shapes_and_no_bias(name: str, weights: list[tuple[int, int]]) -> None:
    layers = [module for module in head(name).modules() if isinstance(module, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in layers] == weights
    assert all(layer.bias is None for layer in layers)


@pytest.mark.parametrize(("name", "shifts"), [("linear", [False]), ("nonlinear", [True, False])])
def test_only_the_last_batch_norm_has_no_shift_that_learns(name: str, shifts: list[bool]) -> None:
    norms = [module for module in head(name).modules() if isinstance(module, nn.BatchNorm1d)]
    assert [norm.bias.requires_grad for norm in norms] == shifts
    assert all(norm.weight.requires_grad for norm in norms)


def test_the_output_of_a_head_has_mean_zero_over_the_batch_in_training() -> None:
    z = head("nonlinear").train()(torch.rand(32, 64))
    torch.testing.assert_close(z.mean(0), torch.zeros(16), rtol=0, atol=1e-5)


def test_a_nonlinear_head_computes_what_numpy_computes_from_its_two_matrices() -> None:
    network = head("nonlinear").double().train()
    first, second = (layer.weight.detach().numpy() for layer in network.modules() if isinstance(layer, nn.Linear))
    h = np.random.default_rng(0).standard_normal((20, 64))

    def normalized(x: np.ndarray) -> np.ndarray:
        return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)  # batch norm with its first scale and shift

    expected = normalized(np.maximum(normalized(h @ first.T), 0) @ second.T)  # (20, 16)
    z = network(torch.from_numpy(h)).detach().numpy()
    np.testing.assert_allclose(z, expected, rtol=1e-9, atol=1e-9)


def test_a_linear_head_has_no_relu_and_no_hidden_layer() -> None:
    assert [type(layer) for layer in head("linear").last] == [nn.Linear, nn.BatchNorm1d]
    assert len(head("linear").hidden) == 0


@pytest.mark.parametrize("name", ["linear", "nonlinear"])
@pytest.mark.parametrize("output", [2, 32])
def test_z_is_as_long_as_the_settings_say_and_its_matrices_start_at_a_hundredth(name: str, output: int) -> None:
    network = head(name, output)
    assert network(torch.rand(4, 64)).shape == (4, output)
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.01, rel=0.3)  # 128 numbers at the least


def test_no_head_has_nothing_to_learn() -> None:
    assert list(head("none").parameters()) == []


@pytest.mark.parametrize("layers", [1, 2])
def test_a_nonlinear_head_has_as_many_hidden_layers_as_wide_as_h_as_the_settings_say(layers: int) -> None:
    matrices = [module for module in head("nonlinear", hidden_layers=layers).modules() if isinstance(module, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in matrices] == [(64, 64)] * layers + [(16, 64)]


def test_without_batch_norm_a_head_is_the_papers_formula() -> None:
    network = head("nonlinear", batch_norm=False).double()
    first, second = (layer.weight.detach().numpy() for layer in network.modules() if isinstance(layer, nn.Linear))
    h = np.random.default_rng(0).standard_normal((20, 64))
    z = network(torch.from_numpy(h)).detach().numpy()
    np.testing.assert_allclose(z, np.maximum(h @ first.T, 0) @ second.T, rtol=1e-12, atol=1e-15)
