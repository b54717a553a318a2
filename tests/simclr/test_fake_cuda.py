"""The trainer's steps on fake CUDA tensors: no tensor of another device, few kernels, and waits only where they are."""

import contextlib
import copy
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from ablate.simclr import fusion, graph, group
from ablate.simclr import pretrain as pretraining
from ablate.simclr.augment import AUGMENTATIONS, color
from ablate.simclr.base.checkpoint import Checkpoints
from ablate.simclr.config import Config
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.data.images import Resident, Split
from ablate.simclr.evaluate import transfer as transferring
from ablate.simclr.evaluate.frozen import Frozen
from ablate.simclr.model import make_model
from ablate.simclr.trainer import PARTS
from ablate.simclr.training import start
from ablate.trainer.contract import Companion, Console
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
        self.said: list[str] = []
        self.companions: list[Companion] = []

    def log(self, metrics: Mapping[str, Any]) -> None:
        self.rows.append(metrics)

    def say(self, message: str) -> None:
        self.said.append(message)

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
    """The first steps of a pretraining."""
    with fake_cuda() as recorded:
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


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_transformations_make_views_without_a_wait(name: str) -> None:
    first = () if name == "crop" else ("crop",)
    """Of 48 images, so that each operation of a policy is drawn."""
    augment = {"transforms": (*first, name), "base_crop": name == "rotate"}
    listener = trained(config(augment=augment, batch_size=48), stored=40)
    assert not any(listener.waits)


