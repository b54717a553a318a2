import re

import altair as alt
import pytest

from ablate.report.render.figure import Figure, plain

TEXT = 'a role="x" opacity="1"'


def figure() -> Figure:
    rows = [{"x": 0.123456, "label": TEXT}, {"x": 2.0, "label": "b > c"}]
    chart = alt.Chart(alt.InlineData(values=rows)).mark_point().encode(x="x:Q", y="label:N")
    return Figure("one", chart, "A caption.", "A summary.")


def test_a_drawing_says_no_mark_one_by_one_and_shows_texts_as_they_are() -> None:
    svg = figure().svg
    assert "aria-label" not in svg.replace(TEXT, "")
    assert "aria-roledescription" not in svg
    assert f">{TEXT}</text>" in svg.replace("&quot;", '"')
    assert "b &gt; c</text>" in svg


@pytest.mark.parametrize("values", [[1e6, 1000000.02, 1000000.04], [-76.026301, -76.026304], [1e-9, 1.00001e-9]])
def test_values_that_differ_little_stay_different(values: list[float]) -> None:
    assert plain(values) == values
    assert plain([0.1 + 0.2]) == [0.3]


def test_png_and_pdf_are_of_the_same_drawing() -> None:
    assert figure().png.startswith(b"\x89PNG")
    assert figure().pdf.startswith(b"%PDF")
    assert re.search(rb"/FontFile[23]?\b", figure().pdf)  # without it, a journal's checks refuse the figure
