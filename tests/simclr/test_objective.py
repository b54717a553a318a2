from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.simclr.config import Config
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.model import Model, make_model
from ablate.simclr.pretrain import contrastive_step, pretrain, statistics_kept, supervised_step
from tests.simclr.conftest import Listener, small_config

CPU = torch.device("cpu")


def case(**changes: Any) -> tuple[Config, Model, Tensor, Tensor]:
    config = small_config(precision="float64", **changes)
    random = torch.Generator().manual_seed(0)
    views = torch.rand(32, 3, 16, 16, dtype=torch.float64, generator=random)
    return config, make_model(config, 10, CPU), views, torch.arange(16) % 10


def gradient(model: Model) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def steps(config: Config, model: Model, views: Tensor, labels: Tensor, micro_batch: int | None) -> tuple[Tensor, Any]:
    model.zero_grad()
    measures = contrastive_step(config.model_copy(update={"micro_batch": micro_batch}), model, views, labels)
    return gradient(model), measures


@pytest.mark.parametrize("micro_batch", [2, 5, 8])
@pytest.mark.parametrize("loss", ["nt_xent", "nt_logistic", "margin"])
def test_with_batch_norm_frozen_the_gradient_in_parts_is_the_plain_one(micro_batch: int, loss: str) -> None:
    config, model, views, labels = case(loss={"name": loss})
    model.eval()  # batch norm as a fixed affine map
    plain, measured = steps(config, model, views, labels, None)
    parts, again = steps(config, model, views, labels, micro_batch)
    assert plain.norm() > 0
    assert (parts - plain).norm() / plain.norm() < 1e-6
    for name, value in measured.items():
        torch.testing.assert_close(again[name], value)


def test_parts_need_no_online_probe() -> None:
    config, model, views, labels = case(online_probe=False)
    plain, _ = steps(config, model.eval(), views, labels, None)
    parts, _ = steps(config, model.eval(), views, labels, 4)
    assert (parts - plain).norm() / plain.norm() < 1e-6


def test_a_part_as_large_as_the_batch_is_the_plain_step_also_with_batch_norm() -> None:
    config, model, views, labels = case()
    plain, _ = steps(config, model.train(), views, labels, None)
    whole, _ = steps(config, model.train(), views, labels, 16)
    assert torch.equal(plain, whole)


def test_in_parts_the_loss_is_that_of_z_normalized_by_each_parts_own_statistics() -> None:
    config, model, views, labels = case()
    model.train()
    first, second = views.chunk(2)
    with torch.no_grad(), statistics_kept(model):
        z = [model(torch.cat([first[at : at + 8], second[at : at + 8]])).z.chunk(2) for at in (0, 8)]
    together = F.normalize(torch.cat([z[0][0], z[1][0], z[0][1], z[1][1]]), dim=1)
    logits = (together @ together.T / config.loss.temperature).fill_diagonal_(-torch.inf)
    expected = F.cross_entropy(logits, torch.arange(32).roll(16))
    _, measured = steps(config, model, views, labels, 8)
    torch.testing.assert_close(measured["loss"], expected)


def test_in_parts_running_statistics_are_updated_once_for_each_part() -> None:
    config, model, views, labels = case()
    model.train()
    expected = nn.BatchNorm2d(16).double()
    convolved = model.encoder.conv1(views)
    for at in (0, 8):
        expected(torch.cat([convolved[at : at + 8], convolved[16 + at : 24 + at]]))
    steps(config, model, views, labels, 8)
    torch.testing.assert_close(model.encoder.bn1.running_mean, expected.running_mean)
    torch.testing.assert_close(model.encoder.bn1.running_var, expected.running_var)
    assert model.encoder.bn1.num_batches_tracked == 2


def test_the_scale_of_the_loss_scales_the_gradient_and_not_what_is_told() -> None:
    config, model, views, labels = case(online_probe=False)
    model.eval()
    twice, told = steps(config, model, views, labels, None)
    single = config.model_copy(update={"loss": config.loss.model_copy(update={"scale": 1.0})})
    once, told_again = steps(single, model, views, labels, None)
    torch.testing.assert_close(twice, 2 * once)
    assert told["loss"] == told_again["loss"]


@pytest.mark.parametrize("micro_batch", [None, 5])
def test_the_supervised_step_is_cross_entropy_on_one_view(micro_batch: int | None) -> None:
    config, model, views, labels = case(method="supervised", micro_batch=micro_batch)
    model.eval()
    with torch.no_grad():
        for parameter in model.head.parameters():  # it starts at zero
            parameter.normal_(generator=torch.Generator().manual_seed(0))
    measured = supervised_step(config, model, views[:16], labels)
    made = gradient(model)
    model.zero_grad()
    logits = model.head(model.encoder(views[:16]))
    expected = F.cross_entropy(logits, labels)
    expected.backward()
    torch.testing.assert_close(measured["loss"], expected.detach())
    torch.testing.assert_close(made, gradient(model))
    assert measured["train_top1"].item() == pytest.approx(100 * float((logits.argmax(1) == labels).double().mean()))


def test_the_supervised_baseline_learns_what_it_is_trained_on(data: Dataset) -> None:
    config = small_config(
        method="supervised", epochs=60, augment={"transforms": []}, evaluate={"parts": ["classifier"]}
    )
    listener = Listener()
    pretrain(config, data, listener)
    assert listener.rows[-1]["train_top1"] > 90
    assert listener.rows[0]["train_top1"] < 50


def test_what_a_torchvision_network_drops_out_belongs_to_the_step_and_not_to_the_process() -> None:
    config = small_config(
        encoder={"name": "torchvision", "torchvision": "vgg11"}, head={"name": "none"}, precision="float32"
    )
    model = make_model(config, 10, CPU).train()
    images = torch.rand(4, 3, 32, 32)
    losses = []
    for step, state in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(state)
        losses.append(contrastive_step(config, model, images, torch.zeros(2, dtype=torch.long), step=step)["loss"])
    assert losses[0] == losses[1] != losses[2]
