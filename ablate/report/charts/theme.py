"""How all charts look, and how they write numbers."""

from typing import Any

from ablate.report.measured import Measured


def digits(measured: Measured) -> str:
    """The format of a number, as `Measured.shown` writes it: percent with one decimal, others with four digits."""
    return ".1f" if "%" in measured.metric else ".4~g"


def styled(chart: Any) -> Any:
    """The chart with the fonts and lines of every chart."""
    return (
        chart.configure(font="system-ui, sans-serif", background="white")
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", grid=False)
        .configure_title(fontSize=14, anchor="start")
        .configure_view(stroke=None)
    )
