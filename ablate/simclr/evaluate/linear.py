"""Classifiers on frozen representations: linear, by the paper's protocol (App. B.6) or fast, and nearest neighbours."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.simclr.evaluate.classifier import recipe_by_epochs, train_classifier, zero_classifier
from ablate.simclr.evaluate.frozen import Frozen, LayerEncoder
from ablate.simclr.evaluate.logistic import fit_logistic
from ablate.simclr.evaluate.scores import top_k

LARS_WEIGHT_DECAY = 1e-6
"""That of the paper's pretraining."""


def linear(frozen: Frozen) -> dict[str, float]:
    """Top-1 and top-5 in percent of a classifier trained by SGD or LARS on cropped and flipped images (App. B.6)."""
    settings, train = frozen.config.evaluate.linear, frozen.data.train
    own = {"optimizer": "lars", "weight_decay": LARS_WEIGHT_DECAY} if settings.optimizer == "lars" else {}
    recipe = recipe_by_epochs("linear", "classifier", settings, len(train.images), frozen.context.world, **own)
    encoder = LayerEncoder(frozen.model, frozen.config.evaluate.layer).eval()
    test = frozen.features("test")
    classifier = zero_classifier(test.shape[1], frozen.data.classes, test)
    train_classifier(frozen.config, recipe, encoder, classifier, train.images, train.labels, frozen.context)
    with torch.no_grad():
        logits = classifier(test)
    labels = frozen.data.test.labels
    return {"linear_top1": frozen.top1("linear_top1", logits), "linear_top5": top_k(logits, labels, 5)}


def cached_linear(frozen: Frozen) -> dict[str, float]:
    """Top-1 and top-5 in percent of multinomial logistic regression on features computed once, by L-BFGS."""
    settings, data = frozen.config.evaluate.cached_linear, frozen.data
    train, test = frozen.features("train"), frozen.features("test")
    labels, most = data.train.labels, settings.max_iterations
    classifier = fit_logistic(train, labels, data.classes, settings.l2, max_iterations=most, stopping=frozen.stopping)
    logits, of_train = classifier.logits(test), classifier.logits(train)
    return {
        "cached_linear_top1": frozen.top1("cached_linear_top1", logits),
        "cached_linear_top5": top_k(logits, data.test.labels, 5),
        "cached_linear_train_top1": top_k(of_train, labels, 1),
    }


def knn(frozen: Frozen) -> dict[str, float]:
    """Top-1 in percent of weighted nearest neighbours (Wu et al. 2018)."""
    settings, data = frozen.config.evaluate.knn, frozen.data
    train, test = frozen.features("train"), frozen.features("test")
    scores = knn_predict(train, data.train.labels, test, data.classes, settings.neighbours, settings.temperature)
    return {"knn_top1": frozen.top1("knn_top1", scores)}


def classifier(frozen: Frozen) -> dict[str, float]:
    """Top-1 and top-5 in percent of the supervised baseline's own classifier."""
    with torch.no_grad():
        logits = frozen.model.head(frozen.features("test", "h").to(next(frozen.model.head.parameters()).dtype))
    labels = frozen.data.test.labels
    return {"classifier_top1": frozen.top1("classifier_top1", logits), "classifier_top5": top_k(logits, labels, 5)}


@torch.no_grad()
def knn_predict(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    classes: int,
    neighbours: int = 200,
    temperature: float = 0.07,
    block: tuple[int, int] = (1024, 65536),
) -> Tensor:
    """Votes for every class: (M, classes), larger is likelier, in the dtype of the features.

    The `neighbours` training rows of largest cosine similarity s each give their class exp(s / temperature), up to a
    factor for each test row, so that the nearest gives 1; k = 200 and 0.07 are those of Wu et al. More neighbours than
    training rows means all rows. `train_features` is (N, d), `train_labels` int64 (N,), `test_features` (M, d). No more
    than `block` = (test rows, training rows) are compared at once, which bounds the memory.
    """
    votes = test_features.new_zeros(len(test_features), classes)
    for queries, tally in zip(test_features.split(block[0]), votes.split(block[0]), strict=True):
        similarity, index = _nearest(F.normalize(queries, dim=1), train_features, neighbours, block[1])
        apart = similarity - similarity[:, :1]  # to the nearest: exp(s / temperature) itself overflows
        tally.scatter_add_(1, train_labels[index], (apart / temperature).exp())
    return votes


def _nearest(queries: Tensor, train_features: Tensor, neighbours: int, block: int) -> tuple[Tensor, Tensor]:
    """Cosine similarities and row numbers, (m, k) each, of the nearest training rows to unit `queries` (m, d)."""
    best = queries.new_zeros(len(queries), 0)
    index = torch.zeros(len(queries), 0, dtype=torch.int64, device=queries.device)
    for number, rows in enumerate(train_features.split(block)):
        similarity = queries @ F.normalize(rows, dim=1).T  # (m, block)
        near, where = similarity.topk(min(neighbours, len(rows)), dim=1)
        best, index = torch.cat([best, near], dim=1), torch.cat([index, where + number * block], dim=1)
        best, kept = best.topk(min(neighbours, best.shape[1]), dim=1)
        index = index.gather(1, kept)
    return best, index
