"""`~` in a path is the home folder, wherever a path can be given; a path may have any bytes."""

import os
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import ablate
from ablate.cli import app, main
from ablate.errors import UserError, as_path
from ablate.records.files import Results
from ablate.simclr.config import Config
from ablate.study.load import find_study, load_study
from ablate.study.suite import find_suite
from tests.conftest import TINY_STUDY
from tests.records.by_hand import key_of, write_plan, write_trial


def callbacks(group: typer.Typer) -> Iterator[Callable[..., Any]]:
    yield from (command.callback for command in group.registered_commands if command.callback)
    for inner in group.registered_groups:
        yield from callbacks(inner.typer_instance) if inner.typer_instance else ()


def paths_of(command: Callable[..., Any]) -> dict[str, Any]:
    """Parameter -> what typer knows of it, for those that are paths."""
    found = {}
    for name, hint in typing.get_type_hints(command, include_extras=True).items():
        kinds = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
        if Path in (kinds, *typing.get_args(kinds)):
            found[name] = hint
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_trial(Results(tmp_path / "home" / "r"), key_of(1))
    write_plan(Results(tmp_path / "home" / "r"), {key_of(1): {"size": 1}})
    return tmp_path / "home"


def test_every_path_that_a_command_takes_is_parsed_by_the_function_that_knows_the_home_folder() -> None:
    found = {(each.__name__, name): hint for each in callbacks(app) for name, hint in paths_of(each).items()}
    assert len(found) > 25
    wrong = [where for where, hint in found.items() if getattr(hint, "__metadata__", [None])[0].parser is not as_path]
    assert wrong == []


def test_commands_read_and_write_below_the_home_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app(["query", "SELECT key FROM trials", "--results=~/r"], standalone_mode=False)
    assert key_of(1) in capsys.readouterr().out
    app(["export", "mine", "--results=~/r", "--output=~/out.csv"], standalone_mode=False)
    assert key_of(1) in (home / "out.csv").read_text()
    app(["export", "mine", f"--results={home}/r", "--output=./~"], standalone_mode=False)
    assert key_of(1) in Path("./~").read_text()
    assert [path.name for path in Path().iterdir()] == ["~"]


def test_the_python_api_reads_below_the_home_folder(home: Path) -> None:
    assert ablate.results("mine", folder="~/r").pl()["key"].to_list() == [key_of(1)]
    assert ablate.gc("~/r", dry_run=True) is not None


def test_studies_and_suites_are_found_below_the_home_folder(home: Path) -> None:
    (home / "tiny.toml").write_text(TINY_STUDY)
    (home / "all.toml").write_text('name = "all"\ntitle = "All"\nstudies = ["tiny"]\n')
    Path("mine.toml").write_text('name = "mine"\nextends = "~/tiny"\n')
    assert find_study("~/tiny.toml") == home / "tiny.toml"
    assert find_suite("~/all.toml") == home / "all.toml"
    assert load_study("./mine.toml").study.title == "A tiny study"


def test_paths_among_the_settings_of_the_trainer_are_below_the_home_folder(home: Path) -> None:
    changed = {"data": {"name": "folder", "root": "~/images"}, "evaluate": {"transfer": {"root": "~/other"}}}
    config = Config.model_validate(changed)
    assert (config.data.root, config.evaluate.transfer.root) == (home / "images", home / "other")


def test_the_home_of_an_unknown_user_is_an_error() -> None:
    with pytest.raises(UserError, match="this user does not exist"):
        as_path("~no-such-user-here/x")
    assert as_path("./~") == Path.cwd() / "~"


def test_a_folder_whose_name_is_not_utf_8_is_read(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = os.fsdecode(b"r\xff \n[1]")
    (home / "r").rename(home / odd)
    app(["query", "SELECT key FROM trials", f"--results={home}/{odd}"], standalone_mode=False)
    assert key_of(1) in capsys.readouterr().out


def test_a_current_folder_that_was_removed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["ablate", "studies"])
    folder.rmdir()
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "error: the current folder does not exist any more\n  help: change to one that does: cd\n"
    )
