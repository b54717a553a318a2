"""The keys of a profile file."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from ablate.study.schema.resources import Resources
from ablate.study.toml.positions import Source
from ablate.study.toml.table import Table


class Assumed(Table):
    """Size of a profile's data set, used to plan on machines that do not have it."""

    train_images: Annotated[int, Field(ge=1)] = Field(examples=[1_281_167])
    test_images: Annotated[int, Field(ge=1)] = Field(examples=[50_000])


class Profile(Table):
    """A scale at which any study can run."""

    title: str
    description: str
    base: dict[str, Any]
    """Trainer settings at this profile; a study's settings override them."""
    resources: Resources = Resources()
    assumed: Assumed | None = None
    """Size of the data set, used by `ablate plan --assume` if the data are not available."""


@dataclass(frozen=True)
class LoadedProfile:
    """A profile with its name and the file it came from."""

    name: str
    profile: Profile
    source: Source
