"""Linear evaluation: a linear classifier on frozen representations (App. B.6), by the paper's protocol or fast."""

import torch

from ablate.simclr.evaluate.classifier import Recipe, fitting_batch, steps_of, train_classifier, zero_classifier
from ablate.simclr.evaluate.frozen import Frozen, LayerEncoder
from ablate.simclr.evaluate.knn import knn_predict
from ablate.simclr.evaluate.logistic import fit_logistic
from ablate.simclr.evaluate.metrics import top_k


def linear(frozen: Frozen) -> dict[str, float]:
    """Top-1 and top-5 in percent of a classifier trained by SGD on cropped and flipped images (App. B.6)."""
    settings, train = frozen.config.evaluate.linear, frozen.data.train
    batch_size = fitting_batch(settings.batch_size, len(train.images), frozen.context.world.size)
    recipe = Recipe(
        part="linear",
        purpose="classifier",
        steps=steps_of(settings.epochs, len(train.images), batch_size),
        batch_size=batch_size,
        learning_rate=settings.learning_rate * batch_size / 256,
    )
    encoder = LayerEncoder(frozen.model, frozen.config.evaluate.layer).eval()
    test = frozen.features("test")
    classifier = zero_classifier(test.shape[1], frozen.data.classes, test)
    train_classifier(frozen.config, recipe, encoder, classifier, train.images, train.labels, frozen.context)
    with torch.no_grad():
        logits = classifier(test)
    labels = frozen.data.test.labels
    return {"linear_top1": top_k(logits, labels, 1), "linear_top5": top_k(logits, labels, 5)}


def cached_linear(frozen: Frozen) -> dict[str, float]:
    """Top-1 and top-5 in percent of multinomial logistic regression on features computed once, by L-BFGS."""
    settings, data = frozen.config.evaluate.cached_linear, frozen.data
    train, test = frozen.features("train"), frozen.features("test")
    classifier = fit_logistic(
        train,
        data.train.labels,
        data.classes,
        settings.l2,
        max_iterations=settings.max_iterations,
        stopping=frozen.stopping,
    )
    logits, of_train = classifier.logits(test), classifier.logits(train)
    return {
        "cached_linear_top1": top_k(logits, data.test.labels, 1),
        "cached_linear_top5": top_k(logits, data.test.labels, 5),
        "cached_linear_train_top1": top_k(of_train, data.train.labels, 1),
    }


def knn(frozen: Frozen) -> dict[str, float]:
    """Top-1 in percent of weighted nearest neighbours (Wu et al. 2018)."""
    settings, data = frozen.config.evaluate.knn, frozen.data
    scores = knn_predict(
        frozen.features("train"),
        data.train.labels,
        frozen.features("test"),
        data.classes,
        settings.neighbours,
        settings.temperature,
    )
    return {"knn_top1": top_k(scores, data.test.labels, 1)}


def classifier(frozen: Frozen) -> dict[str, float]:
    """Top-1 and top-5 in percent of the supervised baseline's own classifier."""
    with torch.no_grad():
        logits = frozen.model.head(frozen.features("test", "h").to(next(frozen.model.head.parameters()).dtype))
    labels = frozen.data.test.labels
    return {"classifier_top1": top_k(logits, labels, 1), "classifier_top5": top_k(logits, labels, 5)}
