"""Weighted k-nearest-neighbour classifier on frozen features (Wu et al. 2018, section 3.4)."""

import torch
import torch.nn.functional as F
from torch import Tensor


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

    The `neighbours` training rows of largest cosine similarity s each give their class exp(s / temperature); k = 200
    and 0.07 are those of Wu et al. More neighbours than training rows means all rows. `train_features` is (N, d),
    `train_labels` int64 (N,), `test_features` (M, d). No more than `block` = (test rows, training rows) are compared
    at once, which bounds the memory.
    """
    votes = test_features.new_zeros(len(test_features), classes)
    for queries, tally in zip(test_features.split(block[0]), votes.split(block[0]), strict=True):
        similarity, index = _nearest(F.normalize(queries, dim=1), train_features, neighbours, block[1])
        tally.scatter_add_(1, train_labels[index], (similarity / temperature).exp())
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
