"""A zero next to numbers of several magnitudes stands apart from a logarithmic scale."""

import pytest

from ablate.report.charts.encoding import encode
from ablate.report.charts.layers import spanned
from ablate.study.cells.cell import Cell
from ablate.study.schema.chart import Chart


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([0, 0.001, 0.1, 10], True), ([0.0, 1e-6, 1e-4], True), ([0, 1, 2, 4, 8], False), ([0, 90, 180, 270], False),
        ([0.1, 0.5, 1.0], True), ([-1, 0.001, 10], False), ([0, 0, 0], False), ([True, False], False),
    ],
)  # fmt: skip
def test_an_axis_is_logarithmic_where_its_numbers_span_much(values: list[float], log: bool) -> None:
    assert encode(Chart(), [Cell({"decay": value}) for value in values]).log is log


def test_zero_has_room_left_of_the_smallest_number() -> None:
    low, high = spanned([0, 0.001, 0.1, 10], log=True)
    assert -0.001 < low < 0
    assert high > 10
    assert spanned([0.001, 10], log=True)[0] > 0
