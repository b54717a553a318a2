"""What a study takes over from those that it extends."""

from pathlib import Path

from ablate.study.expansion.expand import expand
from ablate.study.expansion.trial import Trial
from ablate.study.load import load_profile, load_study
from ablate.study.schema.study import LoadedStudy

BELOW = """
name = "below"
title = "Below"
question = "Why?"
seeds = 2
exclude = ["temperature == 0.5"]

[base]
augment.transforms = ["crop", "color"]
loss.scale = 1.0

[axes]
epochs = [1, 2]
temperature = { setting = "loss.temperature", values = [0.1, 0.5], label = "tau" }

[[cases]]
name = "untrained"
label = "untrained encoder"
set.epochs = 0
"""


def write(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def extended(folder: Path, text: str) -> LoadedStudy:
    write(folder, BELOW, "below")
    return load_study(str(write(folder, f'name = "mine"\nextends = "below"\n{text}')))


def trials(loaded: LoadedStudy) -> tuple[Trial, ...]:
    return expand(loaded, load_profile("embedded", loaded.source.path)).trials


def test_a_study_that_says_nothing_but_its_name_is_the_one_that_it_extends(tmp_path: Path) -> None:
    mine = extended(tmp_path, "")
    assert mine.study.title == "Below"
    assert [trial.key for trial in trials(mine)] == [
        trial.key for trial in trials(load_study(f"{tmp_path}/below.toml"))
    ]


def test_a_table_is_taken_over_key_by_key_and_a_list_as_a_whole(tmp_path: Path) -> None:
    base = extended(tmp_path, 'base.augment.transforms = ["blur"]\nbase.augment.views = "one"\n').study.base
    assert base == {"augment": {"transforms": ["blur"], "views": "one"}, "loss": {"scale": 1.0}}


def test_false_takes_an_axis_and_a_list_of_tables_away(tmp_path: Path) -> None:
    study = extended(tmp_path, "cases = false\nexclude = false\naxes.epochs = false\n").study
    assert (list(study.axes), study.cases, study.exclude) == (["temperature"], [], [])


def test_false_over_truth_is_a_value(tmp_path: Path) -> None:
    write(tmp_path, BELOW.replace("loss.scale = 1.0", "loss.normalize = true"), "below")
    path = write(tmp_path, 'name = "mine"\nextends = "below"\nbase.loss.normalize = false\n')
    assert load_study(str(path)).study.base["loss"] == {"normalize": False}


def test_false_where_nothing_is_below_is_told_with_its_place(tmp_path: Path) -> None:
    problems = extended(tmp_path, "axes.temprature = false\n").problems
    assert [problem.message for problem in problems] == ["axes.temprature = false must be a table"]
    assert f"{tmp_path}/mine.toml:3:1" in str(problems[0])


def test_a_list_over_an_axis_replaces_its_values_and_keeps_the_rest(tmp_path: Path) -> None:
    study = extended(tmp_path, "exclude = []\naxes.temperature = [0.2, 0.3, 0.4]\n").study
    axis = study.axes["temperature"]
    assert (axis.setting, axis.values, axis.label) == ("loss.temperature", [0.2, 0.3, 0.4], "tau")


def test_a_wrong_value_in_such_a_list_is_told_in_the_file_that_has_it(tmp_path: Path) -> None:
    mine = extended(tmp_path, "exclude = []\naxes.temperature = [0.2, -0.3]\n")
    assert "mine.toml:4:26" in told(mine)


def test_a_condition_on_a_value_that_is_replaced_is_told_in_the_file_that_has_it(tmp_path: Path) -> None:
    problems = extended(tmp_path, "axes.temperature = [0.2, 0.3]\n").problems
    assert [problem.message for problem in problems] == [
        "exclude: temperature has no value 0.5; its values are 0.2, 0.3"
    ]
    assert f"{tmp_path}/below.toml:6:12" in str(problems[0])


def test_of_several_studies_the_last_wins_and_the_file_itself_over_all(tmp_path: Path) -> None:
    write(tmp_path, BELOW, "below")
    write(tmp_path, "seeds = 5\nbase.loss.scale = 3.0\nbase.epochs = 9\n", "second")
    path = write(tmp_path, 'name = "mine"\nextends = ["below", "second"]\nbase.epochs = 4\n')
    study = load_study(str(path)).study
    assert (study.seeds, study.base["loss"], study.base["epochs"]) == (5, {"scale": 3.0}, 4)


def test_a_study_may_be_extended_over_two_files_and_from_another_folder(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    write(tmp_path / "shared", BELOW, "below")
    write(tmp_path / "shared", 'extends = "below"\nseeds = 7\n', "middle")
    path = write(tmp_path, 'name = "mine"\nextends = "shared/middle.toml"\n')
    loaded = load_study(str(path))
    assert (loaded.study.seeds, list(loaded.study.axes)) == (7, ["epochs", "temperature"])


def test_the_whole_text_of_a_study_names_each_file_that_it_comes_from_once(tmp_path: Path) -> None:
    whole = extended(tmp_path, "").source.whole
    assert whole.count("mine.toml") == whole.count("below.toml") == 1


def told(loaded: LoadedStudy) -> str:
    from ablate.errors import UserError

    try:
        trials(loaded)
    except UserError as error:
        return str(error)
    return ""


def test_an_item_by_number_replaces_that_item_of_the_inherited_list(tmp_path: Path) -> None:
    head = 'title = "t"\nquestion = "q"\n'
    (tmp_path / "parent.toml").write_text(
        f'name = "parent"\n{head}base.augment.transforms = ["crop", "color", "blur"]\naxes.epochs = [1]\n'
    )
    child = tmp_path / "child.toml"
    child.write_text('name = "child"\nextends = "parent"\nbase.augment.transforms.0 = "sobel"\n')
    study = load_study(str(child))
    (trial,) = expand(study, load_profile("embedded", child)).trials
    assert trial.config.augment.transforms == ("sobel", "color", "blur")  # type: ignore[attr-defined]
