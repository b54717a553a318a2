from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ablate.simclr.augment.crop import Crop
from ablate.simclr.config import Augment
from ablate.simclr.data import batches as module
from ablate.simclr.data.batches import Batch, Stream, plain, stream_of
from ablate.simclr.data.images import Chosen, Resident
from ablate.trainer.world import ALONE, World
from tests.simclr.conftest import small_config

CPU = torch.device("cpu")
NOTHING = Augment(transforms=())


def numbered(count: int) -> Resident:
    """Images of one level each, so that a view says which image it shows."""
    return Resident(torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 3, 8, 8).contiguous())


def stream(
    count: int = 70, batch_size: int = 16, epochs: int = 3, augment: Augment = NOTHING, views: int = 2
) -> Stream:
    steps = count * epochs // batch_size
    return Stream(numbered(count), augment, 8, batch_size, steps, seed=0, purpose="pretrain", views=views)  # type: ignore[arg-type]


def shown(views: Tensor) -> list[int]:
    return (views[:, 0, 0, 0] * 255).round().int().tolist()


def every(made: Stream, start: int = 0, world: World = ALONE) -> list[Batch]:
    return list(made.batches(start, world, CPU))


def test_epochs_follow_each_other_without_leaving_an_image_out() -> None:
    seen = [image for batch in every(stream()) for image in batch.rows.tolist()]
    assert len(seen) == 13 * 16
    for epoch in range(2):
        assert sorted(seen[70 * epoch : 70 * epoch + 70]) == list(range(70))
    assert seen[:70] != seen[70:140]


def test_fixed_batches_are_those_of_the_first_epoch_again_with_new_views() -> None:
    new, fixed = stream(augment=Augment()), replace(stream(augment=Augment()), fixed=True)
    first = [new.order(step).tolist() for step in range(4)]  # 6 of the 70 images do not fill a batch of 16
    assert [fixed.order(step).tolist() for step in range(13)] == [first[step % 4] for step in range(13)]
    batches = every(fixed)
    assert [batch.rows.tolist() for batch in batches] == [first[step % 4] for step in range(13)]
    assert not torch.equal(batches[0].views, batches[4].views)
    assert all(torch.equal(late.views, early.views) for late, early in zip(every(fixed, 7), batches[7:], strict=True))


def test_only_the_pretraining_has_fixed_batches() -> None:
    for fixed in (False, True):
        config = small_config(fixed_batches=fixed)
        for purpose in ("pretrain", "classifier", "pairs"):
            made = stream_of(config, numbered(70), 16, 13, purpose, views=1)  # type: ignore[arg-type]
            assert made.fixed == (fixed and purpose == "pretrain")


def test_both_views_of_a_step_show_the_images_that_the_batch_says() -> None:
    for batch in every(stream()):
        assert shown(batch.views) == batch.rows.tolist() * 2


@pytest.mark.parametrize("start", [1, 5, 12])
@pytest.mark.parametrize("augment", [NOTHING, Augment(transforms=("crop", "color", "noise"))])
def test_a_stream_entered_later_gives_the_same_steps_bit_for_bit(start: int, augment: Augment) -> None:
    whole, rest = every(stream(augment=augment)), every(stream(augment=augment), start)
    assert [batch.step for batch in rest] == list(range(start, 13))
    for late, early in zip(rest, whole[start:], strict=True):
        assert np.array_equal(late.rows, early.rows)
        assert torch.equal(late.views, early.views)


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("size", [2, 4])
def test_ranks_share_every_batch_in_order_and_see_the_views_of_the_whole(size: int, views: int) -> None:
    augment = Augment(transforms=("crop", "color", "noise", "blur"))
    alone = every(stream(augment=augment, views=views))
    shares = [every(stream(augment=augment, views=views), world=World(rank, size)) for rank in range(size)]
    for step, whole in enumerate(alone):
        assert np.array_equal(np.concatenate([share[step].rows for share in shares]), whole.rows)
        halves = [share[step].views.unflatten(0, (views, -1)) for share in shares]
        together = torch.cat(halves, dim=1).flatten(0, 1)
        torch.testing.assert_close(together, whole.views, rtol=0, atol=1e-6)


def test_steps_made_in_blocks_have_the_views_of_steps_made_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    augment = Augment(transforms=("crop", "color", "noise", "blur"))
    together = every(stream(augment=augment))
    monkeypatch.setattr(module, "IMAGES_AT_ONCE", 16)
    alone = every(stream(augment=augment))
    assert len(together) == len(alone) == 13
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.views, other.views, rtol=0, atol=1e-6)


def test_ranks_that_do_not_divide_the_batch_are_told_of() -> None:
    with pytest.raises(ValueError, match="batch_size = 16 is not a multiple of the 3 ranks"):
        every(stream(), world=World(0, 3))


def test_chosen_images_stream_the_rows_they_were_chosen_by() -> None:
    chosen = Chosen(numbered(70), np.array([3, 5, 60]))
    (pixels,) = chosen.stream([np.array([2, 0])], CPU)
    assert pixels[:, 0, 0, 0].tolist() == [60, 3]


def test_plain_images_come_in_order_as_they_are() -> None:
    parts = list(plain(numbered(70), 8, Crop(), 1.0, CPU, np.arange(70), at_once=32))
    assert [len(part) for part in parts] == [32, 32, 6]
    assert shown(torch.cat(parts)) == list(range(70))
