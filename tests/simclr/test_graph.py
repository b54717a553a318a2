"""A step as a CUDA graph, on a CPU: what a replay computes, and what happens where it computes something else."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ablate.simclr import graph
from ablate.simclr.config import Config
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.hooks import likeness
from ablate.simclr.model import Model
from ablate.simclr.pretrain import owner, pretrain
from ablate.study.expansion.trial import identity
from ablate.trainer.contract import Interrupted
from tests.simclr import cpu_graph
from tests.simclr.conftest import Listener, record_on_cpu, small_config


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Graphs can be recorded, and each replay is noted with the number of its operations."""
    replays: list[int] = []

    def record(step: Callable[[], dict[str, Tensor]]) -> Any:
        replay, measures = cpu_graph.record(step)
        return lambda: (replays.append(1), replay())[0], measures

    record_on_cpu(monkeypatch, record)
    return replays


def assert_same(one: Model, other: Model) -> None:
    for ours, theirs in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


LONG: dict[str, Any] = {"epochs": 4, "precision": "float64"}
WAYS: list[dict[str, Any]] = [
    {"optimizer": {"name": "adamw", "learning_rate": 0.01, "scaling": "none"}},
    {"optimizer": {"name": "sgd", "learning_rate": 0.05, "scaling": "none"}},
    {"optimizer": {"name": "lars", "learning_rate": 0.3}},
    {"loss": {"name": "margin", "semi_hard": True}},
    {"loss": {"name": "nt_logistic", "negatives": "one"}},
    {"micro_batch": 8},
    {"method": "supervised", "evaluate": {"parts": ("classifier",)}},
    {"online_probe": False, "head": {"name": "none"}},
]


@pytest.mark.parametrize("changes", WAYS)
def test_replayed_steps_train_as_plain_ones(recordings: list[int], data: Dataset, changes: dict[str, Any]) -> None:
    plain, expected = pretrain(small_config(**LONG, **changes), data, heard := Listener())
    fast, found = pretrain(small_config(cuda_graph=True, **LONG, **changes), data, listener := Listener())
    assert not listener.said
    assert len(recordings) == 18 - 3
    assert_same(fast, plain)
    assert found.keys() == expected.keys()
    assert [row.keys() for row in listener.rows] == [row.keys() for row in heard.rows]
    for ours, theirs in zip(listener.rows, heard.rows, strict=True):
        for name in ("loss", "learning_rate", "gradient_norm"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-9)


def test_a_training_that_is_interrupted_resumes_with_a_graph_of_its_own_or_without(
    recordings: list[int], data: Dataset, tmp_path: Any
) -> None:
    wanted = small_config(cuda_graph=True, **LONG)
    whole, _ = pretrain(wanted, data, Listener())
    for resumed in (wanted, small_config(**LONG)):
        folder = tmp_path / str(resumed.cuda_graph)
        with pytest.raises(Interrupted):
            pretrain(wanted, data, Listener(8, folder))
        recordings.clear()
        model, _ = pretrain(resumed, data, Listener(checkpoints=folder))
        assert len(recordings) == (18 - 8 - 3 if resumed.cuda_graph else 0)
        assert_same(model, whole)


@pytest.mark.parametrize("broken", ["gradients", "weights", "statistics", "raises", "not a number", "empty"])
def test_a_graph_that_is_not_the_step_is_not_used_and_costs_nothing(
    recordings: list[int], monkeypatch: pytest.MonkeyPatch, data: Dataset, broken: str
) -> None:
    def record(step: Callable[[], dict[str, Tensor]]) -> Any:
        if broken == "empty":  # it was done while it was recorded, as on another GPU than the current one
            measures = step()
            return lambda: None, measures
        replay, measures = cpu_graph.record(step)
        if broken == "raises":
            raise RuntimeError("operation not permitted when stream is capturing\nCUDA kernel errors might be")
        return lambda: (replay(), spoil()), measures

    def spoil() -> None:
        (model,) = models
        with torch.no_grad():
            weight = next(model.parameters())
            if broken == "gradients":
                weight.grad.mul_(1.05)
            elif broken == "statistics":
                next(each for name, each in model.named_buffers() if name.endswith("running_var")).mul_(2)
            else:
                weight.add_(1.0 if broken == "weights" else torch.nan)

    models: list[Any] = []
    made = graph.as_graph
    monkeypatch.setattr(graph, "record", record)

    def noted(step: Any, model: Model, *rest: Any) -> Any:
        models.append(model)
        return made(step, model, *rest)

    monkeypatch.setattr("ablate.simclr.pretrain.as_graph", noted)
    model, _ = pretrain(small_config(cuda_graph=True, **LONG), data, listener := Listener())
    (said,) = listener.said
    assert said.startswith("cuda_graph = true has no effect: the recorded step failed: ")
    assert "not permitted when stream is capturing" in said if broken == "raises" else "plain step's" in said
    assert "\n" not in said
    plain, _ = pretrain(small_config(**LONG), data, Listener())
    assert_same(model, plain)


def test_what_a_graph_would_freeze_is_found(recordings: list[int]) -> None:
    """The imitation: a number that Python computes is not computed again; a tensor's is."""
    given, rate = torch.ones(3), 2.0
    replay, measures = cpu_graph.record(lambda: {"product": given.mul(rate)})
    given.fill_(5)
    rate = 7.0
    replay()
    assert measures["product"].tolist() == [10, 10, 10]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "only a GPU has graphs"),
        (
            {"encoder": {"name": "torchvision", "torchvision": "mobilenet_v3_small"}},
            "the dropout of a torchvision network",
        ),
    ],
)
def test_where_a_graph_cannot_be_the_training_says_why(
    monkeypatch: pytest.MonkeyPatch, data: Dataset, changes: dict[str, Any], why: str
) -> None:
    if changes:
        monkeypatch.setattr(graph, "_DEVICE", "cpu")
    settings = {"data": {"name": "textures", "image_size": 32, "train_images": 72, "test_images": 40}, **changes}
    config = small_config(cuda_graph=True, epochs=1, **settings)
    with pytest.raises(Interrupted):
        pretrain(config, data, listener := Listener(1))
    assert listener.said[0].startswith(f"cuda_graph = true has no effect: {why}")


def test_a_graph_makes_no_other_trial() -> None:
    plain, fast = Config(), Config(cuda_graph=True)
    assert all(each(plain) == each(fast) for each in (identity, owner, likeness))
