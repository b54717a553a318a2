"""Which transformation was applied, read from frozen h or g(h) by a small network (Table 3)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.simclr.context import Interrupted
from ablate.simclr.randomness import generator


class Standardise(nn.Module):
    """(x - mean) / deviation per feature, with those of the features it is made of; constant ones become zero."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        deviation, mean = torch.std_mean(features, dim=0, correction=0)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", torch.where(deviation > 0, deviation, 1.0))

    def forward(self, features: Tensor) -> Tensor:
        """(B, d) -> (B, d)."""
        return (features - self.mean) / self.deviation


def fit_mlp(
    features: Tensor,
    labels: Tensor,
    classes: int,
    hidden: int | None = None,
    epochs: int = 30,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    seed: int = 0,
    stopping: Callable[[], bool] = lambda: False,
) -> nn.Module:
    """A network (B, d) -> logits (B, classes) with one hidden ReLU layer, trained by Adam on features (N, d).

    The paper says "additional MLPs" and publishes nothing of them, so all settings are ours: as wide as the features
    unless `hidden` says otherwise, Adam at a constant rate, cross entropy, no regularisation. Features are
    standardised first, so that one rate suits h and g(h), whose scales differ. `labels` is int64 (N,). Initial
    weights and batches depend on `seed` alone. Raises Interrupted when `stopping()`.
    """
    model = _network(features, hidden or features.shape[1], classes, seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    for epoch in range(epochs):
        order = generator(seed, "classifier", epoch).permutation(len(features))
        for chosen in torch.from_numpy(order).to(features.device).split(batch_size):
            if stopping():
                raise Interrupted
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(model(features[chosen]), labels[chosen]).backward()
            optimizer.step()
    return model.eval()


def _network(features: Tensor, hidden: int, classes: int, seed: int) -> nn.Module:
    """Weights of He et al. 2015 (their normal initialisation), drawn on the CPU so that no device changes them."""
    drawn = torch.Generator().manual_seed(seed)
    sizes = (features.shape[1], hidden), (hidden, classes)
    layers = [nn.utils.skip_init(nn.Linear, *size) for size in sizes]  # draws nothing from the global generator
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=drawn)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(Standardise(features), layers[0], nn.ReLU(), layers[1]).to(features.device)
