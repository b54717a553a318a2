"""The base class of all settings, and the types of their values."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _expanded(path: Path) -> Path:
    from ablate.errors import as_path

    return as_path(path)


Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Expanded = Annotated[Path, AfterValidator(_expanded)]


class Settings(BaseModel):
    """Base of all settings: unknown keys are errors, values never change, docstrings describe fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)
