"""Every setting of the SimCLR trainer, with its range and its source. Imports no torch.

A default is the paper's where the paper states one; recipe sections are those of Chen et al. 2020 (v3).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ablate.simclr.config.augment import (
    Augment,
    AutoAugment,
    Blur,
    Color,
    Crop,
    Cutout,
    Equalize,
    MotionBlur,
    Noise,
    Rotate,
    Sobel,
    Solarize,
    Transform,
)
from ablate.simclr.config.base import NotNegative, Settings
from ablate.simclr.config.data import Data
from ablate.simclr.config.evaluate import Evaluate, Finetune, Part, Transfer, Transformation
from ablate.simclr.config.learning import Loss, Optimizer
from ablate.simclr.config.network import Encoder, Head

__all__ = [
    "RECIPE_VERSION",
    "Augment",
    "AutoAugment",
    "Blur",
    "Color",
    "Config",
    "Crop",
    "Cutout",
    "Data",
    "Encoder",
    "Equalize",
    "Evaluate",
    "Finetune",
    "Head",
    "Loss",
    "MotionBlur",
    "Noise",
    "Optimizer",
    "Part",
    "Rotate",
    "Sobel",
    "Solarize",
    "Transfer",
    "Transform",
    "Transformation",
]

RECIPE_VERSION = 2
"""Part of every trial's identity; raised when the trainer's arithmetic changes."""


class Config(Settings):
    """One SimCLR trial: a pretraining and its evaluation."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Initial weights, order of the images, augmentations, and the classifier's batches."""
    method: Literal["simclr", "supervised"] = "simclr"
    """Contrastive pretraining; or the baseline with labels: one view an image, cross entropy on a linear layer."""
    batch_size: Annotated[int, Field(ge=2)] = 4096
    """N: images per step over all ranks; each gives two views."""
    micro_batch: Annotated[int, Field(ge=2)] | None = None
    """Encode so many images at once on each rank (gradient caching): the loss and its gradient are those of the
    whole batch, batch norm's statistics those of each part."""
    epochs: Annotated[int, Field(ge=0)] = 100
    """0 leaves the encoder untrained, its batch norm statistics set on the training images."""
    warmup_epochs: NotNegative = 10.0
    """The learning rate rises linearly from 0, then falls to 0 along a cosine."""
    precision: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    """Of the encoder and head. `auto`: bfloat16 where the processor computes in it, float32 elsewhere. `float64` is
    for checks, and slow."""
    online_probe: bool = True
    """Train a linear classifier beside the pretraining, on h without gradient into the encoder (App. B.9)."""
    checkpoint_minutes: NotNegative = Field(5.0, json_schema_extra={"identity": False})
    """Save the state of the pretraining so often, and when it is stopped; 0 saves at every step."""
    data: Data = Data(train_images=5000, test_images=2000)
    augment: Augment = Augment()
    encoder: Encoder = Encoder()
    head: Head = Head()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    evaluate: Evaluate = Evaluate()

    @model_validator(mode="after")
    def _batch_fits(self) -> Self:
        if self.data.train_images and self.batch_size > self.data.train_images:
            raise ValueError(
                f"batch_size = {self.batch_size} is more than data.train_images = {self.data.train_images}"
            )
        return self

    @model_validator(mode="after")
    def _warm_up_ends(self) -> Self:
        if self.epochs and self.warmup_epochs > self.epochs:
            raise ValueError(f"warmup_epochs = {self.warmup_epochs:g} is more than epochs = {self.epochs}")
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        parts = self.evaluate.parts
        if "classifier" in parts and self.method != "supervised":
            raise ValueError("evaluate.parts has 'classifier', which needs method = 'supervised'")
        if self.method == "supervised" and (
            odd := {"contrastive", "spectrum", "geometry", "transformation"} & set(parts)
        ):
            raise ValueError(f"evaluate.parts has '{min(odd)}', which needs method = 'simclr'")
        if "spectrum" in parts and self.head.name != "linear":
            raise ValueError("evaluate.parts has 'spectrum', which needs head.name = 'linear' (App. B.4)")
        if self.method == "supervised" and self.evaluate.layer != "h":
            raise ValueError(f"evaluate.layer = '{self.evaluate.layer}' needs method = 'simclr'")
        if self.evaluate.layer == "hidden" and self.head.name != "nonlinear":
            raise ValueError("evaluate.layer = 'hidden' needs head.name = 'nonlinear'")
        return self
