"""Trials pretrained as one network: each ends as it does alone, whatever happens to the others."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ablate.simclr import fusion, graph
from ablate.simclr import pretrain as pretraining
from ablate.simclr.base.checkpoint import Checkpoints
from ablate.simclr.config import Config
from ablate.simclr.config import fusion as in_common
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.hooks import likeness
from ablate.simclr.model import make_model
from ablate.simclr.model.fused import Fused
from ablate.simclr.model.optimizer import learning_rate
from ablate.simclr.pretrain import contrastive_step, owner, pretrain
from ablate.study.expansion.trial import identity
from ablate.trainer.contract import Companion, Diverged, Interrupted
from ablate.trainer.world import World
from tests.simclr import cpu_graph
from tests.simclr.conftest import Listener, small_config

LONG: dict[str, Any] = {"epochs": 4, "precision": "float64", "fuse_trials": 8}
STEPS = 18


@pytest.fixture(autouse=True)
def fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU gains nothing from fusion, which would go back to single trials after its measurement."""
    monkeypatch.setattr(fusion, "is_worthwhile", lambda together, members, alone: members > 1)
    monkeypatch.setattr(fusion, "WARM_UP", 1)
    monkeypatch.setattr(fusion, "_TIMED", 1)
    monkeypatch.setattr(fusion, "_FEWEST_STEPS", 6)


def train(
    data: Dataset, folder: Path, configs: list[Config], stop_after: int | None = None
) -> tuple[Listener, dict[str, Any]]:
    """Pretrain the first of the configs with the others as companions."""
    listener = Listener(stop_after, folder / "0")
    listener.companions = [Companion(f"{n}", each, folder / f"{n}") for n, each in enumerate(configs) if n]
    _, metrics = pretrain(configs[0], data, listener)
    return listener, metrics


def final(folder: Path, number: int, config: Config) -> dict[str, Any] | None:
    return Checkpoints(folder / str(number), owner(config)).final()


def assert_as_alone(data: Dataset, folder: Path, number: int, config: Config, whole: bool = True) -> None:
    """The trial ends with what it ends with alone, and logs the same rows. whole: its pretraining is done already."""
    assert (final(folder, number, config) is not None) == whole
    alone, expected = pretrain(config, data, heard := Listener())
    model, metrics = pretrain(config, data, listener := Listener(checkpoints=folder / str(number)))
    for ours, theirs in zip(model.state_dict().values(), alone.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)
    assert_same_rows(listener.rows, heard.rows)
    for name in expected.keys() - {"pretrain_seconds", "precision"}:
        assert metrics[name] == pytest.approx(expected[name], rel=1e-7)


def assert_same_rows(found: list[Mapping[str, Any]], expected: list[Mapping[str, Any]]) -> None:
    assert [row.keys() for row in found] == [row.keys() for row in expected]
    for ours, theirs in zip(found, expected, strict=True):
        for name in ("epoch", "loss", "learning_rate", "gradient_norm"):
            assert (name in ours) == (name in theirs)
            if name in ours:
                assert ours[name] == pytest.approx(theirs[name], rel=1e-7)


def different(**changes: Any) -> list[Config]:
    """Trials that differ in all that fused ones may differ in."""
    return [
        small_config(seed=seed, **(LONG | changes | own))
        for seed, own in enumerate(
            [
                {},
                {},
                {"loss": {"temperature": 0.5}, "online_probe": False},
                {"optimizer": {"name": "lars", "learning_rate": 0.3}, "warmup_epochs": 1},
                {"augment": {"transforms": ("crop", "blur")}, "loss": {"name": "margin", "semi_hard": True}},
            ]
        )
    ]


WAYS: list[dict[str, Any]] = [
    {},
    {"head": {"name": "none"}},
    {"head": {"hidden_layers": 2, "batch_norm": False}},
    {"fixed_batches": True},
]


@pytest.mark.parametrize("changes", WAYS)
def test_each_ends_as_it_does_alone(data: Dataset, tmp_path: Path, changes: dict[str, Any]) -> None:
    configs = different(**changes)
    listener, metrics = train(data, tmp_path, configs)
    assert metrics["fused_trials"] == 5
    (said,) = listener.said
    assert said.startswith("trained with 4 other trials as one network: a step of 5 trials takes ")
    for number, config in enumerate(configs):
        if number:
            assert_as_alone(data, tmp_path, number, config)
    assert_same_rows(listener.rows, alone_rows(data, configs[0]))
    assert [row["epoch"] for row in listener.rows] == list(range(1, configs[0].epochs + 1))


def alone_rows(data: Dataset, config: Config) -> list[Mapping[str, Any]]:
    pretrain(config, data, listener := Listener())
    return listener.rows


