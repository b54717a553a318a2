from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.study.check import check_files
from ablate.study.load import load_profile, load_study
from ablate.study.schema.study import Study


def write(folder: Path, text: str, name: str = "mine") -> str:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return str(path)


GOOD = """name = "mine"
title = "Mine"
question = "Why?"

[axes]
temperature = { setting = "loss.temperature", values = [0.1, 0.5] }
"""


def message(folder: Path, text: str, name: str = "mine") -> str:
    try:
        return "\n\n".join(map(str, load_study(write(folder, text, name)).problems))
    except UserError as error:
        return str(error)


def test_a_study_file_is_read_with_its_axes(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, GOOD)).study
    assert study.name == "mine"
    assert study.axes["temperature"].values == [0.1, 0.5]


def test_an_unknown_key_is_told_with_file_line_column_caret_and_nearest_name(tmp_path: Path) -> None:
    told = message(tmp_path, GOOD.replace("question", "qestion"))
    assert told == (
        "error: the key 'question' is missing\n"
        f"  --> {tmp_path}/mine.toml\n"
        '  help: for example question = "Which temperature teaches the best representation?"\n'
        "\n"
        "error: unknown key 'qestion'; did you mean 'question'?\n"
        f"  --> {tmp_path}/mine.toml:3:1\n"
        "  |\n"
        '3 | qestion = "Why?"\n'
        "  | ^^^^^^^\n"
        f"  help: keys are: {', '.join(Study.model_fields)}"
    )


def test_an_unknown_key_inside_an_inline_table_is_marked_where_it_stands(tmp_path: Path) -> None:
    told = message(tmp_path, GOOD.replace("values", "vals"))
    assert "unknown key 'vals' in axes.temperature; did you mean 'values'?" in told
    assert f"mine.toml:6:{GOOD.splitlines()[5].index('values') + 1}\n" in told


def test_text_that_is_not_toml_is_told_with_its_line(tmp_path: Path) -> None:
    told = message(tmp_path, GOOD.replace('title = "Mine"', "title = Mine"))
    assert "mine.toml:2:9" in told
    assert "2 | title = Mine" in told


def test_a_file_that_ends_too_early_is_told_without_a_traceback(tmp_path: Path) -> None:
    assert "invalid TOML" in message(tmp_path, GOOD + 'x = "')


def test_a_missing_study_is_told_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="there is no study 'augment_pears'; did you mean 'augment_pairs'"):
        load_study("augment_pears")


def test_a_missing_file_is_told_with_the_nearest_path(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(UserError, match=r"mime\.toml; did you mean .*mine\.toml"):
        load_study(str(tmp_path / "mime.toml"))


def test_an_unknown_profile_is_told_with_those_there_are() -> None:
    with pytest.raises(UserError, match="unknown profile 'smal'; did you mean 'small'"):
        load_profile("smal", load_study("augment_pairs").source.path)


def test_a_name_that_differs_from_the_files_is_an_error(tmp_path: Path) -> None:
    assert "does not match the file name" in message(tmp_path, GOOD.replace('"mine"', '"other"'))


@pytest.mark.parametrize("name", ["trials", "metrics"])
def test_a_study_may_not_take_the_name_of_a_table(tmp_path: Path, name: str) -> None:
    assert "is reserved for a table of the store" in message(tmp_path, GOOD.replace('"mine"', f'"{name}"'), name)


def test_a_value_that_stands_twice_on_an_axis_is_an_error(tmp_path: Path) -> None:
    assert "lists 0.1 twice" in message(tmp_path, GOOD.replace("0.5]", "0.1]"))


def test_an_axis_given_as_a_list_varies_the_setting_of_its_name(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, GOOD.split("[axes]")[0] + "[axes]\nepochs = [1, 2]\n")).study
    assert study.axes["epochs"].setting == "epochs"


def test_every_study_and_profile_of_the_checkout_is_valid() -> None:
    folder = Path(__file__).parents[2] / "studies"
    for path in folder.glob("*.toml"):
        for profile in (folder / "profiles").glob("*.toml"):
            load_profile(profile.stem, load_study(str(path)).source.path)


@pytest.mark.parametrize("table", ["", "[base]", "[profile.embedded]", "[profile.embedded.base]"])
def test_of_many_problems_the_first_are_listed_with_a_note(tmp_path: Path, table: str) -> None:
    unknown = "".join(f"unknown{number} = 1\n" for number in range(2_000))
    text = f"{GOOD}\n{table}\n{unknown}" if table else unknown + GOOD
    (checked,) = check_files([write(tmp_path, text)], ["embedded"])
    kinds = [problem.kind for problem in checked.problems]
    assert kinds.count("error") == 50
    assert "note" in kinds
