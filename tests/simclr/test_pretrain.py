from typing import Any

import pytest
import torch
from torch import Tensor

from ablate.simclr import pretrain as module
from ablate.simclr.context import Diverged, Interrupted
from ablate.simclr.data.images import Dataset, Split
from ablate.simclr.precision import computes_bfloat16
from ablate.simclr.pretrain import as_input, make_model, pretrain, project
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


def test_auto_precision_is_what_the_processor_has_instructions_for() -> None:
    has = torch.cpu._is_avx512_bf16_supported()
    assert computes_bfloat16("auto", torch.device("cpu")) == has
    assert computes_bfloat16("bfloat16", torch.device("cpu"))
    assert not computes_bfloat16("float32", torch.device("cpu"))


def test_bfloat16_gives_the_projections_of_float32_to_its_precision(data: Dataset) -> None:
    z = {}
    for precision in ("float32", "bfloat16"):
        config = small_config(precision=precision)
        encoder, head = make_model(config, torch.device("cpu"))
        first, _ = project(config, encoder, head, as_input(data.train.images))
        assert first.dtype == torch.float32
        z[precision] = torch.nn.functional.normalize(first, dim=1)
    assert (z["float32"] * z["bfloat16"]).sum(1).mean() > 0.99  # cosine similarity
    assert not torch.equal(z["float32"], z["bfloat16"])
