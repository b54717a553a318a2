"""All charts of a study's page, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from altair.utils.schemapi import debug_mode

from ablate.report.charts.agreement import agreement_figure
from ablate.report.charts.curves import curves_figure
from ablate.report.charts.main import main_figures, shape_of
from ablate.report.figure import Figure

if TYPE_CHECKING:
    from ablate.report.reading import Reading


def figures_of(reading: Reading) -> list[Figure]:
    """`measured`; `published`, `agreement` and `curves` where there is something to show."""
    measured = reading.measured
    with debug_mode(False):  # a chart is checked against its schema once, whole, where it is written
        further = (
            agreement_figure(measured, shape_of(measured, reading.judged.plan)),
            curves_figure(measured, reading.curves),
        )
        main = main_figures(measured, reading.judged.plan, reading.parameters)
    return [*main, *(figure for figure in further if figure is not None)]
