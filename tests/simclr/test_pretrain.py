import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ablate.simclr import pretrain as module
from ablate.simclr.config import Config
from ablate.simclr.context import Diverged, Interrupted
from ablate.simclr.data.images import Dataset, Split
from ablate.simclr.pretrain import batches, make_model, pretrain
from tests.simclr.conftest import Listener, small_config


def weights(data: Dataset, **changes: Any) -> Tensor:
    encoder, _ = pretrain(small_config(**changes), data.train, Listener())
    return torch.cat([value.flatten().double() for value in encoder.state_dict().values()])


def test_the_same_seed_gives_the_same_weights_bit_for_bit_whatever_torchs_own_generator(data: Dataset) -> None:
    torch.manual_seed(1)
    first = weights(data)
    torch.manual_seed(2)
    assert torch.equal(first, weights(data))


def test_another_seed_gives_other_weights(data: Dataset) -> None:
    assert not torch.equal(weights(data), weights(data, seed=1))


def test_training_leaves_torchs_own_generator_as_it_was(data: Dataset) -> None:
    before = torch.get_rng_state()
    weights(data)
    assert torch.equal(before, torch.get_rng_state())


def test_every_epoch_has_one_row_with_a_loss_and_takes_whole_batches(data: Dataset) -> None:
    listener = Listener()
    _, metrics = pretrain(small_config(), data.train, listener)
    assert [row["epoch"] for row in listener.rows] == [1, 2]
    assert listener.steps == 2 * (72 // 16)
    assert metrics["loss"] == listener.rows[-1]["loss"] > 0


def test_every_epoch_takes_each_image_at_most_once_in_an_order_of_its_own() -> None:
    orders = module._orders(small_config(epochs=3), 72).reshape(3, 64)
    assert all(len(set(order.tolist())) == 64 for order in orders)
    assert not (orders[0] == orders[1]).all()


def test_the_loss_falls_below_that_of_guessing(data: Dataset) -> None:
    config = small_config(epochs=20, augment={"transforms": ["crop"]})
    _, metrics = pretrain(config, data.train, Listener())
    assert metrics["loss"] < 0.7 * torch.log(torch.tensor(31.0))  # 2N - 1 candidates, all as likely


def test_an_encoder_of_zero_epochs_has_its_first_weights_and_the_statistics_of_the_images(data: Dataset) -> None:
    config = small_config(epochs=0, batch_size=36)
    encoder, metrics = pretrain(config, data.train, Listener())
    fresh, _ = make_model(config, torch.device("cpu"))
    assert metrics == {}
    for ours, first in zip(encoder.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(ours, first)
    responses = torch.nn.functional.conv2d(data.train.images / 255, fresh.conv1.weight, stride=2, padding=1)
    torch.testing.assert_close(encoder.bn1.running_mean, responses.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_a_context_that_stops_interrupts_before_the_next_step(data: Dataset) -> None:
    listener = Listener(stop_after=3)
    with pytest.raises(Interrupted):
        pretrain(small_config(), data.train, listener)
    assert listener.steps == 3


def test_a_loss_that_is_no_number_ends_the_training_with_the_epoch_named(data: Dataset) -> None:
    with pytest.raises(Diverged, match="the loss became nan in epoch 1"):
        pretrain(small_config(optimizer={"name": "adamw", "learning_rate": 1e30}), data.train, Listener())


def test_fewer_images_than_a_batch_are_an_error_and_not_an_untrained_encoder(data: Dataset) -> None:
    with pytest.raises(ValueError, match="batch_size = 16 is more than the 10 training images"):
        pretrain(small_config(), Split(data.train.images[:10], data.train.labels[:10]), Listener())


def visited(config: Config, images: Tensor) -> Tensor:
    """Which image each view shows, read off images of one level each: (steps, 2, N)."""
    made = torch.stack(list(batches(config, images)))[:, :, 0, 0, 0]  # (steps, 2N)
    return (made * 255).round().int().unflatten(1, (2, -1))


def test_both_views_of_a_step_show_the_same_images_and_an_epoch_shows_none_twice() -> None:
    config = small_config(epochs=3, augment={"transforms": []})
    images = torch.arange(72, dtype=torch.uint8)[:, None, None, None].expand(72, 3, 16, 16)
    shown = visited(config, images)  # (12, 2, 16)
    assert torch.equal(shown[:, 0], shown[:, 1])
    epochs = [set(epoch.flatten().tolist()) for epoch in shown[:, 0].split(4)]
    assert [len(epoch) for epoch in epochs] == [64, 64, 64]
    assert epochs[0] != epochs[1]  # eight other images are left out
    first, second, _ = shown[:, 0].flatten().split(64)
    assert (first == second).float().mean() < 0.2


def test_steps_made_in_blocks_have_the_views_of_steps_made_alone(data: Dataset, monkeypatch: Any) -> None:
    config = small_config(epochs=3)
    together = list(batches(config, data.train.images))
    monkeypatch.setattr(module, "IMAGES_AT_ONCE", 16)
    alone = list(batches(config, data.train.images))
    assert len(together) == len(alone) == 12
    assert all(torch.equal(*pair) for pair in zip(together, alone, strict=True))
    assert not torch.equal(alone[0], alone[1])


def test_training_neither_uses_nor_moves_numpys_own_generator(data: Dataset) -> None:
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first = weights(data)
    assert np.array_equal(before, np.random.get_state()[1])
    np.random.seed(2)
    assert torch.equal(first, weights(data))


def test_the_rows_of_the_epochs_have_finite_losses_and_the_rates_of_their_last_steps(data: Dataset) -> None:
    listener = Listener()
    pretrain(small_config(), data.train, listener)
    assert all(math.isfinite(row["loss"]) for row in listener.rows)
    assert all(0 <= row["contrastive_accuracy"] <= 100 for row in listener.rows)
    rates = [0.01 * (1 + math.cos(math.pi * done / 6)) / 2 for done in (1, 5)]  # 8 steps, 2 of warm-up
    assert [row["learning_rate"] for row in listener.rows] == pytest.approx(rates)


@pytest.mark.parametrize("batch_size", [36, 71])
def test_statistics_of_an_untrained_encoder_weigh_all_training_images_alike(data: Dataset, batch_size: int) -> None:
    config = small_config(epochs=0, batch_size=batch_size)
    encoder, _ = pretrain(config, data.train, Listener())
    fresh, _ = make_model(config, torch.device("cpu"))
    means = np.zeros(16)
    for image in data.train.images:  # one at a time, in float64
        pixels = image[None].double() / 255
        means += (
            torch.nn.functional.conv2d(pixels, fresh.conv1.weight.double(), stride=2, padding=1)[0]
            .mean((1, 2))
            .detach()
            .numpy()
            / 72
        )
    np.testing.assert_allclose(encoder.bn1.running_mean.numpy(), means, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("count", "batch_size"), [(33, 16), (11, 2)])
def test_an_encoder_of_zero_epochs_can_have_one_image_more_than_its_batches_hold(count: int, batch_size: int) -> None:
    """The paper's stem leaves one position of 32 pixels in the last stage, where one image has no variance."""
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
    config = small_config(epochs=0, batch_size=batch_size, encoder={"name": "resnet18", "stem": "imagenet"})
    encoder, _ = pretrain(config, Split(images, torch.arange(count) % 10), Listener())
    assert torch.isfinite(encoder.layer4[1].bn2.running_var).all()
