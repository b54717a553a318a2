"""What is wrong with the claims of a study: ids, profiles, axes and conditions that name what is not there."""

from collections.abc import Iterable, Iterator

from ablate.errors import nearest
from ablate.study.claims import AllOf, AnyOf, Claim
from ablate.study.expression import wrong_condition
from ablate.study.locate import Key
from ablate.study.mistakes import Mistakes
from ablate.study.schema import Study

_CONDITIONS = {"cells": "cells", "best": "is", "left": "left", "right": "right"}
_AXES = ("along", "by", "each", "axes")


def claims(study: Study, profiles: Iterable[str]) -> Mistakes:
    """Of each claim, and of those inside it. profiles: names of those that there are."""
    known = sorted(profiles)
    if study.paper_profile not in known and "paper_profile" in study.model_fields_set:
        told = f"paper_profile: there is no profile '{study.paper_profile}'{nearest(study.paper_profile, known)}"
        yield told, ("paper_profile",), f"profiles are: {', '.join(known)}"
    seen: set[str] = set()
    for number, claim in enumerate(study.claims):
        key: Key = ("claims", number)
        if claim.id in seen:
            yield f"there are two claims '{claim.id}'", (*key, "id"), "give one another id"
        seen.add(claim.id)
        for index, profile in enumerate(claim.profiles or ()):
            if profile not in known:
                told = f"profiles of the claim '{claim.id}': there is no profile '{profile}'{nearest(profile, known)}"
                yield told, (*key, "profiles", index), f"profiles are: {', '.join(known)}"
        for inner, part in _with_parts(claim, key):
            yield from _names(study, claim.id, inner, part)


def _names(study: Study, id: str, key: Key, claim: Claim) -> Mistakes:
    for name, told in _conditions(claim, study.choices_and_cases):
        yield f"{name} of the claim '{id}': {told}", (*key, name), None
    axes = study.choices
    for place, axis in _axes(claim):
        if axis not in axes:
            told = f"{place[0]} of the claim '{id}': '{axis}' is no axis{nearest(axis, axes)}"
            yield told, (*key, *place), f"axes are: {', '.join(axes)}"


def _with_parts(claim: Claim, key: Key) -> Iterator[tuple[Key, Claim]]:
    yield key, claim
    if isinstance(claim, (AllOf, AnyOf)):
        for number, part in enumerate(claim.parts):
            yield from _with_parts(part, (*key, "parts", number))


def _conditions(claim: Claim, choices: dict[str, list[str | bool | int | float]]) -> Iterator[tuple[str, str]]:
    """The key of each condition that is wrong, and what is wrong with it."""
    for field, key in _CONDITIONS.items():
        text = getattr(claim, field, None)
        if text is not None:
            yield from ((key, told) for told in wrong_condition(text, choices))


def _axes(claim: Claim) -> Iterator[tuple[Key, str]]:
    """Where a claim names axes, and which."""
    for key in _AXES:
        named = getattr(claim, key, None)
        if isinstance(named, str):
            yield (key,), named
        elif named:
            yield from (((key, number), axis) for number, axis in enumerate(named))
    for number, table in enumerate(getattr(claim, "rivals", ())):
        for axis, other in table.items():
            yield ("rivals", number, axis), axis
            yield ("rivals", number, axis), other
