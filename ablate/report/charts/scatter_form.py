"""The form `scatter`: labeled points over a numeric axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from ablate.report.charts.encoding import Traits
from ablate.report.charts.layers import Style
from ablate.report.charts.lines_form import points

if TYPE_CHECKING:
    from ablate.report.charts.marks import Marks

TRAITS = Traits(numeric=True)


def draw(marks: Marks, style: Style) -> alt.LayerChart | alt.FacetChart:
    """One point per cell with its interval, seeds and name."""
    return points(marks, style, joined=False)
