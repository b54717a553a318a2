"""Settings of the evaluations; each works on the frozen end of a pretraining."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ablate.simclr.config.augment import Crop
from ablate.simclr.config.base import Count, NotNegative, Positive, Probability, Settings

Part = Literal[
    "linear",
    "cached_linear",
    "knn",
    "classifier",
    "finetune",
    "transfer",
    "transformation",
    "contrastive",
    "spectrum",
    "geometry",
]
Target = Literal["color", "rotation", "noise", "sobel"]


class Linear(Settings):
    """A linear classifier on frozen representations of cropped and flipped images (App. B.6).

    SGD with Nesterov momentum 0.9, no warm-up, cosine decay, no regularisation, from zero.
    """

    epochs: Count = 90
    batch_size: Count = 4096
    learning_rate: Positive = 0.1
    """Times batch_size / 256."""


class CachedLinear(Settings):
    """A linear classifier on representations computed once, without augmentation, found by L-BFGS."""

    l2: Positive = 1e-5
    """Half of this times the squared weights is added to the mean cross entropy."""
    max_iterations: Count = 300


class KNN(Settings):
    """Weighted nearest neighbours (Wu et al. 2018)."""

    neighbours: Count = 200
    temperature: Positive = 0.07


class Finetune(Settings):
    """Training encoder and classifier on a share of the labels (App. B.5).

    SGD with Nesterov momentum 0.9, no warm-up, cosine decay, no regularisation; images cropped and flipped.
    """

    label_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Of every class the same share."""
    subset: Path | None = Field(None, json_schema_extra={"identity": False})
    """A file with one image name a line, instead of a share drawn from `subset_seed`; for packs."""
    subset_fingerprint: str | None = None
    """SHA-256 of that file; filled in when a study is planned."""
    subset_seed: Annotated[int, Field(ge=0)] = 0
    epochs: Count = 30
    """The paper's: 60 at 1 % of the labels, 30 at 10 %."""
    batch_size: Count = 4096
    learning_rate: Positive = 0.05
    """Times batch_size / 256."""
    weight_decay: NotNegative = 0.0


class Transfer(Settings):
    """Another data set, a pack (App. B.8): logistic regression on frozen h, or fine-tuning."""

    root: Path | None = Field(None, json_schema_extra={"identity": False})
    """Where its pack lies: `ablate data get NAME`. Unset with textures: textures of other classes."""
    fingerprint: str | None = None
    """Of the pack; filled in when a study is planned."""
    mode: Literal["linear", "finetune", "random_init"] = "linear"
    """`random_init` trains the same network from new weights, to compare with."""
    steps: Count = 20_000
    """Of fine-tuning; the paper takes 40,000 from random weights."""
    batch_size: Count = 256
    learning_rate: Positive = 0.01
    """Of fine-tuning; the paper chooses among 7 between 1e-4 and 0.1 on validation data."""
    weight_decay: NotNegative = 0.0
    """Of fine-tuning, divided by the learning rate as in the paper."""


class Transformation(Settings):
    """Which transformation was applied, told from h and from g(h) by a small network (Table 3).

    The paper publishes neither the network nor its training.
    """

    target: Target = "rotation"
    """Color or gray; 0, 90, 180 or 270 degrees; original or noisy; original or Sobel."""
    epochs: Count = 30
    batch_size: Count = 256
    learning_rate: Positive = 1e-3
    noise_sigma: Probability = 0.2


class Evaluate(Settings):
    """What is measured on a pretrained encoder."""

    parts: tuple[Part, ...] = ("linear",)
    """One after another; the first that has a top-1 gives the trial's."""
    layer: Literal["h", "hidden", "z"] = "h"
    """What linear, cached_linear and knn read: the encoder's output, the head's hidden layer, or the head's output."""
    crop: Crop = Crop()
    """How linear, finetune and transfer crop and flip, whatever the pretraining does."""
    linear: Linear = Linear()
    cached_linear: CachedLinear = CachedLinear()
    knn: KNN = KNN()
    finetune: Finetune = Finetune()
    transfer: Transfer = Transfer()
    transformation: Transformation = Transformation()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.parts)) < len(self.parts):
            raise ValueError(f"parts = {list(self.parts)} names a part twice")
        return self
