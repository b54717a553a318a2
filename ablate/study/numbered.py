"""Items of lists that are set by number: {"0": a, "1": b} -> [a, b], where the setting is a list."""

import types
import typing
from collections.abc import Collection
from typing import Any

import pydantic

from ablate.study.locate import Key
from ablate.study.values import is_number


class ListError(ValueError):
    """Items of a list that are set by number, and one before them is not; `key` is the list's."""

    def __init__(self, message: str, key: Key) -> None:
        super().__init__(message)
        self.key = key


def numbered(value: Any, annotation: Any, key: Key = ()) -> Any:
    """Settings with tables of numbers turned into lists where `annotation` says that a list belongs.

    Raises ListError where an item is set and one before it is not.
    """
    if not isinstance(value, dict):
        return value
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        fields = annotation.model_fields
        return {
            name: numbered(inner, fields[name].annotation, (*key, name)) if name in fields else inner
            for name, inner in value.items()
        }
    if value and all(map(is_number, value)) and _is_list(annotation):
        numbers = {int(name) for name in value}
        if missing := set(range(max(numbers) + 1)) - numbers:
            told = f"item {max(numbers)} is set, and item {min(missing)} is not; items count from 0"
            raise ListError(told, key)
        return [value[name] for name in sorted(value, key=int)]
    return value


def _is_list(annotation: Any) -> bool:
    """Whether a list is among what a field takes: list, tuple or another collection, and no table."""
    origin = typing.get_origin(annotation) or annotation
    if origin in (typing.Union, types.UnionType):
        return any(map(_is_list, typing.get_args(annotation)))
    if origin is typing.Annotated:
        return _is_list(typing.get_args(annotation)[0])
    listed = isinstance(origin, type) and issubclass(origin, Collection)
    return listed and not issubclass(origin, (str, bytes, dict, typing.Mapping))
