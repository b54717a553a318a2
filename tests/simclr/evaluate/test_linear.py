import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ablate.simclr.base.randomness import generator
from ablate.simclr.config import RECIPE_VERSION, Encoder
from ablate.simclr.data.batches import as_floats
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.data.images import Resident
from ablate.simclr.evaluate.classifier import (
    Recipe,
    _groups,
    _store,
    cross_entropy,
    fitting_batch,
    train_classifier,
    zero_classifier,
)
from ablate.simclr.evaluate.frozen import Frozen, LayerEncoder
from ablate.simclr.evaluate.linear import cached_linear, classifier, knn, linear
from ablate.simclr.model import make_model
from ablate.simclr.model.encoder import make_encoder
from ablate.trainer.contract import Diverged, Interrupted
from tests.simclr.conftest import Listener, small_config

CPU = torch.device("cpu")


def frozen(data: Dataset, listener: Listener | None = None, **changes: Any) -> Frozen:
    """A model of first weights whose batch norms have seen some images."""
    config = small_config(precision="float32", **changes)
    model = make_model(config, data.classes, CPU).train()
    with torch.no_grad():
        model(torch.rand(16, 3, 16, 16))  # moves the running statistics away from 0 and 1
    return Frozen(config, model, data, listener or Listener())


def pixels(data: Dataset, split: str) -> Tensor:
    return as_floats(getattr(data, split).images.pixels)


