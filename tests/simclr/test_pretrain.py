import math
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ablate.simclr import pretrain as module
from ablate.simclr.config import Config
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.data.images import Resident, Split
from ablate.simclr.evaluate.frozen import Frozen
from ablate.simclr.model import Model, make_model
from ablate.simclr.pretrain import pretrain
from ablate.simclr.trainer import evaluate
from ablate.trainer.contract import Console, Diverged, Interrupted
from tests.simclr.conftest import Listener, only, small_config

CPU = torch.device("cpu")
STEPS = 2 * 72 // 16


def flat(model: Model) -> Tensor:
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


def weights(data: Dataset, **changes: Any) -> Tensor:
    return flat(pretrain(small_config(**changes), data, Listener())[0])


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


def test_training_neither_uses_nor_moves_numpys_own_generator(data: Dataset) -> None:
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first = weights(data)
    assert np.array_equal(before, np.random.get_state()[1])
    np.random.seed(2)
    assert torch.equal(first, weights(data))


def test_every_epoch_has_one_row_with_all_its_metrics(data: Dataset) -> None:
    listener = Listener()
    _, metrics = pretrain(small_config(), data, listener)
    assert [row["epoch"] for row in listener.rows] == [1, 2]
    assert listener.steps == STEPS
    assert metrics["loss"] == listener.rows[-1]["loss"] > 0
    for row in listener.rows:
        assert all(math.isfinite(value) for value in row.values() if not isinstance(value, str))
        assert 0 <= row["contrastive_accuracy"] <= 100
        assert 0 <= row["online_top1"] <= 100
        assert 0 < row["contrastive_entropy"] <= math.log(16)
        assert row["gradient_norm"] > 0
        assert row["pairs_per_second"] > 0
        assert row["memory"] > 10
    rates = [0.01 * (1 + math.cos(math.pi * done / 7)) / 2 for done in (2, 6)]  # 9 steps, 2 of warm-up
    assert [row["learning_rate"] for row in listener.rows] == pytest.approx(rates)


def test_the_loss_falls_below_that_of_guessing(data: Dataset) -> None:
    config = small_config(epochs=20, augment={"transforms": ["crop"]})
    _, metrics = pretrain(config, data, Listener())
    assert metrics["loss"] < 0.7 * math.log(31)  # 2N - 1 candidates, all as likely


def test_the_online_probe_learns_and_leaves_the_encoder_bit_for_bit_as_it_would_be(data: Dataset) -> None:
    models, listener = {}, Listener()
    for probe in (True, False):
        config = small_config(epochs=30, online_probe=probe, augment={"transforms": ["color"]})
        models[probe], _ = pretrain(config, data, listener if probe else Listener())
    for part in ("encoder", "head"):
        with_probe, without = (getattr(models[probe], part).state_dict().values() for probe in (True, False))
        assert all(torch.equal(*pair) for pair in zip(with_probe, without, strict=True))
    assert listener.rows[-1]["online_top1"] > 15 > 10  # of ten classes
    assert listener.rows[-1]["online_top1"] > listener.rows[0]["online_top1"]


@pytest.mark.parametrize("batch_size", [36, 71])
def test_an_encoder_of_zero_epochs_has_its_first_weights_and_the_statistics_of_all_images(
    data: Dataset, batch_size: int
) -> None:
    config = small_config(epochs=0, batch_size=batch_size, precision="float32")
    model, metrics = pretrain(config, data, Listener())
    fresh = make_model(config, data.classes, CPU)
    assert metrics == {"precision": "float32"}
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), fresh.parameters(), strict=True))
    means = np.zeros(16)
    for image in data.train.images.pixels:  # type: ignore[attr-defined]
        kernel = fresh.encoder.conv1.weight.detach().double()
        response = torch.nn.functional.conv2d(image[None].double() / 255, kernel, stride=2, padding=1)
        means += response[0].mean((1, 2)).numpy() / 72
    np.testing.assert_allclose(model.encoder.bn1.running_mean.numpy(), means, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("count", "batch_size"), [(33, 16), (11, 2), (257, 16)])
