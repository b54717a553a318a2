"""Suite files: how they are found, and what is told of a broken one."""

from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.study.suite import check_no_suite_is_meant, find_suite, known_suites, load_suite

GOOD = 'name = "both"\ntitle = "Both"\nstudies = ["tiny", "other"]\n'


@pytest.fixture
def suite(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good suite of two studies, in the working folder."""
    monkeypatch.chdir(project)
    tiny = (project / "studies/tiny.toml").read_text()
    (project / "studies/other.toml").write_text(tiny.replace('"tiny"', '"other"'))
    (project / "studies/suites").mkdir()
    path = project / "studies/suites/both.toml"
    path.write_text(GOOD)
    return path


def told(path: Path, old: str, new: str) -> str:
    """What is told of the suite with a change in it."""
    path.write_text(GOOD.replace(old, new))
    try:
        return "\n\n".join(map(str, load_suite(path).problems))
    except UserError as error:
        return str(error)


def test_a_suite_names_its_studies_in_the_order_in_which_they_run(suite: Path) -> None:
    loaded = load_suite(suite)
    assert loaded.problems == ()
    assert list(loaded.studies) == ["tiny", "other"]
    assert Path(loaded.studies["other"]).samefile("studies/other.toml")


def test_a_suite_is_found_by_its_path_and_by_its_name_and_a_study_is_none(suite: Path) -> None:
    assert find_suite("both") == find_suite("studies/suites/both.toml") == Path("studies/suites/both.toml")
    assert known_suites()["both"] == Path("studies/suites/both.toml")
    assert find_suite("tiny") is find_suite("studies/tiny.toml") is find_suite("nowhere.toml") is None


def test_a_study_comes_before_a_suite_of_the_same_name(suite: Path) -> None:
    suite.rename(suite.with_name("tiny.toml"))
    assert find_suite("tiny") is None


def test_a_file_that_lists_studies_is_a_suite_wherever_it_lies(suite: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "both.toml"
    elsewhere.write_text(GOOD.replace('"tiny"', '"studies/tiny.toml"'))
    assert find_suite(str(elsewhere)) == elsewhere
    assert list(load_suite(elsewhere).studies) == ["tiny", "other"]


def test_a_study_in_a_folder_called_suites_is_a_study(suite: Path) -> None:
    study = suite.with_name("tiny2.toml")
    study.write_text(Path("studies/tiny.toml").read_text().replace('"tiny"', '"tiny2"'))
    assert find_suite("studies/suites/tiny2.toml") is find_suite("tiny2") is None
    suite.write_text(GOOD.replace("studies", "studys"))
    assert find_suite("studies/suites/both.toml") == find_suite("both") == Path("studies/suites/both.toml")


def test_two_files_of_one_name_are_told_as_two(suite: Path) -> None:
    Path("more").mkdir()
    Path("more/tiny.toml").write_text(Path("studies/tiny.toml").read_text())
    message = told(suite, '"other"', '"../../more/tiny.toml"')
    assert "studies lists two files called tiny.toml: " in message
    assert "/studies/tiny.toml and " in message
    assert "twice" in told(suite, '"other"', '"../tiny.toml"')


def test_a_name_that_is_nearly_a_suites_is_told_with_it(suite: Path) -> None:
    with pytest.raises(UserError, match="there is no study or suite 'boht'; did you mean 'both'"):
        check_no_suite_is_meant("boht")
    check_no_suite_is_meant("othr")
    check_no_suite_is_meant("tiny")


def test_an_unknown_study_is_told_where_it_stands_with_the_nearest_name(suite: Path) -> None:
    message = told(suite, '"other"', '"othr"')
    assert "error: studies lists 'othr', but there is no file" in message
    assert "did you mean 'other'?" in message
    assert "both.toml:3:20" in message


def test_a_study_that_comes_twice_and_a_suite_in_a_suite_are_mistakes(suite: Path) -> None:
    assert "studies lists 'tiny' twice" in told(suite, '"other"', '"tiny"')
    assert "studies lists 'both', which is a suite: suites cannot be nested" in told(suite, '"other"', '"both"')
    assert "'suites/both.toml', which is a suite" in told(suite, '"other"', '"../suites/both.toml"').replace("../", "")


def test_unknown_and_missing_keys_and_other_kinds_of_values_are_told_like_those_of_studies(suite: Path) -> None:
    message = told(suite, "title", "titel")
    assert "error: the key 'title' is missing" in message
    assert "error: unknown key 'titel'; did you mean 'title'?" in message
    assert "studies = 3 must be a list of study names" in told(suite, '["tiny", "other"]', "3")
    assert "studies = [] must be a list" in told(suite, '["tiny", "other"]', "[]")
    assert "does not match the file name 'both'" in told(suite, '"both"', '"bth"')
