"""Every setting of the SimCLR trainer, with its range and its source. Imports no torch.

Defaults are the paper's, if it states one; sections are those of Chen et al. 2020 (v3).
"""

import json
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ablate.simclr.augment import Augment
from ablate.simclr.augment.crop import Crop
from ablate.simclr.base import Count, Expanded, NotNegative, Positive, Probability, Settings
from ablate.simclr.config.data import Data as Data
from ablate.simclr.config.network import Encoder, Head
from ablate.simclr.loss import Loss

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
    "histograms",
]
Target = Literal["color", "rotation", "noise", "sobel"]

RECIPE_VERSION = 4
"""Part of every trial's key; raise it when the trainer's arithmetic changes."""


class Optimizer(Settings):
    """LARS as in the authors' first release; SGD; or AdamW for small batches."""

    name: Literal["lars", "sgd", "adamw"] = "lars"
    """`sgd` uses Nesterov momentum."""
    learning_rate: Positive = 0.3
    """The rate before scaling."""
    scaling: Literal["none", "linear", "sqrt"] = "linear"
    """The peak rate is learning_rate times 1, batch_size / 256, or the square root of batch_size (App. B.1)."""
    momentum: Probability = 0.9
    """For LARS and SGD; AdamW uses 0.9 and 0.999."""
    weight_decay: NotNegative = 1e-6
    """Never applied to biases and batch norm's parameters."""


class Linear(Settings):
    """A linear classifier on frozen representations of cropped and flipped images (App. B.6).

    SGD with Nesterov momentum 0.9, no warm-up, cosine decay, no regularisation, starting from zero.
    """

    optimizer: Literal["sgd", "lars"] = Field("sgd", json_schema_extra={"identity": "if set"})
    """`lars` uses the momentum (0.9) and the weight decay (1e-6) of the paper's pretraining."""
    epochs: Count = 90
    batch_size: Count = 4096
    learning_rate: Positive = 0.1
    """Times batch_size / 256."""


class CachedLinear(Settings):
    """A linear classifier, fitted by L-BFGS to representations computed once, without augmentation."""

    l2: Positive = 1e-5
    """l2 / 2 times the sum of the squared weights is added to the mean cross-entropy."""
    max_iterations: Count = 300


class KNN(Settings):
    """Weighted nearest neighbours (Wu et al. 2018)."""

    neighbours: Count = 200
    temperature: Annotated[float, Field(ge=1e-4)] = 0.07


class Finetune(Settings):
    """Training encoder and classifier on a share of the labels (App. B.5).

    SGD with Nesterov momentum 0.9, no warm-up, cosine decay, no regularisation; images cropped and flipped.
    """

    label_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The same share of every class."""
    subset: Expanded | None = Field(None, json_schema_extra={"identity": False})
    """A file with one image name per line, instead of a share drawn from `subset_seed`; for packs only."""
    subset_fingerprint: str | None = None
    """SHA-256 of that file; filled in during planning."""
    subset_seed: Annotated[int, Field(ge=0)] = 0
    epochs: Count = 30
    """The paper uses 60 for 1 % of the labels and 30 for 10 %."""
    batch_size: Count = 4096
    learning_rate: Positive = 0.05
    """Times batch_size / 256."""
    weight_decay: NotNegative = 0.0


class Transfer(Settings):
    """Transfer to another data set, a pack (App. B.8): logistic regression on frozen h, or fine-tuning."""

    root: Expanded | None = Field(None, json_schema_extra={"identity": False})
    """Folder of the pack, made by `ablate data get NAME`. If unset with textures: textures of other classes."""
    fingerprint: str | None = None
    """The pack's fingerprint; filled in during planning."""
    mode: Literal["linear", "finetune", "random_init"] = "linear"
    """`random_init` trains the same network from random weights, for comparison."""
    steps: Count = 20_000
    """Steps of fine-tuning; the paper uses 40,000 from random weights."""
    batch_size: Count = 256
    learning_rate: Positive = 0.01
    """For fine-tuning; the paper chooses from 7 values between 1e-4 and 0.1 on validation data."""
    weight_decay: NotNegative = 0.0
    """For fine-tuning; divided by the learning rate, as in the paper."""


class Transformation(Settings):
    """Predicting the applied transformation from h and from g(h) with a small network (Table 3).

    The paper publishes neither the network nor its training.
    """

    target: Target = "rotation"
    """`color`: color or gray; `rotation`: 0, 90, 180 or 270 degrees; `noise`, `sobel`: with it or without."""
    epochs: Count = 30
    batch_size: Count = 256
    learning_rate: Positive = 1e-3
    noise_sigma: Probability = 0.2


class Evaluate(Settings):
    """What is measured on a pretrained encoder."""

    parts: tuple[Part, ...] = ("linear",)
    """The evaluations to run, in this order; the first one with a top-1 accuracy gives the trial's."""
    layer: Literal["h", "hidden", "z"] = "h"
    """Input of linear, cached_linear and knn: the encoder's output, the head's hidden layer, or the head's output."""
    crop: Crop = Crop()
    """How linear, finetune and transfer crop and flip, independently of the pretraining."""
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


