import pytest
import torch
from torch import nn

from ablate.simclr import config
from ablate.simclr.head import projection_head


def head(name: str, output: int = 16) -> nn.Module:
    return projection_head(config.Head.model_validate({"name": name, "output_dimension": output}), 64)


def test_no_head_is_the_identity() -> None:
    h = torch.rand(4, 64)
    assert torch.equal(head("none")(h), h)


@pytest.mark.parametrize(("name", "weights"), [("linear", [(16, 64)]), ("nonlinear", [(64, 64), (16, 64)])])
def test_dense_layers_have_these_shapes_and_no_bias(name: str, weights: list[tuple[int, int]]) -> None:
    layers = [module for module in head(name) if isinstance(module, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in layers] == weights
    assert all(layer.bias is None for layer in layers)


@pytest.mark.parametrize(("name", "shifts"), [("linear", [False]), ("nonlinear", [True, False])])
def test_only_the_last_batch_norm_has_no_shift_that_learns(name: str, shifts: list[bool]) -> None:
    norms = [module for module in head(name) if isinstance(module, nn.BatchNorm1d)]
    assert [norm.bias.requires_grad for norm in norms] == shifts
    assert all(norm.weight.requires_grad for norm in norms)


def test_the_output_of_a_head_has_mean_zero_over_the_batch_in_training() -> None:
    z = head("nonlinear").train()(torch.rand(32, 64))
    torch.testing.assert_close(z.mean(0), torch.zeros(16), rtol=0, atol=1e-5)
