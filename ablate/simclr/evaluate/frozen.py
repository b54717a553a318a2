"""The frozen end of a pretraining, and what it computes of images."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ablate.simclr.batches import plain
from ablate.simclr.config import Config
from ablate.simclr.context import Context, Interrupted
from ablate.simclr.data.images import Dataset, Split
from ablate.simclr.head import ProjectionHead
from ablate.simclr.model import Model
from ablate.simclr.precision import autocast, model_dtype

Layer = Literal["h", "hidden", "z"]


@dataclass(frozen=True)
class Frozen:
    """A pretrained model, the images it was trained on, and what was computed of them so far."""

    config: Config
    model: Model
    data: Dataset
    context: Context
    center_crop: float | None = None
    """Share of the shorter side that is seen of packed images, where it is not the config's."""
    _known: dict[tuple[str, Layer], Tensor] = field(default_factory=dict)

    def features(self, split: Literal["train", "test"], layer: Layer | None = None) -> Tensor:
        """Features (N, d) of the unaugmented images of a split, of the layer that the config evaluates unless said."""
        layer = layer or self.config.evaluate.layer
        if (split, layer) not in self._known:
            self._known[split, layer] = self.encode(getattr(self.data, split), (layer,))[layer]
        return self._known[split, layer]

    def encode(self, split: Split, layers: Iterable[Layer] = ("h",)) -> dict[Layer, Tensor]:
        """Features of any unaugmented images, each rank a share of them, all of them on every rank."""
        world, count = self.context.world, len(split.images)
        share = -(-count // world.size)
        rows = (np.arange(share) + world.rank * share) % count  # the last rank's may begin again
        found = self.through(self.plain(split, rows), layers)
        return {layer: world.gather(values)[:count] for layer, values in found.items()}

    def plain(self, split: Split, rows: NDArray[np.int64]) -> Iterator[Tensor]:
        """Unaugmented images in parts, as the encoder takes them. Raises Interrupted between two."""
        settings = self.config.data
        share = settings.center_crop if self.center_crop is None else self.center_crop
        for images in plain(split.images, settings.image_size, share, self.context.device, rows):
            self.go_on()
            yield images

    @torch.no_grad()
    def through(self, batches: Iterable[Tensor], layers: Iterable[Layer]) -> dict[Layer, Tensor]:
        """Features of batches of images in [0, 1], with batch norm's running statistics: float32 (N, d)."""
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

    def go_on(self) -> None:
        """Raise Interrupted when the context of any rank says stop; all ranks ask together."""
        if self.context.world.agree(self.context.stopping(), self.context.device):
            raise Interrupted

    def stopping(self) -> bool:
        """Whether to stop within work that each rank does for itself: never on several, which must stop together."""
        return self.context.world.size == 1 and self.context.stopping()


def layers_to(model: Model, images: Tensor, last: Layer) -> dict[Layer, Tensor]:
    """The layers of a model up to `last`, for images as the encoder takes them."""
    found: dict[Layer, Tensor] = {"h": model.encoder(images)}
    if last != "h" and isinstance(model.head, ProjectionHead):
        found["hidden"] = model.head.hidden(found["h"])
        if last == "z":
            found["z"] = model.head.last(found["hidden"])
    return found


class LayerEncoder(nn.Module):
    """A model cut off behind one layer, without gradient: what a linear classifier is trained on."""

    def __init__(self, model: Model, layer: Layer) -> None:
        super().__init__()
        self.model, self._layer = model, layer

    def forward(self, images: Tensor) -> Tensor:
        """Compute the layer's output (B, d)."""
        return layers_to(self.model, images, self._layer)[self._layer]
