"""The trainer's steps on fake CUDA tensors: no tensor of another device, few kernels, and waits only where they are."""

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from ablate.simclr import pretrain as pretraining
from ablate.simclr.augment import AUGMENTATIONS
from ablate.simclr.base.checkpoint import Checkpoints
from ablate.simclr.config import Config
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.data.images import Resident, Split
from ablate.simclr.evaluate.frozen import Frozen
from ablate.simclr.model import Model, make_model
from ablate.simclr.trainer import PARTS
from ablate.simclr.training import start
from ablate.trainer.contract import Console
from ablate.trainer.world import ALONE
from tests.simclr.fake_cuda import Recorded, fake_cuda, guarded

pytestmark = pytest.mark.skipif(not guarded(), reason="needs g++, and a machine without a GPU")
GPU = torch.device("cuda", 0)
AT_FIRST = 561
"""Kernels of a ResNet-18 step, without its backward pass, before they were made fewer."""


class Stopped(Exception):
    """The steps that were wanted are done."""


class Listener:
    """A context on the GPU: it notes kernels and waits of each step, and ends the training after some."""

    device, world, checkpoints = GPU, ALONE, None

    def __init__(self, recorded: Recorded, steps: int) -> None:
        self._recorded, self._steps = recorded, steps
        self.kernels: list[int] = []
        self.waits: list[Counter[str]] = []
        self.rows: list[Mapping[str, Any]] = []

    def log(self, metrics: Mapping[str, Any]) -> None:
        self.rows.append(metrics)

    def say(self, message: str) -> None:
        pass

    def progress(self, done: int, total: int, now: Callable[[], Mapping[str, Any]]) -> None:
        now()  # as where a step takes longer than the time between two reports

    def stopping(self) -> bool:
        self.kernels.append(self._recorded.kernels)
        self.waits.append(Counter(self._recorded.waits))
        self._recorded.kernels, self._recorded.waits = 0, []
        if len(self.kernels) == self._steps:
            raise Stopped
        return False


def images(count: int, size: int) -> Dataset:
    def split(number: int) -> Split:
        pixels = torch.zeros(number, 3, size, size, dtype=torch.uint8, device=GPU)
        return Split(Resident(pixels), torch.zeros(number, dtype=torch.long, device=GPU))

    return Dataset(split(count), split(count), classes=10)


def config(**changes: Any) -> Config:
    settings: dict[str, Any] = {
        "batch_size": 16,
        "precision": "bfloat16",
        "data": {"name": "textures", "image_size": 32, "train_images": 48, "test_images": 16},
        "encoder": {"name": "resnet8", "stem": "strided"},
    }
    return Config.model_validate(settings | changes)


def trained(wanted: Config, steps: int = 2, count: int = 64, stored: int = 32) -> Listener:
    """The first steps of a pretraining; instead of a backward pass, every weight gets an empty gradient."""
    models: list[Model] = []
    made = pretraining.make_model

    def make(*arguments: Any) -> Model:
        models.append(made(*arguments))
        return models[0]

    def backward(self: Tensor | None, *arguments: Any, **keywords: Any) -> None:
        for weight in models[0].parameters():
            if weight.requires_grad:
                weight.grad = torch.empty_like(weight).detach()

    def gradient(output: Any, inputs: list[Tensor], *arguments: Any) -> list[Tensor]:
        return [torch.empty_like(each) for each in inputs]

    with (
        mock.patch.object(pretraining, "make_model", make),
        mock.patch.object(Tensor, "backward", backward),
        mock.patch.object(torch.autograd, "backward", backward),
        mock.patch.object(torch.autograd, "grad", gradient),
        fake_cuda() as recorded,
    ):
        listener = Listener(recorded, steps)
        with pytest.raises(Stopped):
            pretraining.pretrain(wanted, images(count, stored), listener)
    return listener


RESNET18 = {
    "batch_size": 512,
    "augment": {"transforms": ("crop", "color"), "color": {"strength": 0.5}},
    "encoder": {"name": "resnet18", "stem": "cifar"},
    "loss": {"temperature": 0.5},
    "data": {"name": "folder", "root": Path("/none"), "image_size": 32},
}


def test_a_step_of_resnet18_launches_half_the_kernels_it_did_and_waits_for_none() -> None:
    listener = trained(config(**RESNET18), steps=3, count=50_000)
    assert listener.kernels[2] <= AT_FIRST / 2  # the first steps make the optimizers' states
    assert not any(listener.waits)


def test_epochs_of_one_step_wait_no_more_often_than_long_ones() -> None:
    listener = trained(config(), steps=9, count=16)
    assert [set(waits) for waits in listener.waits] == [set()] * 7 + [{"means.py:_numbers"}, set()]
    assert len(listener.rows) == 8  # at the eighth step the loss is looked at, and then every row is there


@pytest.mark.parametrize(
    ("precision", "encoder"),
    [
        ("tf32", {"name": "resnet18", "stem": "imagenet"}),
        ("bfloat16", {"name": "resnet50", "stem": "imagenet"}),
        ("bfloat16", {"name": "torchvision", "torchvision": "vgg11"}),
    ],
)
def test_networks_train_without_a_tensor_of_another_device(precision: str, encoder: dict[str, Any]) -> None:
    listener = trained(config(encoder=encoder, precision=precision), steps=1)
    assert not listener.waits[0]


