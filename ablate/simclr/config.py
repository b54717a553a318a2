"""Every setting of the SimCLR trainer, with its range and its source. Imports no torch.

A default is the paper's where the paper states one; recipe sections are those of Chen et al. 2020 (v3).
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

RECIPE_VERSION = 1
"""Part of every trial's identity; raised when the trainer's arithmetic changes."""

Transform = Literal["crop", "cutout", "color", "sobel", "noise", "blur", "rotate"]
Probability = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Base of all settings: unknown keys are errors, values never change, docstrings describe fields."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True, validate_default=True
    )


class Data(Settings):
    """Which images are trained on."""

    name: Literal["textures", "folder"] = "textures"
    """`textures` is drawn from a seed; `folder` reads train/<class>/* and test/<class>/* below `root`."""
    root: Path | None = Field(None, json_schema_extra={"identity": False})
    """The image folder; not part of a trial's identity, its `fingerprint` is."""
    fingerprint: str | None = None
    """SHA-256 of the folder's file names and sizes; filled in when a study is planned."""
    image_size: Annotated[int, Field(ge=8, le=512)] = 32
    """Side in pixels to which images are brought before they are kept in memory."""
    train_images: Annotated[int, Field(ge=10)] | None = None
    """At most so many training images, balanced over the classes; all of a folder when unset."""
    test_images: Annotated[int, Field(ge=10)] | None = None
    """At most so many test images, balanced over the classes; all of a folder when unset."""

    @property
    def images(self) -> str:
        """What the images are, for every place that shows their numbers."""
        return "synthetic textures" if self.name == "textures" else "images of a folder"

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if self.name == "textures" and not (self.train_images and self.test_images):
            raise ValueError("data.name = 'textures' needs data.train_images and data.test_images")
        return self


class Crop(Settings):
    """Random resized crop with flip (App. A)."""

    area_min: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest share of the image's area; the largest is 1."""
    aspect_max: Annotated[float, Field(ge=1, le=4)] = 4 / 3
    """Aspect ratios lie between 1 / aspect_max and aspect_max."""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    """Resampling filter, Pillow's (antialiased)."""
    flip_probability: Probability = 0.5
    """Left-right flip."""


class Color(Settings):
    """Color distortion: jitter, then dropping the color (App. A)."""

    strength: Annotated[float, Field(ge=0, le=2)] = 1.0
    """s of the paper: brightness, contrast and saturation vary by 0.8 s, hue by 0.2 s."""
    brightness: Literal["additive", "multiplicative"] = "additive"
    """The authors' first release adds a brightness; later ones, and torchvision, multiply by one."""
    jitter_probability: Probability = 0.8
    gray_probability: Probability = 0.2


class Blur(Settings):
    """Gaussian blur with a kernel of a tenth of the image's side (App. A)."""

    probability: Probability = 0.5
    sigma_min: Annotated[float, Field(gt=0)] = 0.1
    sigma_max: Annotated[float, Field(gt=0)] = 2.0


class Cutout(Settings):
    """One square is covered (DeVries and Taylor 2017); the paper publishes no parameters."""

    probability: Probability = 1.0
    side: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Side of the square as a share of the image's side."""
    fill: Probability = 0.5
    """Value of the covered pixels; mid-grey stands for the mean that DeVries and Taylor use."""


class Sobel(Settings):
    """Sobel gradient magnitude per channel, the image stretched to [0, 1]; the paper publishes no parameters.

    The channels are stretched together, so that an edge keeps its color.
    """

    probability: Probability = 1.0


class Noise(Settings):
    """Gaussian noise per pixel and channel; the paper publishes no parameters."""

    probability: Probability = 1.0
    sigma_max: Annotated[float, Field(ge=0, le=1)] = 0.2
    """The standard deviation of each image's noise is uniform between 0 and this."""


class Rotate(Settings):
    """Rotation by 0, 90, 180 or 270 degrees, each as likely (Fig. 4, Table 3)."""

    probability: Probability = 1.0


def _each_once(transforms: tuple[Transform, ...]) -> tuple[Transform, ...]:
    """A transformation named twice is applied once, as on the diagonal of Fig. 5."""
    return tuple(dict.fromkeys(transforms))


class Augment(Settings):
    """How two views of an image are made (section 3, App. A)."""

    transforms: Annotated[tuple[Transform, ...], AfterValidator(_each_once)] = ("crop", "color", "blur")
    """Applied in this order; a name that comes twice is applied once."""
    views: Literal["both", "one"] = "both"
    """Transform both views, or one only as in Fig. 5 (the other stays as it is)."""
    base_crop: bool = False
    """Crop and resize every image first, without flip, before two views are made of it, as in section 3.1."""
    crop: Crop = Crop()
    color: Color = Color()
    blur: Blur = Blur()
    cutout: Cutout = Cutout()
    sobel: Sobel = Sobel()
    noise: Noise = Noise()
    rotate: Rotate = Rotate()


class Encoder(Settings):
    """The network f whose output h is evaluated (section 2.1)."""

    name: Literal["resnet8", "resnet18", "resnet34", "resnet50"] = "resnet50"
    """`resnet8` has three stages of one basic block, 16, 32 and 64 channels (He et al. 2016, 4.2, n = 1)."""
    width_multiplier: Literal[1, 2, 4] = 1
    """All channel counts times this."""
    stem: Literal["imagenet", "cifar", "strided"] = "imagenet"
    """7x7 of stride 2 and max-pool; 3x3 of stride 1 without pool (App. B.9); 3x3 of stride 2 without."""


class Head(Settings):
    """The projection head g that maps h to z (section 4.2)."""

    name: Literal["none", "linear", "nonlinear"] = "nonlinear"
    """z = h; one dense layer; or two with ReLU between, the hidden one as wide as h."""
    output_dimension: Annotated[int, Field(ge=2, le=8192)] = 128
    """Length of z; unused by `none`."""


class Loss(Settings):
    """NT-Xent, Eq. 1."""

    temperature: Annotated[float, Field(gt=0, le=100)] = 0.1
    """tau of Eq. 1."""


class Optimizer(Settings):
    """LARS as in the authors' first release (eta 0.001, momentum 0.9), or AdamW for small batches."""

    name: Literal["lars", "adamw"] = "lars"
    learning_rate: Annotated[float, Field(gt=0)] = 0.3
    """Before scaling."""
    scaling: Literal["none", "linear", "sqrt"] = "linear"
    """The peak rate is learning_rate times 1, batch_size / 256, or the root of batch_size (App. B.1)."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-6


class LinearEvaluation(Settings):
    """A linear classifier on frozen features h of unaugmented images (App. B.6).

    Trained by SGD with Nesterov momentum 0.9, no warm-up, cosine decay, no regularisation, from zero.
    """

    epochs: Annotated[int, Field(ge=1)] = 90
    batch_size: Annotated[int, Field(ge=1)] = 256
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    """Times batch_size / 256."""


class Config(Settings):
    """One SimCLR trial: a pretraining and its evaluation."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Initial weights, order of the images, augmentations, and the classifier's batches."""
    batch_size: Annotated[int, Field(ge=2)] = 4096
    """N: images per step; each gives two views."""
    epochs: Annotated[int, Field(ge=0)] = 100
    """0 leaves the encoder untrained, its batch norm statistics set on the training images."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 10.0
    """The learning rate rises linearly from 0, then falls to 0 along a cosine."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the encoder and head. `auto`: bfloat16 where the processor computes in it, float32 elsewhere."""
    data: Data = Data(train_images=5000, test_images=2000)
    augment: Augment = Augment()
    encoder: Encoder = Encoder()
    head: Head = Head()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    evaluate: LinearEvaluation = LinearEvaluation()

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
