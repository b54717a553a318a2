from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ablate.simclr.batches import as_floats
from ablate.simclr.context import Diverged, Interrupted
from ablate.simclr.data.images import Dataset, Resident
from ablate.simclr.evaluate.classifier import Recipe, cross_entropy, fitting_batch, train_classifier, zero_classifier
from ablate.simclr.evaluate.frozen import Frozen, LayerEncoder
from ablate.simclr.evaluate.linear import cached_linear, classifier, knn, linear
from ablate.simclr.model import make_model
from ablate.simclr.randomness import generator
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


def test_the_classifier_takes_the_steps_of_nesterov_and_cosine_written_out_in_numpy() -> None:
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
    train_classifier(config, RECIPE, Shown(), layer, images, torch.from_numpy(labels), Listener())
    matrix, velocity = np.zeros((3, 5)), np.zeros((3, 5))
    padded = np.hstack([inputs, np.ones((48, 1))])  # the bias is a weight of an input of one
    for step in range(9):  # three batches an epoch
        order = generator(0, "classifier", step // 3).permutation(48)
        chosen = order[16 * (step % 3) :][:16]
        share = np.exp(padded[chosen] @ matrix.T)
        share /= share.sum(1, keepdims=True)
        gradient = (share - np.eye(3)[labels[chosen]]).T @ padded[chosen] / 16 + 0.1 * matrix
        velocity = 0.9 * velocity + gradient
        rate = 0.7 * 0.5 * (1 + np.cos(np.pi * step / 9))
        matrix = matrix - rate * (gradient + 0.9 * velocity)
    made = np.hstack([layer.weight.detach().numpy(), layer.bias.detach().numpy()[:, None]])
    np.testing.assert_allclose(made, matrix, rtol=1e-4, atol=1e-6)


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
    with pytest.raises(Diverged, match=r"finetune: the weights are no longer numbers after 20 steps"):
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
