"""The settings of the images to train and test on. Imports no torch."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ablate.simclr.base import Expanded, Positive, Settings


class Data(Settings):
    """The images to train and test on."""

    name: Literal["textures", "folder", "packed"] = "textures"
    """`textures`: generated from a seed; `folder`: images in `root`/train/<class>/ and `root`/test/<class>/, in
    `root`/<class>/, or without classes, or a CSV list of images; `packed`: a pack (`ablate data pack`)."""
    root: Expanded | None = Field(None, json_schema_extra={"identity": False})
    """Path of the folder, list or pack. A trial's key depends on its `fingerprint` instead."""
    fingerprint: str | None = None
    """SHA-256 of the folder's file names and their content, or of the pack's index; filled in during planning."""
    split: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of every class that is drawn for testing, from a folder or list without test images."""
    background: Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")] = "#ffffff"
    """Color under the transparent pixels of a folder's images."""
    white_level: Positive | None = None
    """Value of white in a folder's gray images deeper than 8 bits, where the file does not state it (trainer.md)."""
    skip_corrupt: bool = False
    """Leave out a folder's images that cannot be read; otherwise they are an error."""
    image_size: Annotated[int, Field(ge=8, le=512)] = 32
    """Side in pixels of the encoder's input."""
    center_crop: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of an image's shorter side kept without augmentation; if unset, 0.875 above 32 px (App. B.6), else 1."""
    train_images: Annotated[int, Field(ge=10)] | None = None
    """Maximum number of training images, balanced over the classes; all if unset."""
    test_images: Annotated[int, Field(ge=10)] | None = None
    """Maximum number of test images, balanced over the classes; all if unset."""

    validation: Annotated[float, Field(gt=0, lt=1)] | None = Field(None, json_schema_extra={"identity": "if set"})
    """Share of every class of the training images that takes the place of the test images, which are not read; the rest
    is trained on. For choosing settings (`[tune]`)."""

    @property
    def kept_share(self) -> float:
        """Share of the shorter side kept without augmentation."""
        return self.center_crop or (0.875 if self.image_size > 32 else 1.0)

    @property
    def images(self) -> str:
        """What the images are, shown wherever their results are."""
        return {"textures": "synthetic textures", "folder": "images of a folder", "packed": "packed images"}[self.name]

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if self.name == "textures" and not (self.train_images and self.test_images):
            raise ValueError("data.name = 'textures' needs data.train_images and data.test_images")
        return self
