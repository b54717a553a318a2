"""The pretrained model, frozen, and the features that it computes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ablate.simclr.base.device import autocast, model_dtype
from ablate.simclr.config import Config
from ablate.simclr.data.batches import plain
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.data.images import Split
from ablate.simclr.evaluate.scores import top_k
from ablate.simclr.model import Model, ProjectionHead
from ablate.trainer.contract import Context, Interrupted

Layer = Literal["h", "hidden", "z"]


@dataclass(frozen=True)
class Frozen:
    """A pretrained model, its images, and a cache of their features."""

    config: Config
    model: Model
    data: Dataset
    context: Context
    center_crop: float | None = None
    """Share of a packed image's shorter side that is used, if not the config's."""
    correct: dict[str, Tensor] = field(default_factory=dict)
    """Metric -> whether each test image is right (M,), filled by the parts of the evaluation."""
    _known: dict[tuple[str, Layer], Tensor] = field(default_factory=dict)

    def features(self, split: Literal["train", "test"], layer: Layer | None = None) -> Tensor:
        """Compute features (N, d) of a split's unaugmented images, by default of the config's layer."""
        layer = layer or self.config.evaluate.layer
        if (split, layer) not in self._known:
            self._known[split, layer] = self.encode(getattr(self.data, split), (layer,))[layer]
        return self._known[split, layer]

    def encode(self, split: Split, layers: Iterable[Layer] = ("h",)) -> dict[Layer, Tensor]:
        """Compute features of unaugmented images: each rank encodes a share, and all ranks get all features."""
        world, count = self.context.world, len(split.images)
        share = -(-count // world.size)
        rows = (np.arange(share) + world.rank * share) % count  # the last rank's share may wrap around
        found = self.through(self.plain(split, rows), layers)
        return {layer: world.gather(values)[:count] for layer, values in found.items()}

    def plain(self, split: Split, rows: NDArray[np.int64]) -> Iterator[Tensor]:
        """Yield unaugmented images in batches for the encoder. Raises Interrupted between two."""
        settings = self.config.data
        share = settings.kept_share if self.center_crop is None else self.center_crop
        crop = self.config.evaluate.crop
        for images in plain(split.images, settings.image_size, crop, share, self.context.device, rows):
            self.go_on()
            yield images

    @torch.no_grad()
    def through(self, batches: Iterable[Tensor], layers: Iterable[Layer]) -> dict[Layer, Tensor]:
        """Encode batches of images in [0, 1] with batch norm's running statistics: float32 (N, d)."""
        self.model.eval()
        layers = tuple(layers)
        parts: dict[Layer, list[Tensor]] = {layer: [] for layer in layers}
        for images in batches:
            for layer, values in self._layers(images, layers[-1]).items():
                if layer in parts:
                    parts[layer].append(values.float())
        return {layer: torch.cat(values) for layer, values in parts.items()}

    def _layers(self, images: Tensor, last: Layer) -> dict[Layer, Tensor]:
        images = images.to(model_dtype(self.config.precision)).contiguous(memory_format=torch.channels_last)
        with autocast(self.config.precision, images.device):
            return layers_to(self.model, images, last)

    def top1(self, metric: str, logits: Tensor) -> float:
        """Top-1 in percent on the test images from logits (M, classes); notes which images are right for the record."""
        labels = self.data.test.labels
        self.correct[metric] = logits.topk(1, dim=1).indices[:, 0] == labels
        return top_k(logits, labels, 1)

    def go_on(self) -> None:
        """Raise Interrupted if the context of any rank stops; all ranks must call this together."""
        if self.context.world.agree(self.context.stopping(), self.context.device):
            raise Interrupted

    def stopping(self) -> bool:
        """Whether to stop inside work that ranks do separately: never with several ranks, which must stop together."""
        return self.context.world.size == 1 and self.context.stopping()


def layers_to(model: Model, images: Tensor, last: Layer) -> dict[Layer, Tensor]:
    """Compute the layers of a model up to `last`."""
    found: dict[Layer, Tensor] = {"h": model.encoder(images)}
    if last != "h" and isinstance(model.head, ProjectionHead):
        found["hidden"] = model.head.hidden(found["h"])
        if last == "z":
            found["z"] = model.head.last(found["hidden"])
    return found


class LayerEncoder(nn.Module):
    """A model up to one layer, as the input of a linear classifier."""

    def __init__(self, model: Model, layer: Layer) -> None:
        super().__init__()
        self.model, self._layer = model, layer

    def forward(self, images: Tensor) -> Tensor:
        """Compute the layer's output (B, d)."""
        return layers_to(self.model, images, self._layer)[self._layer]
