"""The study that `ablate new` writes."""

from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.study.authoring import new_study
from ablate.study.check import check_files
from ablate.study.load import load_study
from ablate.study.toml.problems import setting_paths
from ablate.trainer.find import find_trainer


@pytest.mark.parametrize(
    ("setting", "values", "wanted"),
    [
        ("loss.temperature", None, [0.05, 0.1, 0.2]),
        ("loss.temperature", "0.1, 0.5,1", [0.1, 0.5, 1]),
        ("loss.normalize", None, [True, False]),
        ("head.name", None, ["none", "linear", "nonlinear"]),
        ("head.name", "none,linear", ["none", "linear"]),
        ("head.output_dimension", None, [64, 128, 256]),
        ("augment.color.jitter_probability", None, [0.4, 0.8, 1.0]),
        ("augment.auto_augment.probability", None, [0.5, 1.0]),
        ("epochs", "2,3", [2, 3]),
    ],
)
def test_a_new_study_varies_its_setting_and_is_right(
    tmp_path: Path, setting: str, values: str | None, wanted: list[object]
) -> None:
    path = new_study("mine", setting, values, tmp_path / "studies")
    axis = next(iter(load_study(str(path)).study.axes.values()))
    assert (axis.setting, axis.values) == (setting, wanted)
    assert check_files([str(path)], ["embedded"])[0].problems == ()


@pytest.mark.parametrize("setting", ["loss.name", "optimizer.name", "evaluate.knn.temperature", "loss.scale"])
def test_the_axis_of_a_new_study_has_a_name_that_a_study_allows(tmp_path: Path, setting: str) -> None:
    path = new_study("mine", setting, None, tmp_path)
    assert load_study(str(path)).problems == ()


@pytest.mark.parametrize(
    ("name", "setting", "values", "message"),
    [
        ("My-Study", "epochs", None, "must consist of lower-case letters"),
        ("trials", "epochs", None, "is reserved for a table of the store"),
        ("mine", "loss.temprature", None, "unknown setting; did you mean 'loss.temperature'?"),
        ("mine", "augment.transforms", None, "needs values"),
        ("mine", "epochs", "3,5,3", "--values 3,5,3: axes.epochs.values lists 3 twice"),
        ("mine", "encoder.name", None, "needs values: the suggested values are invalid: encoder: torchvision"),
        ("mine", "warmup_epochs", None, "needs values: the suggested values are invalid: warmup_epochs = 5"),
        ("mine", "seed", None, "seeds"),
        ("mine", "loss.temperature", "0.1,,0.5", "a value is empty"),
    ],
)
def test_what_no_study_can_be_made_of_is_told_and_nothing_is_written(
    tmp_path: Path, name: str, setting: str, values: str | None, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        new_study(name, setting, values, tmp_path)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    path = new_study("mine", "epochs", None, tmp_path)
    before = path.read_text()
    with pytest.raises(UserError, match="exists"):
        new_study("mine", "loss.temperature", None, tmp_path)
    assert path.read_text() == before


@pytest.mark.parametrize("setting", setting_paths(find_trainer().config))
def test_whatever_setting_is_varied_the_values_suggested_for_it_are_right_or_there_is_no_file(
    tmp_path: Path, setting: str
) -> None:
    try:
        path = new_study("mine", setting, None, tmp_path)
    except UserError as refused:
        told, path = str(refused), None
    if path is None:
        assert list(tmp_path.iterdir()) == []
        assert "add --values" in told or setting == "seed"
    else:
        assert len(next(iter(load_study(str(path)).study.axes.values())).values) > 1
        assert check_files([str(path)], ["embedded"])[0].problems == ()
