"""All that is trained: the encoder f, the projection head g or a classifier, and the online probe."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ablate.simclr.config import Config
from ablate.simclr.encoder import Encoder, make_encoder
from ablate.simclr.head import ProjectionHead
from ablate.simclr.precision import autocast, model_dtype


class Outputs(NamedTuple):
    """What the model computes for a batch of B images, in float32 (float64 where the model is)."""

    h: Tensor
    """Representations (B, d)."""
    z: Tensor
    """What the loss sees (B, output_dimension); for the supervised baseline the logits (B, classes)."""


class Model(nn.Module):
    """f and g with the initial weights of the config's seed, and a linear probe of `classes` classes on h."""

    encoder: Encoder

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        self._precision = config.precision
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.encoder = make_encoder(config.encoder)
            self.head: nn.Module = (
                ProjectionHead(config.head, self.encoder.dimension)
                if config.method == "simclr"
                else zero_linear(self.encoder.dimension, classes)
            )
            self.probe = zero_linear(self.encoder.dimension, classes)

    def forward(self, images: Tensor) -> Outputs:
        """Encode and project images (B, 3, H, W) in [0, 1]; no normalisation of the input, as in the paper."""
        with autocast(self._precision, images.device):
            h = self.encoder(images.contiguous(memory_format=torch.channels_last))
            z = self.head(h)
        dtype = torch.promote_types(h.dtype, torch.float32)
        return Outputs(h.to(dtype), z.to(dtype))

    def parts(self) -> tuple[nn.Module, nn.Module]:
        """What the pretraining's own loss trains."""
        return self.encoder, self.head


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that starts at zero."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def make_model(config: Config, classes: int, device: torch.device) -> Model:
    """The model on its device, in its number format."""
    model = Model(config, classes).to(device, model_dtype(config.precision))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model
