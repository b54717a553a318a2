"""What a trial computes, counted without computing it: against the real modules, and by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ablate.simclr.config import Config, Encoder
from ablate.simclr.config.network import multiply_adds, parameters
from ablate.simclr.data.listing import Listing
from ablate.simclr.effort import effort
from ablate.simclr.model.encoder import make_encoder
from ablate.trainer.hooks import Effort, Sizes

IMAGENET = Sizes(1_281_167, 50_000)
NAMES = ("resnet8", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


def counted(encoder: Encoder, side: int) -> int:
    """Multiply-adds of all convolutions, from the shapes that hooks see; on no device, so that nothing is computed."""
    found = []

    def note(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        found.append(output[0].numel() * module.weight[0].numel())

    with torch.device("meta"):
        network = make_encoder(encoder)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(note)
        network.eval()(torch.empty(1, 3, side, side))
    return sum(found)


@pytest.mark.parametrize("name", NAMES)
def test_the_multiply_adds_of_every_network_are_those_of_its_modules(
    name: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ablate.simclr.model.encoder._initialize", lambda module: None
    )  # which would take the most time
    for stem, width, side in (("imagenet", 1, 57), ("cifar", 2, 8), ("strided", 1, 8)):
        encoder = Encoder.model_validate({"name": name, "stem": stem, "width_multiplier": width})
        assert multiply_adds(encoder, side) == counted(encoder, side), (stem, width, side)


def test_a_resnet_50_at_224_pixels_takes_4_1_billion_and_four_times_the_width_takes_about_sixteen_times_that() -> None:
    assert multiply_adds(Encoder(), 224) == counted(Encoder(), 224) == pytest.approx(4.09e9, rel=1e-3)
    ratio = (multiply_adds(Encoder(width_multiplier=4), 224) or 0) / (multiply_adds(Encoder(), 224) or 1)
    assert 15 < ratio < 16


def found(sizes: Sizes = IMAGENET, evaluate: dict[str, Any] | None = None, **settings: Any) -> Effort:
    """The effort of the paper's default with some settings changed; data sets in no folder have 300 images."""
    base = {"data": {"name": "packed", "image_size": 224}, "evaluate": {"parts": []} | (evaluate or {})}
    config = Config.model_validate(base | settings)
    counted = effort(config, sizes, lambda path: Listing("", 200, 100, "packed"))
    assert counted is not None
    return counted


def test_the_unit_is_an_image_of_a_resnet_50_at_224_pixels_that_is_trained_on() -> None:
    assert found().pretraining == 100 * 1_281_167 * 2
    assert found().evaluation == pytest.approx(50_000 / 3)
    assert found(method="supervised").pretraining == 100 * 1_281_167
    assert found(epochs=0).pretraining == pytest.approx(1_281_167 / 3)
    assert found(micro_batch=512).pretraining == pytest.approx(100 * 1_281_167 * 2 * 4 / 3)
    small = found(data={"name": "packed", "image_size": 224, "train_images": 10_000})
    assert small.pretraining == 100 * 10_000 * 2


def test_another_network_counts_in_proportion_to_its_multiply_adds() -> None:
    half = found(data={"name": "packed", "image_size": 112})
    assert half.pretraining == pytest.approx(found().pretraining / 4, rel=0.06)  # 7 pixels become 4, not 3.5
    wide = found(encoder={"width_multiplier": 2})
    assert 3.8 < wide.pretraining / found().pretraining < 4


@pytest.mark.parametrize(
    ("evaluate", "images"),
    [
        ({"parts": ["linear"]}, 90 * 1000 / 3 + 100 / 3),
        ({"parts": ["cached_linear", "knn"]}, 1000 / 3 + 100 / 3),
        ({"parts": ["finetune"], "finetune": {"epochs": 60, "label_share": 0.01}}, 60 * 10 + 100 / 3 + 100 / 3),
        ({"parts": ["finetune"], "finetune": {"epochs": 2, "subset": "list"}}, 2 * 200 + 100 / 3 + 100 / 3),
        ({"parts": ["transfer"], "transfer": {"root": "pack"}}, 300 / 3 + 100 / 3),
        ({"parts": ["transfer"], "transfer": {"mode": "finetune", "steps": 7}}, 7 * 256 + 100 / 3),
        ({"parts": ["transformation"]}, 1100 / 3 + 100 / 3),
        ({"parts": ["geometry"]}, 200 / 3 + 100 / 3),
    ],
)
def test_an_evaluation_counts_its_passes_a_forward_one_as_a_third(evaluate: dict[str, Any], images: float) -> None:
    assert found(Sizes(1000, 100), evaluate, batch_size=64).evaluation == pytest.approx(images)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("stem", "width"), [("imagenet", 1), ("cifar", 2), ("strided", 1)])
def test_parameters_are_those_of_the_real_modules(name: str, stem: str, width: int) -> None:
    encoder = Encoder.model_validate({"name": name, "stem": stem, "width_multiplier": width})
    with torch.device("meta"):  # nothing is drawn or kept
        network = make_encoder(encoder)
    assert parameters(encoder) == sum(each.numel() for each in network.parameters())


def test_a_network_of_torchvisions_is_not_counted() -> None:
    config = Config.model_validate({"encoder": {"name": "torchvision", "torchvision": "vgg11"}})
    assert parameters(config.encoder) is None
    assert effort(config, IMAGENET, lambda path: Listing("", 1, 1, "packed")) is None


def test_lists_and_packs_that_are_not_there_leave_a_share_and_nothing() -> None:
    def look(path: Path) -> Listing:
        raise OSError("not here")

    evaluate = {"parts": ["finetune", "transfer"], "finetune": {"subset": "list"}, "transfer": {"root": "pack"}}
    config = Config.model_validate({"data": {"name": "packed"}, "evaluate": evaluate, "encoder": {"stem": "imagenet"}})
    here = effort(config, Sizes(1000, 100), lambda path: Listing("", 100, 0, "list"))
    absent = effort(config, Sizes(1000, 100), look)
    assert here is not None
    assert absent is not None
    assert absent.evaluation < here.evaluation
