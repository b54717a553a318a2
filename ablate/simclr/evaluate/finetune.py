"""Fine-tuning encoder and classifier on a share of the labels (section 6, App. B.5, Tables 7 and B.4)."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from ablate.simclr.config import Finetune
from ablate.simclr.data.images import Chosen, Split
from ablate.simclr.data.subset import named, share_of_each
from ablate.simclr.evaluate.classifier import Recipe, fitting_batch, steps_of, train_classifier, zero_classifier
from ablate.simclr.evaluate.frozen import Frozen
from ablate.simclr.evaluate.metrics import top_k
from ablate.simclr.files import file_sha256


def finetune(frozen: Frozen) -> dict[str, float]:
    """Top-1 and top-5 in percent on the test images, after training on some of the training images."""
    settings, config, train = frozen.config.evaluate.finetune, frozen.config, frozen.data.train
    rows = labelled(train, settings)
    images, labels = Chosen(train.images, rows), train.labels[torch.from_numpy(rows).to(train.labels.device)]
    batch_size = fitting_batch(settings.batch_size, len(rows), frozen.context.world.size)
    recipe = Recipe(
        part="finetune",
        purpose="finetune",
        steps=steps_of(settings.epochs, len(rows), batch_size),
        batch_size=batch_size,
        learning_rate=settings.learning_rate * batch_size / 256,
        weight_decay=settings.weight_decay,
        whole=True,
    )
    tuned = Frozen(config, copy.deepcopy(frozen.model), frozen.data, frozen.context)
    classifier = zero_classifier(tuned.model.encoder.dimension, frozen.data.classes, next(tuned.model.parameters()))
    train_classifier(config, recipe, tuned.model.encoder, classifier, images, labels, frozen.context)
    with torch.no_grad():
        logits = classifier.float()(tuned.features("test", "h"))
    return {
        "finetune_top1": top_k(logits, frozen.data.test.labels, 1),
        "finetune_top5": top_k(logits, frozen.data.test.labels, 5),
        "finetune_images": float(len(rows)),
    }


def labelled(train: Split, settings: Finetune) -> NDArray[np.int64]:
    """The rows of the images whose labels may be used: those of the list file, or a share of each class."""
    if settings.subset is not None:
        if train.names is None:
            raise ValueError(f"evaluate.finetune.subset = {settings.subset} needs data.name = 'packed'")
        if settings.subset_fingerprint not in (None, file_sha256(settings.subset)):
            raise ValueError(f"{settings.subset} has changed since the run was planned; start the run again")
        return named(train.names(), settings.subset)
    return share_of_each(train.labels.cpu().numpy(), settings.label_share, settings.subset_seed)
