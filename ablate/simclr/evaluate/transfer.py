"""Fine-tuning on a share of the labels (App. B.5), and transfer to another data set (App. B.8)."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ablate.simclr.base.files import file_sha256
from ablate.simclr.base.randomness import generator
from ablate.simclr.config import Config, Data, Finetune
from ablate.simclr.data.dataset import Dataset, load_mixed_textures, load_pack
from ablate.simclr.data.images import Chosen, Split, joined, named, share_of_each
from ablate.simclr.evaluate.classifier import Recipe, fitting_batch, recipe_by_epochs, train_classifier, zero_classifier
from ablate.simclr.evaluate.frozen import Frozen
from ablate.simclr.evaluate.logistic import sweep_l2
from ablate.simclr.evaluate.scores import eleven_point_map, mean_per_class, top_k
from ablate.simclr.model import make_model
from ablate.simclr.model.encoder import make_batch_norm_global

_HELD_OUT = 0.2
"""Share of the training images held out to choose l2 if there is no validation set; the paper states none."""


def finetune(frozen: Frozen) -> dict[str, float]:
    """Top-1 and top-5 in percent on the test images, after training on some of the training images."""
    settings, config, train = frozen.config.evaluate.finetune, frozen.config, frozen.data.train
    rows = labelled(train, settings)
    images, labels = Chosen(train.images, rows), train.labels[torch.from_numpy(rows).to(train.labels.device)]
    world, decay = frozen.context.world, settings.weight_decay
    recipe = recipe_by_epochs("finetune", "finetune", settings, len(rows), world, weight_decay=decay, whole=True)
    tuned = Frozen(config, copy.deepcopy(frozen.model), frozen.data, frozen.context)
    classifier = zero_classifier(tuned.model.encoder.dimension, frozen.data.classes, next(tuned.model.parameters()))
    train_classifier(config, recipe, tuned.model.encoder, classifier, images, labels, frozen.context)
    with torch.no_grad():
        logits = classifier.float()(tuned.features("test", "h"))
    return {
        "finetune_top1": frozen.top1("finetune_top1", logits),
        "finetune_top5": top_k(logits, frozen.data.test.labels, 5),
        "finetune_images": float(len(rows)),
    }


def labelled(train: Split, settings: Finetune) -> NDArray[np.int64]:
    """Return the rows of the labelled images: those of the list file, or a share of each class."""
    if settings.subset is not None:
        if train.names is None:
            raise ValueError(f"evaluate.finetune.subset = {settings.subset} needs data.name = 'packed'")
        if settings.subset_fingerprint not in (None, file_sha256(settings.subset)):
            raise ValueError(f"{settings.subset} has changed since the run was planned; start the run again")
        return named(train.names(), settings.subset)
    return share_of_each(train.labels.cpu().numpy(), settings.label_share, settings.subset_seed)


def transfer(frozen: Frozen) -> dict[str, float]:
    """The other data set's metric in percent, as `transfer` and under its own name, such as transfer_top1."""
    settings, other = frozen.config.evaluate.transfer, _other(frozen.config, frozen.context.device)
    if settings.mode == "linear":  # the whole centre square (App. B.8)
        return _linear(Frozen(frozen.config, frozen.model, other, frozen.context, center_crop=1.0))
    return _finetune(Frozen(frozen.config, frozen.model, other, frozen.context))


def _numbers(data: Dataset, logits: Tensor) -> dict[str, float]:
    """Return the data set's metric under its own name and under `transfer`."""
    value = metric_of(data)(logits, data.test.labels)
    return {"transfer": value, f"transfer_{data.metric}": value}


def _other(config: Config, device: torch.device) -> Dataset:
    """Load the pack at evaluate.transfer.root; if unset with textures, textures of other classes."""
    settings, own = config.evaluate.transfer, config.data
    if settings.root is None and own.name == "textures":
        return load_mixed_textures(own, device)
    if settings.root is None:
        raise ValueError("evaluate.parts has 'transfer', which needs evaluate.transfer.root")
    source = Data(name="packed", root=settings.root, fingerprint=settings.fingerprint, image_size=own.image_size)
    return load_pack(source, device)


def metric_of(data: Dataset) -> Callable[[Tensor, Tensor], float]:
    """Return the data set's metric, a function of logits and labels."""
    known: dict[str, Callable[[Tensor, Tensor], float]] = {
        "top1": partial(top_k, k=1),
        "mean_per_class": partial(mean_per_class, classes=data.classes),
        "map11": eleven_point_map,
    }
    return known[data.metric]


def _linear(frozen: Frozen) -> dict[str, float]:
    """Logistic regression by L-BFGS: l2, one of 45 values, is chosen on validation data, then all data are used."""
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


def hold_out(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices to train on and those held out, ascending, for data sets without a validation set.

    Of every class in `labels` int64 (N,), `share` of the rows is held out, rounded: at least one is held out and one
    kept, and a single row is kept. The paper states neither the size nor the draw.
    """
    order = generator(seed, "order", 0).permutation(len(labels))
    known = labels.cpu().numpy()
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(known):
        rows = order[known[order] == label]
        held[rows[: min(max(round(share * len(rows)), 1), len(rows) - 1)]] = True
    kept, out = (torch.from_numpy(np.flatnonzero(chosen)).to(labels.device) for chosen in (~held, held))
    return kept, out


def _finetune(frozen: Frozen) -> dict[str, float]:
    """Train encoder and classifier for a number of steps, on the validation images too if there are any.

    The momentum of batch norm depends on the steps per epoch (App. B.8).
    """
    config, context, data = frozen.config, frozen.context, frozen.data
    train = data.train if data.validation is None else joined(data.train, data.validation)
    settings = config.evaluate.transfer
    model = copy.deepcopy(frozen.model)
    if settings.mode == "random_init":
        model = make_model(config, model.probe.out_features, context.device)
        make_batch_norm_global(model, context.world)
    batch_size = fitting_batch(settings.batch_size, len(train.images), context.world.size)
    _set_momentum(model, steps_per_epoch=len(train.images) / batch_size)
    rate, decay = settings.learning_rate, settings.weight_decay / settings.learning_rate
    recipe = Recipe("transfer", "transfer", settings.steps, batch_size, rate, decay, whole=True)
    classifier = zero_classifier(model.encoder.dimension, data.classes, next(model.parameters()))
    train_classifier(config, recipe, model.encoder, classifier, train.images, train.labels, context)
    with torch.no_grad():
        logits = classifier.float()(Frozen(config, model, data, context).features("test", "h"))
    return _numbers(data, logits)


def _set_momentum(model: nn.Module, steps_per_epoch: float) -> None:
    """Set batch norm's momentum to max(1 - 10 / s, 0.9) (App. B.8); torch defines it as 1 minus that."""
    modules: list[Any] = list(model.modules())
    for module in modules:
        if hasattr(module, "running_mean"):
            module.momentum = 1 - max(1 - 10 / max(steps_per_epoch, 1e-9), 0.9)
