"""What is wrong with conditions in a study: with those of `when` and `exclude`, and with any one."""

from collections.abc import Iterator
from typing import Any

from ablate.errors import nearest
from ablate.study.expression import has_value, names_in, no_value, wrong_condition
from ablate.study.locate import Key
from ablate.study.mistakes import Mistakes
from ablate.study.schema import Axis, Study
from ablate.study.values import Scalar


def keys_of(study: Study) -> Iterator[tuple[Key, str]]:
    """Where each axis stands, and its name."""
    yield from ((("axes", name), name) for name in study.axes)
    yield from ((("zip", number, name), name) for number, block in enumerate(study.zip) for name in block)


def axes_of(study: Study) -> Iterator[tuple[Key, str, Axis]]:
    """Where each axis stands, its name, and what it is."""
    for key, name in keys_of(study):
        yield key, name, study.axes[name] if key[0] == "axes" else study.zip[int(key[1])][name]


def conditions(study: Study) -> Mistakes:
    """Of axes: on others, which have no condition or stand above."""
    axes = {name: (key, axis) for key, name, axis in axes_of(study)}
    choices = study.choices
    above: set[str] = set()
    for name, (key, axis) in axes.items():
        if axis.when is not None:
            for told in wrong_condition(axis.when, choices):
                yield f"when of the axis '{name}': {told}", (*key, "when"), None
            late = {
                other for other in _named(axis.when) & axes.keys()
                if other == name or (axes[other][1].when is not None and other not in above)
            }  # fmt: skip
            if late:
                what = "itself" if name in late else f"'{min(late)}', which depends on a condition and stands below"
                told = f"when of the axis '{name}' depends on {what}"
                yield told, (*key, "when"), "a condition names axes without one, or those above it"
        above.add(name)


def _named(text: str) -> set[str]:
    try:
        return names_in(text)
    except ValueError:
        return set()


def excluded(study: Study) -> Mistakes:
    """Cells to leave out: on axes and values that there are."""
    choices = study.choices
    for number, rule in enumerate(study.exclude):
        key = ("exclude", number)
        if isinstance(rule, dict):
            yield from _table(rule, key, choices)
            continue
        for told in wrong_condition(rule, choices):
            yield f"exclude: {told}", key, None


def _table(rule: dict[str, Any], key: Key, choices: dict[str, list[Scalar]]) -> Mistakes:
    if not rule:
        yield "exclude: an empty table would leave every cell out", key, None
    for name, value in rule.items():
        if name not in choices:
            told = f"exclude: '{name}' is no axis{nearest(name, choices)}"
            yield told, (*key, name), f"axes are: {', '.join(choices)}"
            continue
        for each in value if isinstance(value, list) else [value]:
            if not has_value(choices[name], each):
                yield f"exclude: {no_value(name, each, choices[name])}", (*key, name), None
