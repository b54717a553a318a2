"""Settings of the augmentations, in the order in which the paper names them.

A default is the paper's where the paper states one. The parameters of cutout, Sobel, noise, rotation, equalize,
solarize and motion blur were never published; theirs are choices of ours.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ablate.simclr.config.base import Positive, Probability, Settings

Transform = Literal[
    "crop",
    "cutout",
    "color",
    "sobel",
    "noise",
    "blur",
    "rotate",
    "auto_augment",
    "equalize",
    "solarize",
    "motion_blur",
]


class Crop(Settings):
    """Random resized crop with flip (App. A)."""

    sampler: Literal["tensorflow", "torchvision"] = "tensorflow"
    """How a box is drawn: height and aspect ratio uniform, at least a tenth of the image, 100 attempts (the
    authors' sample_distorted_bounding_box); or area and logarithm of the aspect uniform, 10 attempts."""
    area_min: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest share of the image's area; the largest is 1."""
    aspect_max: Annotated[float, Field(ge=1, le=4)] = 4 / 3
    """Aspect ratios lie between 1 / aspect_max and aspect_max."""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    """Resampling filter."""
    antialias: bool = False
    """Widen the filter where the box shrinks, as Pillow does; the authors' resize does not."""
    flip_probability: Probability = 0.5
    """Left-right flip."""


class Color(Settings):
    """Color distortion: jitter, then dropping the color (App. A)."""

    strength: Annotated[float, Field(ge=0, le=2)] = 1.0
    """s of the paper: brightness, contrast and saturation vary by 0.8 s, hue by 0.2 s."""
    brightness: Literal["additive", "multiplicative"] = "additive"
    """The authors' first release adds a brightness; later ones, and torchvision, multiply by one."""
    operations: Literal["tensorflow", "torchvision"] = "tensorflow"
    """Contrast about each channel's mean and saturation in HSV; or both as blends with the gray image."""
    jitter_probability: Probability = 0.8
    gray_probability: Probability = 0.2


class Blur(Settings):
    """Gaussian blur with a kernel of a tenth of the image's side (App. A)."""

    probability: Probability = 0.5
    sigma_min: Positive = 0.1
    sigma_max: Positive = 2.0
    sigma_of: Literal["batch", "image"] = "batch"
    """One sigma a view for the whole batch (the authors' code: for each device's part of it), or one an image."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.sigma_min > self.sigma_max:
            raise ValueError(f"sigma_min = {self.sigma_min:g} is more than sigma_max = {self.sigma_max:g}")
        return self


class Cutout(Settings):
    """One square is covered (DeVries and Taylor 2017)."""

    probability: Probability = 1.0
    side: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Side of the square as a share of the image's side."""
    fill: Probability = 0.5
    """Value of the covered pixels; mid-grey stands for the mean that DeVries and Taylor use."""


class Sobel(Settings):
    """Sobel gradient magnitude per channel, the image stretched to [0, 1].

    The channels are stretched together, so that an edge keeps its color.
    """

    probability: Probability = 1.0


class Noise(Settings):
    """Gaussian noise per pixel and channel."""

    probability: Probability = 1.0
    sigma_max: Annotated[float, Field(ge=0, le=1)] = 0.2
    """The standard deviation of each image's noise is uniform between 0 and this."""


class Rotate(Settings):
    """Rotation by 0, 90, 180 or 270 degrees, each as likely (Fig. 4, Table 3)."""

    probability: Probability = 1.0


class AutoAugment(Settings):
    """The ImageNet policy of Cubuk et al. 2019 (Table 1, App. B.2)."""

    probability: Probability = 1.0


class Equalize(Settings):
    """Histogram equalization of each channel (App. B.2)."""

    probability: Probability = 0.2


class Solarize(Settings):
    """Values from a threshold on are inverted (App. B.2)."""

    probability: Probability = 0.2
    threshold_min: Probability = 0.0
    """The threshold of each image is uniform between this and 1."""


class MotionBlur(Settings):
    """Mean along a line of random length and direction (App. B.2)."""

    probability: Probability = 0.5
    length_max: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The length is uniform between one pixel and this share of the image's side."""


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
    auto_augment: AutoAugment = AutoAugment()
    equalize: Equalize = Equalize()
    solarize: Solarize = Solarize()
    motion_blur: MotionBlur = MotionBlur()