def test_features_are_those_of_the_running_statistics_of_whole_images(data: Dataset) -> None:
    case = frozen(data)
    made = {layer: case.features("test", layer) for layer in ("h", "hidden", "z")}
    model = case.model.eval()
    with torch.no_grad():
        h = model.encoder(pixels(data, "test"))
        hidden = model.head.hidden(h)
        expected = {"h": h, "hidden": hidden, "z": model.head.last(hidden)}
        other = model.encoder.train()(pixels(data, "test"))
    for layer, values in expected.items():
        torch.testing.assert_close(made[layer], values, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(made["h"], other, atol=1e-2)


def test_features_leave_the_model_as_it_was_and_are_computed_once(data: Dataset) -> None:
    case = frozen(data)
    before = {name: value.clone() for name, value in case.model.state_dict().items()}
    first = case.features("train")
    assert all(torch.equal(value, before[name]) for name, value in case.model.state_dict().items())
    assert case.features("train") is first


@pytest.mark.parametrize("layer", ["h", "hidden", "z"])
def test_a_model_cut_off_behind_a_layer_gives_that_layers_features(data: Dataset, layer: Any) -> None:
    case = frozen(data)
    with torch.no_grad():
        made = LayerEncoder(case.model.eval(), layer)(pixels(data, "test"))
    torch.testing.assert_close(made, case.features("test", layer), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", ["h", "z"])
def test_an_evaluation_reads_the_layer_that_the_settings_name(data: Dataset, layer: str) -> None:
    case = frozen(data, evaluate={"parts": ["cached_linear"], "layer": layer})
    assert case.features("test").shape[1] == {"h": 64, "z": 8}[layer]


class Telling(nn.Module):
    """Represents an image by its label, read from a table of mean brightness."""

    dimension = 10

    def __init__(self, data: Dataset, wrong: int) -> None:
        super().__init__()
        self.told: dict[float, int] = {}
        for split in (data.train, data.test):
            labels = split.labels.clone()
            if split is data.test:
                labels[:wrong] = (labels[:wrong] + 1) % 10
            means = as_floats(split.images.pixels).mean((1, 2, 3))  # type: ignore[attr-defined]
            self.told |= dict(zip(means.mul(1e5).round().tolist(), labels.tolist(), strict=True))

    def forward(self, images: Tensor) -> Tensor:
        labels = [self.told[key] for key in images.mean((1, 2, 3)).mul(1e5).round().tolist()]
        return nn.functional.one_hot(torch.tensor(labels), 10).float() * 10


@pytest.mark.parametrize("part", [cached_linear, knn])
def test_top1_is_the_share_of_test_images_that_are_classified_right_in_percent(data: Dataset, part: Any) -> None:
    case = frozen(data, evaluate={"parts": ["cached_linear"], "knn": {"neighbours": 5}})
    case.model.encoder = Telling(data, wrong=3)  # type: ignore[assignment]
    metrics = part(case)
    assert metrics[f"{part.__name__}_top1"] == 100 * 37 / 40


def test_the_supervised_baselines_classifier_is_applied_to_h(data: Dataset) -> None:
    case = frozen(data, method="supervised", evaluate={"parts": ["classifier"]})
    with torch.no_grad():
        case.model.head.weight.normal_(generator=torch.Generator().manual_seed(0))
        logits = case.model.head(case.features("test", "h"))
    right = (logits.argmax(1) == data.test.labels).double().mean().item()
    assert classifier(case)["classifier_top1"] == pytest.approx(100 * right)


class Shown(nn.Module):
    """Represents an image by four of its pixels."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, :4]


RECIPE = Recipe("linear", "classifier", steps=9, batch_size=16, learning_rate=0.7, weight_decay=0.1)


def flat_images(data: np.ndarray) -> Resident:
    """Images whose rows all hold these four numbers, so that no crop is needed to see them."""
    levels = torch.from_numpy((data * 255).round().astype(np.uint8))
    return Resident(levels.repeat(1, 2)[:, None, None, :].expand(-1, 3, 8, 8).contiguous())


def trained_layer(recipe: Recipe) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """The weights with the bias as the last column; and of each step the inputs, ending in 1, and the targets."""
    random = np.random.default_rng(0)
    inputs, labels = random.random((48, 4)).round(2), random.integers(0, 3, 48)
    images = flat_images(inputs)
    inputs = images.pixels[:, 0, 0, :4].double().numpy() / 255
    whole = {"area_min": 1.0, "aspect_max": 1.0, "flip_probability": 0.0}  # the crop is the image
    config = small_config(
        evaluate={"crop": whole},
        data={"name": "textures", "image_size": 8, "train_images": 48, "test_images": 40},
    )
    layer = zero_classifier(4, 3, torch.zeros(1))
    train_classifier(config, recipe, Shown(), layer, images, torch.from_numpy(labels), Listener())
    padded = np.hstack([inputs, np.ones((48, 1))])  # the bias is a weight of an input of one
    steps = []
    for step in range(9):  # three batches an epoch
        chosen = generator(0, "classifier", step // 3).permutation(48)[16 * (step % 3) :][:16]
        steps.append((padded[chosen], np.eye(3)[labels[chosen]]))
    return np.hstack([layer.weight.detach().numpy(), layer.bias.detach().numpy()[:, None]]), steps


def slope(matrix: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The gradient of the mean cross entropy of a batch."""
    share = np.exp(inputs @ matrix.T)
    return (share / share.sum(1, keepdims=True) - targets).T @ inputs / len(inputs)


def rate_at(step: int) -> float:
    return 0.7 * 0.5 * (1 + math.cos(math.pi * step / 9))


def test_the_classifier_takes_the_steps_of_nesterov_and_cosine_written_out_in_numpy() -> None:
    made, steps = trained_layer(RECIPE)
    matrix, velocity = np.zeros((3, 5)), np.zeros((3, 5))
    for step, (inputs, targets) in enumerate(steps):
        gradient = slope(matrix, inputs, targets) + 0.1 * matrix
        velocity = 0.9 * velocity + gradient
        matrix = matrix - rate_at(step) * (gradient + 0.9 * velocity)
    np.testing.assert_allclose(made, matrix, rtol=1e-4, atol=1e-6)


def test_the_classifier_takes_the_steps_of_lars_written_out_in_numpy() -> None:
    """The weights of a step are scaled to a thousandth of their norm, the bias is not, and only weights decay."""
    made, steps = trained_layer(replace(RECIPE, optimizer="lars"))
    matrix, velocity = np.zeros((3, 5)), np.zeros((3, 5))
    for step, (inputs, targets) in enumerate(steps):
        gradient = slope(matrix, inputs, targets)
        gradient[:, :4] += 0.1 * matrix[:, :4]
        norms = np.linalg.norm(matrix[:, :4]), np.linalg.norm(gradient[:, :4])
        gradient[:, :4] *= 0.001 * norms[0] / norms[1] if min(norms) > 0 else 1.0
        velocity = 0.9 * velocity + rate_at(step) * gradient
        matrix = matrix - velocity
    np.testing.assert_allclose(made, matrix, rtol=1e-4, atol=1e-6)
    assert not np.allclose(made, trained_layer(RECIPE)[0], atol=0.01)


@pytest.mark.parametrize(("optimizer", "decay"), [("sgd", 0.0), ("lars", 1e-6)])
def test_the_settings_choose_the_classifiers_optimizer(
    data: Dataset, monkeypatch: pytest.MonkeyPatch, optimizer: Any, decay: float
) -> None:
    asked: list[Recipe] = []
    monkeypatch.setattr("ablate.simclr.evaluate.linear.train_classifier", lambda _, recipe, *rest: asked.append(recipe))
    linear(frozen(data, evaluate={"parts": ["linear"], "linear": {"optimizer": optimizer}}))
    assert [(recipe.optimizer, recipe.weight_decay) for recipe in asked] == [(optimizer, decay)]


def test_an_sgd_classifier_saved_before_there_was_another_optimizer_is_continued(tmp_path: Path) -> None:
    """Its folder is named by the settings and the recipe of that time."""

    def folder(recipe: Recipe, optimizer: str) -> Path:
        config = small_config(evaluate={"linear": {"optimizer": optimizer}})
        return _store(config, recipe, Listener(checkpoints=tmp_path)).save({}, 1).parent

    settings = small_config(evaluate={"linear": {"optimizer": "sgd"}}).evaluate.model_dump_json()
    added = '"optimizer":"sgd",'
    assert added in settings
    told = (
        f"{RECIPE_VERSION}{settings.replace(added, '')}Recipe(part='linear', purpose='classifier', "
        "steps=9, batch_size=16, learning_rate=0.7, weight_decay=0.1, whole=False)"
    )
    assert folder(RECIPE, "sgd") == tmp_path / f"linear-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    assert folder(replace(RECIPE, optimizer="lars"), "lars") != folder(RECIPE, "sgd")


@pytest.mark.parametrize("whole", [False, True])
def test_a_classifier_stopped_at_any_step_goes_on_to_the_same_weights_bit_for_bit(
    data: Dataset, tmp_path: Path, whole: bool
) -> None:
    recipe = Recipe("finetune", "finetune", steps=7, batch_size=16, learning_rate=0.1, whole=whole)

    def end(folder: Path | None, stops: list[int]) -> list[Tensor]:
        counted = [0]

        class Stopping(Listener):
            def stopping(self) -> bool:
                counted[0] += 1
                return bool(stops) and counted[0] == stops[0] and bool(stops.pop(0))

        while True:
            case = frozen(data)
            torch.manual_seed(0)
            layer = zero_classifier(64, 10, torch.zeros(1))
            case.model.load_state_dict(start)
            context = Stopping(checkpoints=folder)
            try:
                train_classifier(
                    case.config, recipe, case.model.encoder, layer, data.train.images, data.train.labels, context
                )
            except Interrupted:
                continue
            return [layer.weight, *case.model.encoder.state_dict().values()]

    start = frozen(data).model.state_dict()
    expected = end(None, [])
    for number, stops in enumerate(([1], [6], [2, 3, 5])):
        made = end(tmp_path / str(number), stops)
        assert all(torch.equal(*pair) for pair in zip(made, expected, strict=True))
    assert torch.equal(expected[1], start["encoder.conv1.weight"]) != whole


def test_a_rate_too_high_ends_a_classifier_with_its_name_and_no_number(data: Dataset) -> None:
    case = frozen(data)
    recipe = Recipe("finetune", "finetune", steps=20, batch_size=16, learning_rate=1e30, whole=True)
    layer = zero_classifier(64, 10, torch.zeros(1))
    with pytest.raises(Diverged, match=r"finetune: the weights are not finite after 20 steps"):
        train_classifier(
            case.config, recipe, case.model.encoder, layer, data.train.images, data.train.labels, Listener()
        )


def test_the_loss_of_several_labels_is_the_mean_over_those_that_are_known() -> None:
    logits, labels = torch.randn(6, 4), torch.randint(-1, 2, (6, 4))
    known = [(i, j) for i in range(6) for j in range(4) if labels[i, j] >= 0]
    expected = sum(
        -float(torch.nn.functional.logsigmoid(logits[i, j] * (1 if labels[i, j] == 1 else -1))) for i, j in known
    )
    assert cross_entropy(logits, labels).item() == pytest.approx(expected / len(known), rel=1e-5)


def test_fewer_labelled_images_than_ranks_are_told_of() -> None:
    assert fitting_batch(256, 2001, 4) == 256
    assert fitting_batch(4096, 2001, 4) == 2000
    with pytest.raises(ValueError, match="3 labelled images are fewer than the 4 ranks"):
        fitting_batch(4096, 3, 4)


def test_a_context_that_stops_interrupts_features_and_classifiers(data: Dataset) -> None:
    case = frozen(data, Listener(stop_after=0))
    for part in (cached_linear, linear):
        with pytest.raises(Interrupted):
            part(case)


def test_decay_leaves_batch_norm_alone_and_reaches_kernels_and_biases_like_a_step_of_nesterov_in_float64() -> None:
    encoder = make_encoder(Encoder(name="resnet8", stem="strided")).double()
    trained = nn.ModuleList([encoder, nn.Linear(64, 3).double()])
    before = {name: value.clone() for name, value in trained.named_parameters()}
    optimizer = torch.optim.SGD(_groups(trained, 0.5), lr=0.1, momentum=0.9, nesterov=True)
    for parameter in trained.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, value in trained.named_parameters():
        gradient = 0.0 if "bn" in name or "downsample.1" in name else 0.5 * before[name]
        torch.testing.assert_close(value.detach(), (before[name] - 0.1 * 1.9 * gradient).detach(), rtol=1e-12, atol=0)


def test_the_supervised_baselines_classifier_starts_from_a_normal_distribution_of_deviation_a_hundredth() -> None:
    head = make_model(small_config(method="supervised", evaluate={"parts": ["classifier"]}), 500, CPU).head
    assert isinstance(head, nn.Linear)
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not head.bias.any()