class Config(Settings):
    """One SimCLR trial: a pretraining and its evaluation."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Determines initial weights, order of the images, augmentations, dropout and the classifier's batches."""
    method: Literal["simclr", "supervised"] = "simclr"
    """Contrastive pretraining, or the supervised baseline: one view per image, cross-entropy on a linear layer."""
    batch_size: Annotated[int, Field(ge=2)] = 4096
    """N: images per step over all ranks, with two views each."""
    micro_batch: Annotated[int, Field(ge=2)] | None = None
    """Images that each rank encodes at once (gradient caching): the loss and its gradient are those of the whole
    batch, batch norm's statistics those of each part."""
    epochs: Annotated[int, Field(ge=0)] = 100
    """0 leaves the encoder untrained; only its batch norm's statistics are computed, on the training images."""
    fixed_batches: bool = Field(False, json_schema_extra={"identity": "if set"})
    """Every epoch repeats the batches of the first, with new views, instead of drawing new ones (section 5.2). Images
    that do not fill a batch are left out."""
    warmup_epochs: NotNegative = 10.0
    """The learning rate rises linearly from 0 for these epochs, then falls to 0 along a cosine."""
    precision: Literal["auto", "float32", "tf32", "bfloat16", "float64"] = "auto"
    """Number format of encoder and head. `auto`: bfloat16 if the processor has instructions for it, else
    float32. `tf32`: float32 with TF32 in a GPU's convolutions. `float64` is slow, and meant for checks."""
    deterministic: bool = Field(False, json_schema_extra={"identity": False})
    """On a GPU, use only algorithms that sum in a fixed order, so that interrupted training ends with the same bits;
    slower. Training on a CPU always does."""
    compile: bool = Field(False, json_schema_extra={"identity": "if set"})
    """Compile encoder and head for the pretraining (torch.compile), which rounds otherwise and takes a minute or
    minutes: for long trainings on one GPU. Needs a C++ compiler, on a GPU also Triton; otherwise it has no effect."""
    cuda_graph: bool = Field(False, json_schema_extra={"identity": False})
    """Launch all kernels of a step by one call, which saves time where a network is small: on one GPU, except for
    networks of torchvision. The first recorded step is checked against a plain one; results agree up to rounding."""
    fuse_trials: Annotated[int, Field(ge=1)] = Field(1, json_schema_extra={"identity": False})
    """Pretrain at most this many trials as one network, on one GPU that each is too small to fill, if their models are
    of one architecture and a measurement says that it is faster. Results agree up to rounding."""
    online_probe: bool = True
    """Train a linear classifier on h during pretraining, passing no gradient to the encoder (App. B.9)."""
    checkpoint_minutes: NotNegative = Field(5.0, json_schema_extra={"identity": False})
    """Minutes between checkpoints of the pretraining, which is also saved when stopped; 0 saves at every step."""
    data: Data = Data(train_images=5000, test_images=2000)
    augment: Augment = Augment()
    encoder: Encoder = Encoder()
    head: Head = Head()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    evaluate: Evaluate = Evaluate()

    @model_validator(mode="after")
    def _batch_fits(self) -> Self:
        train = self.data.train_images
        if train and self.batch_size > train:
            raise ValueError(f"batch_size = {self.batch_size} is more than data.train_images = {train}")
        held = self.data.validation
        if train and held and self.batch_size > train * (1 - held):
            left = f"the {train * (1 - held):.0f} training images that data.validation = {held:g} leaves"
            raise ValueError(f"batch_size = {self.batch_size} is more than {left}")
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
            odd := {"contrastive", "spectrum", "geometry", "transformation", "histograms"} & set(parts)
        ):
            raise ValueError(f"evaluate.parts has '{min(odd)}', which needs method = 'simclr'")
        if "spectrum" in parts and self.head.name != "linear":
            raise ValueError("evaluate.parts has 'spectrum', which needs head.name = 'linear' (App. B.4)")
        if self.method == "supervised" and self.evaluate.layer != "h":
            raise ValueError(f"evaluate.layer = '{self.evaluate.layer}' needs method = 'simclr'")
        if self.evaluate.layer == "hidden" and self.head.name != "nonlinear":
            raise ValueError("evaluate.layer = 'hidden' needs head.name = 'nonlinear'")
        return self


_COMMON = {"method", "batch_size", "fixed_batches", "precision", "cuda_graph", "fuse_trials"}


def fusion(config: Config) -> tuple[str, int] | None:
    """What trials pretrained as one network have in common, as text, and how many they may be; None for one alone."""
    if config.fuse_trials == 1 or config.epochs == 0 or why_not_fused(config):
        return None
    common = config.model_dump(mode="json", include={*_COMMON, "data", "encoder", "head"})
    return json.dumps(common, sort_keys=True), config.fuse_trials


def why_not_fused(config: Config) -> str | None:
    """Why a model of these settings cannot be trained with others as one network; None if it can."""
    if config.encoder.name == "torchvision":
        return "networks of torchvision train alone"
    if config.micro_batch:
        return "micro_batch is set"
    if config.deterministic:
        return "deterministic = true, and which trials are fused depends on measured times"
    return "compile = true" if config.compile else None
