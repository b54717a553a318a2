"""Numbers that the paper prints in several places are the same in all of its tables here."""

import pytest

from ablate.paper import Row, published

WIDTHS = {"1": "ResNet-50", "2": "ResNet-50 (2x)", "4": "ResNet-50 (4x)"}
OF_A_RUN = 0.15
"""The paper has one run a cell: the same cell trained twice differs by about this (Table B.1 at a batch of 4096)."""


def rows(table: str, **values: str) -> list[Row]:
    """The rows of a table that have these values."""
    return [row for row in published(table) if values.items() <= row.items()]


def number(table: str, value: str = "top1", **values: str) -> float:
    """A number of the one row of a table with these values."""
    (row,) = rows(table, **values)
    return float(row[value])


def said(item: str) -> float:
    """A number of the running text."""
    return number("text_numbers", "value", item=item)


def test_table_1_and_the_text_agree_on_the_default_and_on_it_without_blur() -> None:
    found = {row["column"]: float(row["top1"]) for row in rows("table1_color_distortion", method="simclr")}
    assert found["1 (+Blur)"] == said("default_r50_100ep_top1")
    assert found["1"] == said("no_blur_top1")


def test_the_default_of_table_1_is_resnet_50_of_fig_7() -> None:
    default = number("fig7_depth_width", method="simclr", depth="50", width="1", epochs="100")
    assert default == said("default_r50_100ep_top1")


def test_the_default_differs_by_no_more_than_a_run_wherever_it_was_trained_again() -> None:
    again = [
        number("table5_norm_temperature", l2_norm="1", temperature="0.1"),
        number("tableB1_lr_scaling", batch_size="4096", epochs="100", lr_scaling="linear"),
        number("tableB1_lr_scaling", batch_size="4096", epochs="100", lr_scaling="sqrt"),
        number("fig9_batch_epochs", batch_size="4096", epochs="100"),
    ]
    assert again == pytest.approx([said("default_r50_100ep_top1")] * 4, abs=OF_A_RUN)
    read = float(rows("fig8_projection_head", head="nonlinear", out_dim="128")[0]["err"]) + OF_A_RUN
    assert number("fig8_projection_head", head="nonlinear", out_dim="128") == pytest.approx(64.5, abs=read)


def test_fig_9_has_the_linear_numbers_of_table_b1_where_both_have_one() -> None:
    linear = rows("tableB1_lr_scaling", lr_scaling="linear")
    assert len(linear) == 24
    for row in linear:
        same = number("fig9_batch_epochs", batch_size=row["batch_size"], epochs=row["epochs"])
        assert same == float(row["top1"])


@pytest.mark.parametrize(("width", "architecture"), WIDTHS.items())
def test_table_6_fig_7_and_the_broader_set_start_from_the_same_linear_evaluation(width: str, architecture: str) -> None:
    table6 = number("table6_linear_eval_imagenet", method="SimCLR", architecture=architecture)
    assert number("fig7_depth_width", method="simclr", depth="50", width=width, epochs="1000") == table6
    assert number("appB2_broader_augmentation_linear", "default_top1", architecture=architecture) == table6


@pytest.mark.parametrize("architecture", WIDTHS.values())
def test_what_the_broader_set_adds_is_the_difference_of_its_two_numbers(architecture: str) -> None:
    (row,) = rows("appB2_broader_augmentation_linear", architecture=architecture)
    assert float(row["broader_top1"]) - float(row["default_top1"]) == pytest.approx(float(row["gain"]))


@pytest.mark.parametrize("width", ["1", "4"])
def test_the_supervised_networks_of_fig_7_are_those_of_table_b3_on_crops(width: str) -> None:
    figure = number("fig7_depth_width", method="supervised", width=width)
    assert number("tableB3_supervised_longer", architecture=WIDTHS[width], epochs="90", augmentation="crop") == figure


def test_training_from_scratch_in_the_text_is_the_supervised_networks_of_fig_7() -> None:
    for width, item in (("2", "scratch_r50x2"), ("4", "scratch_r50x4")):
        (row,) = rows("text_numbers", item=item)
        assert row["value"].split("/")[0] == str(number("fig7_depth_width", method="supervised", width=width))


def test_the_supervised_networks_that_transfer_are_those_of_table_b3_at_1000_epochs_up_to_a_run() -> None:
    for width, item in (("1", "supervised_1000ep_aug_r50"), ("4", "supervised_1000ep_aug_r50x4")):
        long = {"epochs": "1000", "augmentation": "crop+color+blur"}
        again = number("tableB3_supervised_longer", architecture=WIDTHS[width], **long)
        assert said(item) == pytest.approx(again, abs=OF_A_RUN)


def test_supervised_training_with_blur_was_run_twice_and_differs_by_no_more_than_a_run() -> None:
    table1 = number("table1_color_distortion", method="supervised", column="1 (+Blur)")
    augmented = {"epochs": "90", "augmentation": "crop+color+blur"}
    again = number("tableB3_supervised_longer", architecture="ResNet-50", **augmented)
    assert again == pytest.approx(table1, abs=OF_A_RUN)


@pytest.mark.parametrize("table", ["table8_transfer_r50x4", "tableB5_transfer_r50"])
def test_both_transfer_tables_have_every_data_set_under_every_protocol_once(table: str) -> None:
    keys = [(row["protocol"], row["init"], row["dataset"]) for row in published(table)]
    sets = {dataset for _, _, dataset in keys}
    protocols = {(protocol, init) for protocol in ("linear", "finetune") for init in ("simclr", "supervised")}
    assert len(sets) == 12
    assert sorted(keys) == sorted((*each, name) for each in protocols | {("finetune", "random_init")} for name in sets)


@pytest.mark.parametrize("architecture", WIDTHS.values())
@pytest.mark.parametrize("labels", ["1pct", "10pct"])
def test_fine_tunings_top_5_is_above_its_top_1(architecture: str, labels: str) -> None:
    top1 = number("tableB4_semi_supervised_top1", f"top1_{labels}", method="SimCLR", architecture=architecture)
    top5 = number("table7_semi_supervised_top5", f"top5_{labels}", method="SimCLR", architecture=architecture)
    assert top1 + 10 < top5


def test_the_head_of_fig_8_gains_what_the_text_says() -> None:
    mean = {
        head: sum(float(row["top1"]) for row in found) / len(found)
        for head in ("nonlinear", "linear", "none")
        if (found := rows("fig8_projection_head", head=head))
    }
    assert mean["nonlinear"] - mean["linear"] > said("nonlinear_minus_linear")
    (row,) = rows("text_numbers", item="nonlinear_minus_none")
    assert mean["nonlinear"] - mean["none"] > float(row["value"].removeprefix(">"))


def test_table_5_falls_and_rises_with_the_temperature_as_softmax_does() -> None:
    normalised = sorted(rows("table5_norm_temperature", l2_norm="1"), key=lambda row: float(row["temperature"]))
    accuracy, entropy = ([float(row[name]) for row in normalised] for name in ("contrastive_acc", "entropy"))
    assert accuracy == sorted(accuracy, reverse=True)
    assert entropy == sorted(entropy)
    assert max(entropy) < 8.318  # ln 4096: of a uniform distribution over the batch