def test_an_encoder_of_zero_epochs_can_have_one_image_more_than_its_parts_hold(count: int, batch_size: int) -> None:
    """The paper's stem leaves one position of 32 pixels in the last stage, where one image has no variance."""
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
    few = Split(Resident(pixels), torch.arange(count) % 10)
    config = small_config(
        epochs=0,
        batch_size=batch_size,
        encoder={"name": "resnet18", "stem": "imagenet"},
        data={"name": "textures", "image_size": 32, "train_images": 72, "test_images": 40},
    )
    model, _ = pretrain(config, Dataset(few, few, 10), Listener())
    assert torch.isfinite(model.encoder.layer4[1].bn2.running_var).all()


def test_a_context_that_stops_interrupts_after_the_step(data: Dataset) -> None:
    listener = Listener(stop_after=3)
    with pytest.raises(Interrupted):
        pretrain(small_config(), data, listener)
    assert listener.steps == 3


def test_a_nan_loss_stops_the_training_and_reports_step_and_learning_rate(data: Dataset, tmp_path: Path) -> None:
    config = small_config(optimizer={"name": "adamw", "learning_rate": 1e30, "scaling": "none"}, checkpoint_minutes=0)
    with pytest.raises(Diverged, match="the loss was no longer a number at step") as caught:
        pretrain(config, data, Listener(checkpoints=tmp_path))
    step, rate = re.findall(r"step (\d+) of 9, learning rate ([\d.e+]+);", str(caught.value))[0]
    assert 2 <= int(step) < 9
    assert float(rate) == pytest.approx(5e29 * (1 + math.cos(math.pi * (int(step) - 2) / 7)), rel=1e-3)
    for path in tmp_path.glob("*.pt"):  # what is saved is from before
        saved = torch.load(path, weights_only=True)
        assert saved["done"] <= int(step)
        assert all(torch.isfinite(value).all() for value in saved["model"].values())


def test_weights_that_the_last_step_made_infinite_are_told_and_never_saved(data: Dataset, tmp_path: Path) -> None:
    config = small_config(
        epochs=1, warmup_epochs=0, optimizer={"name": "sgd", "learning_rate": 1e38, "scaling": "none"}
    )
    with pytest.raises(Diverged, match=r"weights are infinite or NaN after step 1 of 1, learning rate 1e\+38; a lower"):
        pretrain(config, Dataset(only(data.train, 16), data.test, 10), Listener(checkpoints=tmp_path))
    assert not list(tmp_path.glob("*.pt"))


def test_weights_that_are_not_finite_are_not_evaluated(data: Dataset) -> None:
    config = small_config(epochs=0, warmup_epochs=0)
    model, _ = pretrain(config, data, Listener())
    next(model.encoder.parameters()).data[0] = math.inf
    with pytest.raises(Diverged, match=r"some weights are infinite or NaN before evaluate\.parts 'cached_linear'"):
        evaluate(Frozen(config, model, data, Listener()))


def test_fewer_images_than_a_batch_are_an_error_and_not_an_untrained_encoder(data: Dataset) -> None:
    with pytest.raises(ValueError, match="batch_size = 16 is more than the 10 training images"):
        pretrain(small_config(), Dataset(only(data.train, 10), data.test, 10), Listener())


def end_of(config: Config, data: Dataset, folder: Path | None, kills: list[int]) -> tuple[Tensor, dict[str, Any]]:
    """Train with a stop after each of these steps, each time in new objects, to the end."""
    rows: list[Any] = []
    for stop in kills:
        listener = Listener(stop_after=stop, checkpoints=folder)
        with pytest.raises(Interrupted):
            pretrain(config, data, listener)
        rows += listener.rows
    listener = Listener(checkpoints=folder)
    model, metrics = pretrain(config, data, listener)
    rows += listener.rows
    timing = {"pairs_per_second", "memory"}
    kept = [{name: value for name, value in row.items() if name not in timing} for row in rows]
    del metrics["pretrain_seconds"]
    return flat(model), {"rows": kept, "metrics": metrics}


@pytest.mark.parametrize("optimizer", ["adamw", "lars", "sgd"])
def test_twenty_random_stops_give_twenty_bit_identical_ends(data: Dataset, tmp_path: Path, optimizer: str) -> None:
    settings = {"name": optimizer, "learning_rate": 0.01, "scaling": "none"}
    config = small_config(optimizer=settings, epochs=5)  # 22 steps
    expected = end_of(config, data, None, [])
    choose = random.Random(0)
    stops = [sorted(choose.sample(range(1, 22), choose.choice([1, 1, 2, 3]))) for _ in range(7)]
    stops += [[1], [21], list(range(1, 22))] if optimizer == "adamw" else []
    for number, kills in enumerate(stops):
        made = end_of(config, data, tmp_path / str(number), kills)
        assert torch.equal(made[0], expected[0]), kills
        assert made[1] == expected[1], kills


