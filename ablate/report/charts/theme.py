"""How all charts look: on a white card in any mode, in colors that color-blind people tell apart."""

from collections.abc import Sequence
from typing import Any

import altair as alt

INK, QUIET, FAINT = "#1b1b1f", "#5a5a66", "#b8b8c2"
HATCH = "M-1,-.5L-.5,-1M-1,0L0,-1M-1,.5L.5,-1M-1,1L1,-1M-.5,1L1,-.5M0,1L1,0M.5,1L1,.5"
"""Lines across a square, as the shape of a point: what has no number yet."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 1], [1, 3], [10, 4], [6, 2, 2, 2])
_CATEGORIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#222222")
"""Of Okabe and Ito (2008), without the yellow, which is invisible on white."""
_VIRIDIS = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b")
"""Without its yellow end."""
_DARK = ("#0072b2", "#222222", "#440154", "#482878", "#3e4989", "#31688e", "#26828e")
"""On which text is white."""


def palette(values: Sequence[Any]) -> list[str]:
    """A color a value: in steps from dark to light for numbers and for many, else as far apart as can be."""
    ordered = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if len(values) > len(_CATEGORIES) or (ordered and len(values) > 2):
        last = len(_VIRIDIS) - 1
        steps = max(len(values) - 1, 1)
        return [_VIRIDIS[round(number * last / steps)] for number in range(len(values))]
    return list(_CATEGORIES[: len(values)])


def ink_on(color: str) -> str:
    """The color of text on a color of the palettes."""
    return "#ffffff" if color in _DARK else "#000000"


def picked(otherwise: float = 1.0, left: float = 0.2) -> Any:
    """The opacity of a mark: of the others less, while a cell is picked."""
    return alt.condition("picked < 0 || datum.cell === picked", alt.value(otherwise), alt.value(left))


def pickable(chart: Any, fluid: str | None = None) -> Any:
    """The finished chart, which a page can tell that a cell is picked: -1 is none.

    fluid: what a page fits to its width: `width`, or `columns` of small charts.
    """
    chart.params = [alt.VariableParameter(name="picked", value=-1)]
    if fluid:
        chart.usermeta = {"fluid": fluid}
    return styled(chart)


def styled(chart: Any) -> Any:
    """The chart with the fonts and lines of every chart."""
    return (
        chart.configure(font="system-ui, sans-serif", background="white", padding=8)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", grid=False, labelColor=INK,
                        titleColor=INK, labelLimit=130)
        .configure_legend(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelColor=INK,
                          titleColor=INK, labelLimit=180, orient="bottom", columns=4)
        .configure_header(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelColor=INK,
                          titleColor=INK, labelLimit=300)
        .configure_title(fontSize=14, anchor="start", color=INK)
        .configure_view(stroke=None)
    )  # fmt: skip