@pytest.mark.parametrize(
    "changes",
    [
        *({"optimizer": {"name": name}} for name in ("adamw", "sgd", "lars")),
        {"loss": {"name": "nt_logistic", "negatives": "one"}, "micro_batch": 16},
        {"loss": {"name": "margin", "semi_hard": True}},
        {"method": "supervised"},
    ],
)
def test_a_step_of_a_small_network_is_one_launch_with_a_graph_which_reads_nothing_from_the_cpu(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """Besides: views, copies of views and labels, learning rates, sums of measures."""
    recorded_kernels = []

    def record(step: Callable[[], dict[str, Tensor]]) -> Any:
        before = recorded.kernels
        recorded.mixed, recorded.waits = [], []
        measures = step()
        assert not recorded.mixed
        assert not recorded.waits
        recorded_kernels.append(recorded.kernels - before)
        recorded.kernels = before
        return lambda: setattr(recorded, "kernels", recorded.kernels + 1), measures

    monkeypatch.setattr(graph, "beside", contextlib.nullcontext)
    monkeypatch.setattr(graph, "record", record)
    monkeypatch.setattr(graph, "_differs", lambda *_: False)
    with fake_cuda() as recorded:
        listener = Listener(recorded, 7)
        with pytest.raises(Stopped):
            pretraining.pretrain(config(batch_size=32, cuda_graph=True, **changes), images(640, 32), listener)
    assert recorded_kernels[0] > 75
    assert max(listener.kernels[4:]) <= 13
    assert not any(listener.waits[4:])


def test_a_step_of_eight_trials_as_one_network_launches_fewer_kernels_and_waits_for_losses_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(group, "_now", lambda device: 0.0)
    monkeypatch.setattr(fusion, "most_that_fit", lambda *_: 7)
    alone = trained(config(epochs=20), steps=3, count=64)
    with fake_cuda() as recorded:
        listener = Listener(recorded, 40)
        wanted = [config(seed=seed, epochs=20, fuse_trials=8) for seed in range(8)]
        listener.companions = [Companion(f"{n}", each, tmp_path / f"{n}") for n, each in enumerate(wanted) if n]
        with pytest.raises(Stopped):
            pretraining.pretrain(wanted[0], images(64, 32), listener)
    (said,) = listener.said
    assert said.startswith("trained with 7 other trials as one network")
    assert listener.kernels[-1] <= 0.7 * 8 * alone.kernels[2]  # only one forward pass, but the loss of each
    # At every eighth step of each the losses are looked at; the others are 12 steps behind, and end a step later.
    waits = [set(each) for each in listener.waits[24:]]
    assert [number for number, each in enumerate(waits, 25) if each] == [29, 32, 37, 40]
    assert set.union(*waits) == {"means.py:_numbers"}


def test_color_distortion_is_one_kernel_on_a_gpu_where_it_is_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def distort(images: Tensor, draws: Mapping[str, Any], additive: bool, tensorflow: bool) -> Tensor:
        given.append((images.dtype, len(images) - len(draws["amounts"]), additive, tensorflow))
        return images.clone()

    monkeypatch.setitem(sys.modules, "ablate.simclr.base.color_kernel", SimpleNamespace(distort=distort))
    monkeypatch.setattr(color, "find_spec", lambda name: name == "triton")
    settings = {"brightness": "multiplicative"}
    plain, fused = (
        trained(config(augment={"transforms": ("crop", "color"), "color": {**settings, "fused": fused}}))
        for fused in (False, True)
    )
    assert set(given) == {(torch.float32, 0, False, True)}
    assert fused.kernels[0] < plain.kernels[0] - 60
    assert not any(fused.waits)


def waits_of(part: Any, settings: dict[str, Any], number: float = 8.0, **changes: Any) -> set[str]:
    """Where a part of the evaluation waits for the GPU, on which every fractional number is `number`."""
    wanted = config(evaluate={"parts": [part], **({part: settings} if settings else {})}, **changes)
    with fake_cuda() as recorded:
        listener = Listener(recorded, 1000)
        frozen = Frozen(wanted, make_model(wanted, 10, GPU), images(64, 32), listener)
        recorded.waits, recorded.truth, recorded.number = [], True, number  # everything is finite
        PARTS[part](frozen)
        return {wait for each in (*listener.waits, recorded.waits) for wait in each}


TRAINED = {"checkpoint.py:finite", "scores.py:top_k"}
SEARCHED = {"logistic.py:__init__", "logistic.py:evaluate"}
EVALUATIONS: list[tuple[str, dict[str, Any], dict[str, Any], set[str]]] = [
    ("knn", {}, {}, {"scores.py:top_k"}),
    ("classifier", {}, {"method": "supervised"}, {"scores.py:top_k"}),
    ("contrastive", {}, {}, {"geometry.py:contrastive"}),
    ("spectrum", {}, {"head": {"name": "linear"}}, {"geometry.py:spectrum"}),
    ("histograms", {}, {}, {"histograms.py:histograms"}),
    ("geometry", {}, {}, {f"geometry.py:{name}" for name in ("effective_rank", "alignment", "uniformity")}),
    ("linear", {"epochs": 2}, {}, TRAINED),
    ("linear", {"epochs": 2, "optimizer": "lars"}, {}, TRAINED),
    ("cached_linear", {"max_iterations": 2}, {}, {*SEARCHED, "logistic.py:_search", "scores.py:top_k"}),
    ("finetune", {"epochs": 2}, {}, {*TRAINED, "transfer.py:labelled"}),
    ("transfer", {"mode": "finetune", "steps": 2, "batch_size": 16}, {}, TRAINED),
    ("transfer", {"mode": "random_init", "steps": 2, "batch_size": 16}, {}, TRAINED),
    *(
        ("transformation", {"target": target, "epochs": 2}, {}, {"scores.py:top_k", "transformation.py:transformation"})
        for target in ("color", "rotation", "noise", "sobel")
    ),
]


@pytest.mark.parametrize(("part", "settings", "changes", "waits"), EVALUATIONS)
def test_evaluations_wait_for_their_results_only(
    part: str, settings: dict[str, Any], changes: dict[str, Any], waits: set[str]
) -> None:
    """The steps of a classifier do not wait; whether its weights are finite is read at the end."""
    assert waits_of(part, settings, **changes) == waits


def test_every_part_of_the_evaluation_runs_on_a_fake_gpu() -> None:
    assert {part for part, *_ in EVALUATIONS} == set(PARTS)


@pytest.mark.parametrize(
    ("metric", "several", "waits"),
    [
        ("top1", False, {"scores.py:top_k", "transfer.py:hold_out"}),
        ("mean_per_class", False, {"scores.py:mean_per_class", "transfer.py:hold_out"}),
        ("map11", True, {"scores.py:eleven_point_map", "scores.py:_average_precision"}),
    ],
)
def test_transfer_waits_for_its_metric_and_to_hold_out_images(metric: str, several: bool, waits: set[str]) -> None:
    """With a validation set where images have several labels. Every number is 0: the search begins at its end."""

    def other(*_: Any) -> Dataset:
        given = images(64, 32)
        labels = torch.zeros(64, 10, dtype=torch.long, device=GPU) if several else given.train.labels
        train = Split(given.train.images, labels)
        return Dataset(train, train, 10, validation=train if several else None, metric=metric)

    with mock.patch.object(transferring, "_other", other):
        assert waits_of("transfer", {"mode": "linear"}, number=0.0) == {*SEARCHED, *waits}
        settings = {"mode": "finetune", "steps": 2, "batch_size": 16}
        assert waits_of("transfer", settings) == {"checkpoint.py:finite", *waits} - {"transfer.py:hold_out"}


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
        run.save()
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
