"""Transfer to another data set (App. B.8, Tables 8 and B.5): logistic regression on frozen h, or fine-tuning."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ablate.simclr.config import Config, Data
from ablate.simclr.data.images import Dataset, joined, load_mixed_textures, load_pack
from ablate.simclr.distributed import make_batch_norm_global
from ablate.simclr.evaluate.classifier import Recipe, fitting_batch, train_classifier, zero_classifier
from ablate.simclr.evaluate.frozen import Frozen
from ablate.simclr.evaluate.logistic import hold_out, sweep_l2
from ablate.simclr.evaluate.metrics import eleven_point_map, mean_per_class, top_k
from ablate.simclr.model import make_model

_HELD_OUT = 0.2
"""Share of the training images that choose l2 where the data set has no validation part; the paper states none."""


def transfer(frozen: Frozen) -> dict[str, float]:
    """The metric of the other data set in percent: `transfer`, and after its name, transfer_top1 for example."""
    settings, other = frozen.config.evaluate.transfer, _other(frozen.config, frozen.context.device)
    if settings.mode == "linear":  # short side to the size, centre square (App. B.8)
        return _linear(Frozen(frozen.config, frozen.model, other, frozen.context, center_crop=1.0))
    return _finetune(Frozen(frozen.config, frozen.model, other, frozen.context))


def _numbers(data: Dataset, logits: Tensor) -> dict[str, float]:
    """The data set's own metric, under its name and under one that all data sets share."""
    value = metric_of(data)(logits, data.test.labels)
    return {"transfer": value, f"transfer_{data.metric}": value}


def _other(config: Config, device: torch.device) -> Dataset:
    """The pack at evaluate.transfer.root; for textures without one, textures of other classes."""
    settings, own = config.evaluate.transfer, config.data
    if settings.root is None and own.name == "textures":
        return load_mixed_textures(own, device)
    if settings.root is None:
        raise ValueError("evaluate.parts has 'transfer', which needs evaluate.transfer.root")
    source = Data(name="packed", root=settings.root, fingerprint=settings.fingerprint, image_size=own.image_size)
    return load_pack(source, device)


def metric_of(data: Dataset) -> Callable[[Tensor, Tensor], float]:
    """What the data set is judged by, of logits and labels."""
    known: dict[str, Callable[[Tensor, Tensor], float]] = {
        "top1": partial(top_k, k=1),
        "mean_per_class": partial(mean_per_class, classes=data.classes),
        "map11": eleven_point_map,
    }
    return known[data.metric]


def _linear(frozen: Frozen) -> dict[str, float]:
    """Multinomial logistic regression by L-BFGS; l2 of 45 values chosen on validation data, then all are used."""
    data, metric = frozen.data, metric_of(frozen.data)
    features, labels = frozen.features("train", "h"), data.train.labels
    if data.validation is not None:
        train = (features, labels)
        validation = (frozen.encode(data.validation)["h"], data.validation.labels)
    else:
        kept, held = hold_out(labels, _HELD_OUT, frozen.config.seed)
        train, validation = (features[kept], labels[kept]), (features[held], labels[held])
    sweep = sweep_l2(train, validation, data.classes, metric, stopping=frozen.stopping)
    logits = sweep.classifier.logits(frozen.features("test", "h"))
    return {**_numbers(data, logits), "transfer_l2": sweep.l2}


def _finetune(frozen: Frozen) -> dict[str, float]:
    """Encoder and classifier trained for a number of steps, on the validation images too where there are some.

    Batch norm remembers about ten steps of an epoch.
    """
    config, context, data = frozen.config, frozen.context, frozen.data
    train = data.train if data.validation is None else joined(data.train, data.validation)
    settings = config.evaluate.transfer
    model = copy.deepcopy(frozen.model)
    if settings.mode == "random_init":
        model = make_model(config, model.probe.out_features, context.device)
        make_batch_norm_global(model, context.world)
    batch_size = fitting_batch(settings.batch_size, len(train.images), context.world.size)
    _remember(model, steps_per_epoch=len(train.images) / batch_size)
    recipe = Recipe(
        part="transfer",
        purpose="transfer",
        steps=settings.steps,
        batch_size=batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay / settings.learning_rate,
        whole=True,
    )
    classifier = zero_classifier(model.encoder.dimension, data.classes, next(model.parameters()))
    train_classifier(config, recipe, model.encoder, classifier, train.images, train.labels, context)
    with torch.no_grad():
        logits = classifier.float()(Frozen(config, model, data, context).features("test", "h"))
    return _numbers(data, logits)


def _remember(model: nn.Module, steps_per_epoch: float) -> None:
    """Batch norm's momentum max(1 - 10 / s, 0.9) of App. B.8; torch counts it the other way round."""
    modules: list[Any] = list(model.modules())
    for module in modules:
        if hasattr(module, "running_mean"):
            module.momentum = 1 - max(1 - 10 / max(steps_per_epoch, 1e-9), 0.9)
