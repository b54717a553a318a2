"""Settings of the images."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ablate.simclr.config.base import Settings


class Data(Settings):
    """Which images are trained on."""

    name: Literal["textures", "folder", "packed"] = "textures"
    """Drawn from a seed; read from train/<class>/* and test/<class>/* below `root`; or a pack (`ablate data pack`)."""
    root: Path | None = Field(None, json_schema_extra={"identity": False})
    """Where a folder or a pack lies; not part of a trial's identity, its `fingerprint` is."""
    fingerprint: str | None = None
    """SHA-256 of the folder's file names and sizes, or of the pack's index; filled in when a study is planned."""
    image_size: Annotated[int, Field(ge=8, le=512)] = 32
    """Side in pixels of the images that the encoder sees."""
    center_crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of a packed image's shorter side kept where it is not augmented; 0.875 for ImageNet (App. B.6)."""
    train_images: Annotated[int, Field(ge=10)] | None = None
    """At most so many training images, balanced over the classes; all of them when unset."""
    test_images: Annotated[int, Field(ge=10)] | None = None
    """At most so many test images, balanced over the classes; all of them when unset."""

    @property
    def images(self) -> str:
        """What the images are, for every place that shows their numbers."""
        return {"textures": "synthetic textures", "folder": "images of a folder", "packed": "packed images"}[self.name]

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if self.name == "textures" and not (self.train_images and self.test_images):
            raise ValueError("data.name = 'textures' needs data.train_images and data.test_images")
        return self
