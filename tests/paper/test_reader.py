from statistics import mean

import pytest

from ablate.errors import UserError
from ablate.paper import published


def test_the_row_means_of_fig_5_are_those_that_the_figure_prints() -> None:
    cells = published("fig5_augmentation_composition")
    for row in published("fig5_row_average"):
        values = [float(cell["top1"]) for cell in cells if cell["first"] == row["first"]]
        assert len(values) == 7
        assert mean(values) == pytest.approx(float(row["top1_average"]), abs=0.1)


def test_crop_and_color_are_the_best_pair_of_fig_5_by_ten_points() -> None:
    cells = sorted(published("fig5_augmentation_composition"), key=lambda cell: -float(cell["top1"]))
    assert [(cell["first"], cell["second"]) for cell in cells[:2]] == [("crop", "color"), ("color", "crop")]
    assert float(cells[1]["top1"]) - float(cells[2]["top1"]) > 9


def test_an_unknown_table_is_told_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="no table 'table4_loss'; did you mean 'table4_losses'"):
        published("table4_loss")
