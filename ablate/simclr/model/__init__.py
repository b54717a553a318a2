"""The model: the encoder f, the projection head g or a classifier, and the online probe."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ablate.simclr.base.device import autocast, model_dtype
from ablate.simclr.config import Config
from ablate.simclr.config.network import Head
from ablate.simclr.model.encoder import Encoder, make_encoder
from ablate.simclr.model.launches import channels_last, in_few_kernels

Network = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Images -> h and z, in the format of autocast."""


class ProjectionHead(nn.Module):
    """The projection head g: h -> z (section 4.2), with the batch norms of the authors' first release.

    Dense layers without bias, ReLU between; (B, inputs) -> (B, `dimension`). Batch norm, where it is on, follows every
    dense layer, and the last one has no shift (beta).
    """

    def __init__(self, settings: Head, inputs: int) -> None:
        super().__init__()
        hidden = {"none": 0, "linear": 0, "nonlinear": settings.hidden_layers}[settings.name]
        self.dimension = inputs if settings.name == "none" else settings.output_dimension
        self.hidden = nn.Sequential()
        for _ in range(hidden):
            self.hidden.extend([*_dense(inputs, inputs, settings.batch_norm, shift=True), nn.ReLU(inplace=True)])
        last = [] if settings.name == "none" else _dense(inputs, self.dimension, settings.batch_norm, shift=False)
        self.last = nn.Sequential(*last)

    def forward(self, h: Tensor) -> Tensor:
        """Compute z."""
        z: Tensor = self.last(self.hidden(h))
        return z


def _dense(inputs: int, outputs: int, batch_norm: bool, shift: bool) -> list[nn.Module]:
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(linear.weight, std=0.01)
    if not batch_norm:
        return [linear]
    norm = nn.BatchNorm1d(outputs)
    norm.bias.requires_grad_(shift)  # without gradient it stays at zero
    return [linear, norm]


class Outputs(NamedTuple):
    """What the model computes for a batch of B images, in float32 (float64 where the model is)."""

    h: Tensor
    """Representations (B, d)."""
    z: Tensor
    """The input of the loss (B, output_dimension); for the supervised baseline the logits (B, classes)."""


class Model(nn.Module):
    """f and g with initial weights from the config's seed, and a linear probe of `classes` classes on h."""

    encoder: Encoder

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        self._precision = config.precision
        self.network: Network | None = None  # `project` as compiled code
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.encoder = make_encoder(config.encoder)
            self.head: nn.Module = (
                ProjectionHead(config.head, self.encoder.dimension)
                if config.method == "simclr"
                else _classifier(self.encoder.dimension, classes)
            )
            self.probe = zero_linear(self.encoder.dimension, classes)

    def forward(self, images: Tensor) -> Outputs:
        """Encode and project images (B, 3, H, W) in [0, 1]; the input is not normalised, as in the paper."""
        few = nullcontext() if self.network else in_few_kernels(self.parts(), images.device)
        with autocast(self._precision, images.device), few:
            h, z = (self.network or self.project)(channels_last(images))
        dtype = torch.promote_types(h.dtype, torch.float32)
        return Outputs(h.to(dtype), z.to(dtype))

    def project(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute h and z of images in the layout of the weights, in the format that encoder and head end with."""
        h = self.encoder(images)
        return h, self.head(h)

    def parts(self) -> tuple[nn.Module, nn.Module]:
        """Return what the pretraining's loss trains: all but the probe."""
        return self.encoder, self.head


def _classifier(inputs: int, classes: int) -> nn.Linear:
    """Make the supervised baseline's classifier, which starts from N(0, 0.01), as in the authors' code."""
    layer = zero_linear(inputs, classes)
    nn.init.normal_(layer.weight, std=0.01)
    return layer


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """Make a linear layer that starts at zero."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def make_model(config: Config, classes: int, device: torch.device) -> Model:
    """Make the model on its device, in its number format."""
    model = Model(config, classes).to(device, model_dtype(config.precision))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model