def test_the_supervised_baseline_is_fused_too(data: Dataset, tmp_path: Path) -> None:
    ways: dict[str, Any] = {"method": "supervised", "evaluate": {"parts": ("classifier",)}}
    configs = [small_config(seed=seed, **LONG, **ways) for seed in range(2)]
    train(data, tmp_path, configs)
    assert_as_alone(data, tmp_path, 1, configs[1])


@pytest.mark.parametrize("epochs", [2, 6])
def test_trainings_may_end_at_different_steps(data: Dataset, tmp_path: Path, epochs: int) -> None:
    configs = [small_config(**LONG), small_config(seed=1, **(LONG | {"epochs": epochs})), small_config(seed=2, **LONG)]
    listener, _ = train(data, tmp_path, configs)
    assert_same_rows(listener.rows, alone_rows(data, configs[0]))
    for number in (1, 2):
        assert_as_alone(data, tmp_path, number, configs[number], whole=epochs == 2 or number == 2)


@pytest.mark.parametrize("stop_after", [1, 3, 5, 10])
def test_an_interruption_saves_all_of_them(data: Dataset, tmp_path: Path, stop_after: int) -> None:
    configs = different()[:3]
    with pytest.raises(Interrupted):
        train(data, tmp_path, configs, stop_after)
    at = [Checkpoints(tmp_path / f"{n}", owner(each)).newest() for n, each in enumerate(configs)]
    measured = stop_after > 4  # two steps alone and two together: what is lost of the companions before is little
    assert [state and state["done"] for state in at] == [stop_after, *[stop_after - 2 if measured else None] * 2]
    assert all(size(state["model"]) == file_size(state["model"]) for state in at if state)
    train(data, tmp_path, configs)  # which are at different steps now
    for number in (1, 2):
        assert_as_alone(data, tmp_path, number, configs[number])


def size(weights: dict[str, Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in weights.values())


def file_size(weights: dict[str, Tensor]) -> int:
    """What a checkpoint has of the tensors, which may be parts of larger ones."""
    return sum(value.untyped_storage().nbytes() for value in weights.values())


def test_one_that_diverges_leaves_and_the_others_go_on(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = {"optimizer": {"name": "sgd", "learning_rate": 1e200, "scaling": "none"}}
    configs = [small_config(**LONG), small_config(seed=1, **(LONG | wild)), small_config(seed=2, **LONG)]
    listener, metrics = train(data, tmp_path, configs)
    assert sum("trial 1: the loss was no longer a number at step" in said for said in listener.said) == 1
    assert metrics["loss"] == pytest.approx(alone_rows(data, configs[0])[-1]["loss"], rel=1e-7)
    assert final(tmp_path, 1, configs[1]) is None
    assert_as_alone(data, tmp_path, 2, configs[2])
    with pytest.raises(Diverged):
        train(data, tmp_path / "other", [configs[1], configs[0]])


def test_those_trained_already_or_by_another_process_are_left_alone(data: Dataset, tmp_path: Path) -> None:
    configs = [small_config(seed=seed, **LONG) for seed in range(4)]
    pretrain(configs[1], data, Listener(checkpoints=tmp_path / "1"))
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / "1").glob("*.pt"))
    with Checkpoints(tmp_path / "2", owner(configs[2])).alone(lambda: False) as held:
        assert held
        _, metrics = train(data, tmp_path, configs)
    assert metrics["fused_trials"] == 2
    assert not list((tmp_path / "2").glob("*.pt"))
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "1").glob("*.pt")) == before
    assert_as_alone(data, tmp_path, 3, configs[3])