def test_a_pretraining_that_is_done_is_read_and_not_trained_again(data: Dataset, tmp_path: Path) -> None:
    first, metrics = pretrain(small_config(), data, Listener(checkpoints=tmp_path))
    listener = Listener(checkpoints=tmp_path)
    second, again = pretrain(small_config(), data, listener)
    assert listener.steps == 0
    assert metrics == again
    assert torch.equal(flat(first), flat(second))
    assert [path.name[:6] for path in tmp_path.glob("*.pt")] == ["final-"]


def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before_it_and_nothing_else(
    data: Dataset, tmp_path: Path
) -> None:
    config = small_config(checkpoint_minutes=0)
    expected = weights(data)
    with pytest.raises(Interrupted):
        pretrain(config, data, Listener(stop_after=6, checkpoints=tmp_path))
    newest = sorted(tmp_path.glob("step-*"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    listener = Listener(checkpoints=tmp_path)
    model, _ = pretrain(config, data, listener)
    assert listener.said == [
        f"checkpoint {newest} is damaged; going on from the one before it",
        "resuming at step 5 of 9",
    ]
    assert torch.equal(flat(model), expected)


TRAIN = """
import sys, torch
from pathlib import Path
from ablate.trainer.contract import Console
from ablate.simclr.data.dataset import load
from ablate.simclr.base.device import number_format
from ablate.simclr.pretrain import pretrain
from tests.simclr.conftest import small_config
torch.set_num_threads(1)
config = small_config(epochs=12, checkpoint_minutes=0)
model, _ = pretrain(config, load(config.data, torch.device("cpu")), Console(checkpoints=Path(sys.argv[1])))
torch.save(model.state_dict(), sys.argv[2])
"""


def test_a_process_that_is_killed_without_warning_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", TRAIN, str(tmp_path / name), str(tmp_path / f"{name}.pt")]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])

    def steps(name: str) -> int:
        found = [int(re.findall(r"\d+", path.name)[0]) for path in (tmp_path / name).glob("step-*")]
        return max(found, default=0)

    whole = start("whole")
    whole.communicate(timeout=120)
    assert whole.returncode == 0
    for target in (5, 20, 40):
        process = start("killed")
        while steps("killed") < target and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.communicate()
    reached = steps("killed")
    assert 40 <= reached < 54  # it was killed before its end
    last = start("killed")
    told, _ = last.communicate(timeout=120)
    assert re.search(r"resuming at step (\d+) of 54", told)
    one, other = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("whole", "killed"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_checkpoints_of_other_settings_are_refused_and_those_of_another_place_are_not(
    data: Dataset, tmp_path: Path
) -> None:
    pretrain(small_config(), data, Listener(checkpoints=tmp_path))
    with pytest.raises(ValueError, match="belongs to other settings"):
        pretrain(small_config(loss={"temperature": 0.2}), data, Console(checkpoints=tmp_path))
    elsewhere = small_config(checkpoint_minutes=3, evaluate={"parts": ["knn"]})
    listener = Listener(checkpoints=tmp_path)
    pretrain(elsewhere, data, listener)
    assert listener.steps == 0


def test_weights_that_are_no_numbers_are_not_saved(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(checkpoint_minutes=0)
    with pytest.raises(Interrupted):
        pretrain(config, data, Listener(stop_after=2, checkpoints=tmp_path))
    before = sorted(path.name for path in tmp_path.glob("*.pt"))

    class Breaking(Listener):
        def progress(self, done: int, total: int, now: Any) -> None:
            super().progress(done, total, now)
            for parameter in models[0].parameters():
                parameter.data.fill_(math.nan)

    models: list[Model] = []
    make = module.make_model

    def keeping(*arguments: Any) -> Model:
        models.append(made := make(*arguments))
        return made

    monkeypatch.setattr(module, "make_model", keeping)
    with pytest.raises(Diverged):
        pretrain(config, data, Breaking(checkpoints=tmp_path))
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == before
