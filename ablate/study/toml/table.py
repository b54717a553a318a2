"""The model of which every table of a file is one."""

from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError


class Table(BaseModel):
    """A table of a file: immutable, without unknown keys; text is not a number, and only true and false are truth."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: Any, info: ValidationInfo) -> Any:
        kinds = _plain_kinds(cls.model_fields[str(info.field_name)].annotation)
        wanted = kinds - {NoneType}
        if value is None or not wanted or wanted - {bool, int, float}:
            return value
        fitting = {bool} if isinstance(value, bool) else {int, float}
        if isinstance(value, str) or not wanted & fitting:  # pydantic would convert these
            kind = "bool" if bool in wanted else "float" if float in wanted else "int"
            raise PydanticKnownError(f"{kind}_type")  # type: ignore[arg-type]
        return value


def _plain_kinds(annotation: Any) -> set[Any]:
    """The types of which an annotation accepts one."""
    if get_origin(annotation) is Annotated:
        return _plain_kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return {kind for each in get_args(annotation) for kind in _plain_kinds(each)}
    return {annotation}