def test_where_it_is_not_faster_the_trial_goes_on_alone(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the measurement decides: 0.5 s a step alone, then 1.2 s for both
    clock = iter([0.0, 3.0, 0.0, 7.2])
    monkeypatch.setattr(fusion, "_now", lambda device: next(clock))
    monkeypatch.setattr(fusion, "_FEWEST_STEPS", 13)
    configs = [small_config(seed=seed, **(LONG | {"epochs": 8})) for seed in range(2)]
    listener, metrics = train(data, tmp_path, configs)
    assert "fused_trials" not in metrics
    assert listener.said == ["fuse_trials = 8 has no effect: a step of 2 trials takes 1.2e+03 ms, of one 500 ms"]
    assert_same_rows(listener.rows, alone_rows(data, configs[0]))
    assert not list((tmp_path / "1").glob("*.pt"))


@pytest.mark.parametrize("fitting", [0, 1, 3])
def test_where_memory_runs_out_fewer_are_trained_together_and_nothing_changes(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fitting: int
) -> None:
    backward = Fused.backward

    def out_of_memory(self: Fused) -> None:
        if len(self.members) > 1 + fitting:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        backward(self)

    monkeypatch.setattr(Fused, "backward", out_of_memory)
    configs = [small_config(seed=seed, **LONG) for seed in range(5)]
    listener, metrics = train(data, tmp_path, configs)
    assert metrics.get("fused_trials", 1) == {0: 1, 1: 2, 3: 3}[fitting]  # 4 companions, then 2, then 1
    assert_same_rows(listener.rows, alone_rows(data, configs[0]))
    assert_as_alone(data, tmp_path, 1, configs[1], whole=fitting > 0)


ENCODERS: list[dict[str, Any]] = [
    {"name": "resnet18", "stem": "imagenet"},
    {"name": "resnet50", "stem": "strided"},
    {"name": "resnet8", "stem": "cifar", "width_multiplier": 2},
]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_step_of_each_network_is_that_of_the_models_alone(encoder: dict[str, Any]) -> None:
    configs = [small_config(seed=seed, precision="float64", encoder=encoder) for seed in range(2)]
    models, alone = ([make_model(each, 10, torch.device("cpu")).train() for each in configs] for _ in range(2))
    views, labels = torch.rand(2, 16, 3, 16, 16, dtype=torch.float64), torch.randint(10, (2, 8))
    network = Fused(models)
    network(views)
    for config, member, own, of_own in zip(configs, network.members, views, labels, strict=True):
        contrastive_step(config, member, own, of_own)  # type: ignore[arg-type]
    network.backward()
    for config, model, expected, own, of_own in zip(configs, models, alone, views, labels, strict=True):
        contrastive_step(config, expected, own, of_own)
        for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
            assert (ours.grad is None) == (theirs.grad is None)
            if ours.grad is not None:
                torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-8, atol=1e-12)
    network.close()
    for model, expected in zip(models, alone, strict=True):
        for name, value in model.state_dict().items():
            torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-12, atol=1e-14)
            assert value.untyped_storage().nbytes() == value.numel() * value.element_size(), name


def test_their_step_can_be_a_graph(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recordings = []

    def record(step: Any) -> Any:
        recordings.append(1)
        return cpu_graph.record(step)

    def rounded(*arguments: Any, **keywords: Any) -> float:
        return float(np.float32(learning_rate(*arguments, **keywords)))

    monkeypatch.setattr("ablate.simclr.training.learning_rate", rounded)  # as a graph's: a training magnifies rounding
    monkeypatch.setattr(graph, "_DEVICE", "cpu")
    monkeypatch.setattr(graph, "beside", contextlib.nullcontext)
    monkeypatch.setattr(graph, "record", record)
    configs = different(cuda_graph=True)
    listener, _ = train(data, tmp_path, configs)
    assert recordings
    assert all("no effect" not in said for said in listener.said)
    for number, config in enumerate(configs[1:], 1):
        assert_as_alone(data, tmp_path, number, config.model_copy(update={"cuda_graph": False}))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"encoder": {"name": "torchvision", "torchvision": "mobilenet_v3_small"}}, "networks of torchvision"),
        ({"micro_batch": 8}, "micro_batch is set"),
        ({"compile": True}, "compile = true"),
    ],
)
def test_where_a_trial_cannot_be_fused_it_says_why(changes: dict[str, Any], why: str) -> None:
    config, listener = small_config(fuse_trials=4, **changes), Listener()
    listener.companions = [Companion("1", config, Path("1"))]
    assert in_common(config) is None
    assert pretraining._offered(config, listener) == []
    assert listener.said[0].startswith(f"fuse_trials = 4 has no effect: {why}")


def test_ranks_that_train_together_do_not_fuse() -> None:
    listener = Listener(world=World(0, 2))
    listener.companions = [Companion("1", small_config(fuse_trials=4, seed=1), Path("1"))]
    assert pretraining._offered(small_config(fuse_trials=4), listener) == []
    assert listener.said[0] == "fuse_trials = 4 has no effect: several ranks train together"


OTHERS: list[dict[str, Any]] = [
    {"encoder": {"name": "resnet8", "stem": "cifar"}},
    {"head": {"output_dimension": 4}},
    {"batch_size": 8},
    {"precision": "float32"},
    {"method": "supervised", "evaluate": {"parts": ("classifier",)}},
    {"data": {"name": "textures", "image_size": 16, "train_images": 80, "test_images": 40}},
    {"fuse_trials": 4},
    {"epochs": 0, "warmup_epochs": 0},
]


@pytest.mark.parametrize("changes", OTHERS)
def test_trials_of_another_architecture_or_other_images_are_not_taken_along(
    data: Dataset, tmp_path: Path, changes: dict[str, Any]
) -> None:
    configs = [small_config(**LONG), small_config(seed=1, **(LONG | changes))]
    listener, metrics = train(data, tmp_path, configs)
    assert "fused_trials" not in metrics
    assert not listener.said


def test_fusion_makes_no_other_trial() -> None:
    alone, together = Config(), Config(fuse_trials=8)
    assert all(each(alone) == each(together) for each in (identity, owner, likeness))