@pytest.mark.parametrize(
    ("loss", "optimizer", "changes"),
    [
        ({"name": "nt_xent"}, "adamw", {"micro_batch": 8}),
        ({"name": "nt_xent", "negatives": "one"}, "sgd", {}),
        ({"name": "nt_logistic", "semi_hard": True}, "lars", {"micro_batch": 8}),
        ({"name": "margin", "semi_hard": True, "normalize": False}, "adamw", {}),
    ],
)
def test_losses_and_optimizers_train_without_a_wait(
    loss: dict[str, Any], optimizer: str, changes: dict[str, Any]
) -> None:
    assert not any(trained(config(loss=loss, optimizer={"name": optimizer}, **changes)).waits)


def test_the_supervised_baseline_trains_without_a_wait() -> None:
    assert not any(trained(config(method="supervised", micro_batch=8)).waits)


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS.keys() - {"auto_augment"}))
def test_transformations_make_views_without_a_wait(name: str) -> None:
    first = () if name == "crop" else ("crop",)
    listener = trained(config(augment={"transforms": (*first, name), "base_crop": name == "rotate"}), stored=40)
    assert not any(listener.waits)


@pytest.mark.parametrize(
    ("part", "changes", "waits"),
    [
        ("knn", {}, {"scores.py:top_k"}),
        ("classifier", {"method": "supervised"}, {"scores.py:top_k"}),
        ("contrastive", {}, {"geometry.py:contrastive"}),
        ("spectrum", {"head": {"name": "linear"}}, {"geometry.py:spectrum"}),
        ("histograms", {}, {"histograms.py:histograms"}),
        ("geometry", {}, {f"geometry.py:{name}" for name in ("effective_rank", "alignment", "uniformity")}),
    ],
)
def test_evaluations_wait_for_their_results_only(part: Any, changes: dict[str, Any], waits: set[str]) -> None:
    wanted = config(evaluate={"parts": [part]}, **changes)
    with fake_cuda() as recorded:
        frozen = Frozen(wanted, make_model(wanted, 10, GPU), images(64, 32), Listener(recorded, 100))
        recorded.waits = []
        PARTS[part](frozen)
        waited = {wait for each in (*frozen.context.waits, recorded.waits) for wait in each}  # type: ignore[attr-defined]
    assert waited == waits


@pytest.mark.parametrize(
    ("part", "settings", "waits"),
    [
        ("linear", {"epochs": 2}, {"checkpoint.py:<genexpr>", "scores.py:top_k"}),
        (
            "cached_linear",
            {"max_iterations": 2},
            {"logistic.py:__init__", "logistic.py:evaluate", "logistic.py:_search", "scores.py:top_k"},
        ),
    ],
)
def test_classifiers_train_without_a_tensor_of_another_device(
    part: Any, settings: dict[str, Any], waits: set[str]
) -> None:
    """Without a backward pass. Not covered: fine-tuning, transfer and transformation, which read labels as numbers."""
    wanted = config(evaluate={"parts": [part], part: settings})
    with mock.patch.object(Tensor, "backward", return_value=None), fake_cuda() as recorded:
        listener = Listener(recorded, 100)
        frozen = Frozen(wanted, make_model(wanted, 10, GPU), images(64, 32), listener)
        recorded.waits, recorded.truth = [], True  # everything is finite
        PARTS[part](frozen)
        waited = {wait for each in (*listener.waits, recorded.waits) for wait in each}
    assert waited == waits


def test_auto_augment_makes_views_on_the_gpu_and_waits_only_where_torchvision_fills() -> None:
    listener = trained(config(augment={"transforms": ("crop", "auto_augment")}), stored=40)
    where = {"auto_augment", "shear_across", "<lambda>"}  # torchvision's own functions, called from there
    assert {wait for waits in listener.waits for wait in waits} <= {f"auto_augment.py:{name}" for name in where}


def test_a_training_resumes_on_the_gpu_from_a_checkpoint_that_is_read_on_the_cpu(tmp_path: Path) -> None:
    """Only the devices of what is loaded; that the bits are the same is tested on a CPU."""
    wanted = config(optimizer={"name": "lars"})
    on_cpu = make_model(wanted, 10, torch.device("cpu"))
    data = Dataset(*(Split(Resident(torch.zeros(64, 3, 32, 32, dtype=torch.uint8)), torch.zeros(64).long()),) * 2, 10)
    store = Checkpoints(None, "me")
    run = start(wanted, data.train.images, Console(torch.device("cpu")), on_cpu, store)
    saved: list[dict[str, Any]] = []
    with mock.patch.object(Checkpoints, "save", lambda self, state, step: saved.append(state)):
        store.writes = True
        run.means.add({"loss": torch.tensor(1.0)})
        run._save()
    state = copy.deepcopy(saved[0])
    with fake_cuda() as recorded:
        moved = torch.utils._pytree.tree_map_only(Tensor, lambda each: torch.empty(each.shape, dtype=each.dtype), state)
        resumed = start(
            wanted, images(64, 32).train.images, Listener(recorded, 100), make_model(wanted, 10, GPU), store
        )
        resumed.load(moved)
        assert resumed.means.start_reading().copy.device.type == "cpu"
        assert {each.device.type for each in resumed.model.state_dict().values()} == {"cuda"}
        resumed.means.add({"loss": torch.zeros((), device=GPU)})
