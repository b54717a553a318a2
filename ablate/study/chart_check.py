"""What is wrong with the chart of a study: axes that are not there, or that nothing shows."""

from collections.abc import Iterator

from ablate.errors import nearest
from ablate.study.chart import CASE, PARAMETERS, SHOWN_BY
from ablate.study.locate import Key
from ablate.study.mistakes import Mistakes
from ablate.study.schema import EVALUATION, Study
from ablate.study.trainer import SIMCLR
from ablate.study.values import Scalar


def chart(study: Study) -> Mistakes:
    """Of its names first; then of what its form needs, and of axes that it leaves out."""
    names = list(_names(study))
    yield from names
    if not names:
        yield from _form(study)
        yield from _left_out(study)


def _names(study: Study) -> Mistakes:
    seen: dict[str, Key] = {}
    for key, name in _named(study):
        known = _known(study, key[1])
        if name not in known:
            yield (
                f"{_path(key)}: '{name}' is no axis{nearest(name, known)}",
                key,
                f"it may name: {', '.join(known)}" if known else "the study has no axes",
            )
        elif name in seen:
            yield f"{_path(key)}: '{name}' is named by {_path(seen[name])} already", key, "name it once"
        seen.setdefault(name, key)


def _named(study: Study) -> Iterator[tuple[Key, str]]:
    for key in SHOWN_BY:
        named = getattr(study.chart, key)
        if isinstance(named, str):
            yield ("chart", key), named
        for number, name in enumerate(named if isinstance(named, list) else ()):
            yield ("chart", key, number), name


def _known(study: Study, key: str | int) -> list[str]:
    """What a key may name."""
    beside = [CASE] if study.cases else []
    if study.trainer == SIMCLR:
        beside.append(PARAMETERS)
    return [*study.choices, *(beside if key == "x" else [])]


def _form(study: Study) -> Mistakes:
    chart = study.chart
    if chart.y is not None and chart.form != "heatmap":
        yield "chart.y: only a heatmap has an axis that goes down", ("chart", "y"), 'form = "heatmap", or color'
    if chart.color and chart.form == "heatmap":
        told = "chart.color: in a heatmap the color is the value"
        yield told, ("chart", "color"), "name the axis by x, y or facet"
    if chart.x == PARAMETERS and chart.form != "scatter":
        yield "chart.x: parameters are shown by a scatter", ("chart", "x"), 'form = "scatter"'
    numbers = chart.x == PARAMETERS or (chart.x in study.choices and _numeric(study.choices[chart.x]))
    if chart.form == "scatter" and chart.x is not None and not numbers:
        yield "chart.x: a scatter needs an axis of numbers", ("chart", "x"), 'or form = "bars"'
    if chart.log and not numbers:
        yield "chart.log: x is no axis of numbers", ("chart", "log"), "leave it out, or name such an axis by x"
    elif chart.log and any(not value > 0 for value in study.choices.get(chart.x or "", [])):  # type: ignore[operator]
        yield f"chart.log: {chart.x} has values that are not above 0", ("chart", "log"), "leave it out"


def _numeric(values: list[Scalar]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _left_out(study: Study) -> Mistakes:
    """Axes for which no place is left: cells that differ in them only would lie on each other."""
    chart = study.chart
    shown = {name for _, name in _named(study)}
    places = ("x", "y", "facet") if chart.form == "heatmap" else ("x", "color", "facet")
    free = sum(not getattr(chart, place) for place in places)
    groups = [list(factor) for factor in study.factors] + ([[EVALUATION]] if study.evaluate else [])
    left = [group for group in groups if not shown & set(group) and any(len(study.choices[name]) > 1 for name in group)]
    if chart.x == PARAMETERS or not study.chart.model_fields_set or len(left) <= free:
        return
    names = ", ".join(f"'{group[0]}'" for group in left)
    told = f"chart: nothing shows {names}, and cells that differ in nothing else would lie on each other"
    yield told, ("chart",), f'name it by {", ".join(places)}, or show the best over it: best_of = ["{left[-1][0]}"]'


def _path(key: Key) -> str:
    return f"{key[0]}.{key[1]}"
