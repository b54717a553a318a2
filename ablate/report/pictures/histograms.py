"""Fig. 6: histograms of intensities in crops of an image, without and with color distortion."""

from itertools import combinations
from statistics import mean
from typing import Any

import altair as alt

from ablate.report.charts.layers import styled
from ablate.report.render.figure import Figure
from ablate.report.render.kept import Drawn

_PANEL = (54, 44)
"""Width and height in pixels; four of them fit on a phone."""
_WITHOUT, _WITH = "crop", "crop, color"
Shares = list[float]


def histogram_figure(drawn: Drawn) -> Figure:
    """Small charts: one row per image without and with color distortion, one column per crop."""
    without, distorted = drawn["shares"]  # each (images, crops, bins)
    always = drawn["probability"] >= 1
    applied = "" if always else f", which is applied with probability {drawn['probability']:g}"
    alike = {_WITHOUT: mean_overlap(without), _WITH: mean_overlap(distorted)}
    summary = (
        f"Two crops of one image share {alike[_WITHOUT]:.0%} of their histograms on average, "
        f"and {alike[_WITH]:.0%} with color distortion on top."
    )
    return Figure(
        "histograms",
        _chart(without, distorted),
        "Histograms of the intensities of all channels in crops of two training images, and in the same crops "
        f"with color distortion of strength {drawn['strength']:g}{applied}, as in Fig. 6 of the paper (the "
        "heights are square roots). "
        "If two crops share a histogram, color alone identifies them.",
        summary,
        columns=("image", "views", "share of the histograms of two crops that is common"),
        rows=tuple(
            (f"{place} ({name})", views, f"{mean_overlap([shares[place - 1]]):.0%}")
            for place, name in enumerate(drawn["classes"], 1)
            for views, shares in ((_WITHOUT, without), (_WITH, distorted))
        ),
    )


def mean_overlap(images: list[list[Shares]]) -> float:
    """Mean share that the histograms of two crops of an image have in common: 1 if all are equal."""
    return mean(sum(map(min, one, other)) for crops in images for one, other in combinations(crops, 2))


def _chart(without: list[list[Shares]], distorted: list[list[Shares]]) -> Any:
    rows: list[dict[str, Any]] = [
        {"row": _row(image, views), "views": views, "crop": f"crop {crop + 1}", "share": shares}
        for views, images in ((_WITHOUT, without), (_WITH, distorted))
        for image, crops in enumerate(images)
        for crop, shares in enumerate(crops)
    ]
    bins = len(rows[0]["share"])
    order = [_row(image, views) for image in range(len(without)) for views in (_WITHOUT, _WITH)]
    base = (
        alt.Chart(alt.InlineData(values=[row | {"bin": list(range(bins))} for row in rows]))
        .transform_flatten(["share", "bin"])
        .transform_calculate(intensity=f"(datum.bin + 0.5) / {bins}")
    )
    panel = base.mark_area(interpolate="step").encode(
        x=alt.X("intensity:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(values=[0, 1], format="d")),
        y=alt.Y("share:Q", title=None, axis=None, scale=alt.Scale(type="sqrt")),
        color=alt.Color(
            "views:N", legend=None, scale=alt.Scale(domain=[_WITHOUT, _WITH], range=["#3b528b", "#c8491f"])
        ),
    )
    width, height = _PANEL
    row = alt.Header(labelAngle=0, labelAlign="left", labelOrient="left", labelFontSize=12)
    return styled(
        panel.properties(width=width, height=height).facet(
            row=alt.Row("row:N", sort=order, title=None, header=row),
            column=alt.Column("crop:N", title=None, header=alt.Header(labelOrient="top", labelFontSize=12)),
            spacing=6,
        )
    )


def _row(image: int, views: str) -> str:
    return f"image {image + 1}" if views == _WITHOUT else f"{image + 1} + color"
