"""Studies whose trainer is a command: what is told of mistakes, and which trials they make."""

from pathlib import Path
from typing import Any

import pytest

from ablate.study.check import check_files
from ablate.study.expansion.expand import expand
from ablate.study.expansion.trial import Expansion
from ablate.study.load import load_profile, load_study

HEAD = 'name = "mine"\ntitle = "Mine"\nquestion = "Why?"\nmetric = "acc"\n'
COMMAND = 'command = ["python", "train.py", "--lr", "{lr}"]\n'
AXES = "[axes]\nlr = [0.1, 1]\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("pass\n")
    return tmp_path


def told(text: str) -> str:
    Path("mine.toml").write_text(text)
    (checked,) = check_files(["mine.toml"], [])
    return "\n".join(map(str, checked.problems))


def expanded(text: str, **overrides: Any) -> Expansion:
    Path("mine.toml").write_text(text)
    loaded = load_study("mine.toml")
    assert not loaded.problems
    return expand(loaded, load_profile("embedded", Path("mine.toml")), overrides)


def test_a_misspelled_placeholder_is_told_with_its_line_and_the_nearest_name() -> None:
    assert told(HEAD + 'command = ["python", "train.py", "--lr", "{lrr}", "{lr}"]\n' + AXES) == (
        "error: command: {lrr} is not an axis, a default or a place; did you mean 'lr'?\n"
        "  --> mine.toml:5:42\n"
        "  |\n"
        '5 | command = ["python", "train.py", "--lr", "{lrr}", "{lr}"]\n'
        "  |                                          ^^^^^^^\n"
        "  help: placeholders are: {lr}, {seed}, {out}, {checkpoints}, {device}, {key}, {project}"
    )


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        (HEAD + 'command = ["x"]\n' + AXES, "the command does not use the axis 'lr'", ":7:1"),
        (HEAD + COMMAND.replace("train", "trian") + AXES, "did you mean 'train.py'?", ":5:22"),
        (HEAD + COMMAND + 'files = ["a.yaml"]\n' + AXES, "files: 'a.yaml' does not exist", ":6:10"),
        (HEAD + COMMAND + 'metrics = "{out}/x.txt"\n' + AXES, "is neither stdout, nor a JSON file", ":6:1"),
        (HEAD + COMMAND + 'metrics = "(?P<a>"\n' + AXES, "is not a valid regular expression", ":6:1"),
        (HEAD + COMMAND + 'metrics = "{o}/x.json"\n' + AXES, "{o} is not an axis", ":6:1"),
        (HEAD.replace("metric", "# ") + COMMAND + AXES, "the key 'metric' is missing", ":5:1"),
        (HEAD + COMMAND + 'trainer = "a:b"\n' + AXES, "both a command and a trainer", ":5:1"),
        (HEAD + "[defaults]\nepochs = 1\n" + AXES, "defaults belongs to a command", ":5:2"),
        (HEAD + COMMAND.replace("{lr}", "{lr:--fast}") + AXES, "needs a setting that is true or false", ":5:"),
        (HEAD + COMMAND.replace("{lr}", "{lr") + AXES, "has a single {", ":5:"),
        (HEAD + COMMAND + AXES + "[defaults]\nout = 1\n", "'out' cannot be a setting", ":9:1"),
        (HEAD + COMMAND + AXES + "[defaults]\na.b = 1\n", "'a' is a table", ":9:1"),
        (HEAD + COMMAND + AXES + '[defaults]\nepochs = 1\n[base]\nepoch = 2\nepochs = "x"\n', "epochs = 'x'", ":12:1"),
        (HEAD + COMMAND + AXES + "[defaults]\nepochs = 1\n[base]\nepoch = 2\n", "did you mean 'epochs'?", ":11:1"),
        (HEAD + COMMAND + '[axes]\nlr = { setting = "a.lr", values = [1, 2] }\n', "'a.lr' cannot be a setting", ":7:8"),
    ],
)
def test_each_mistake_in_a_command_is_told_where_it_is(text: str, message: str, place: str) -> None:
    found = told(text)
    assert message in found
    assert f"mine.toml{place}" in found


def test_settings_have_the_kinds_of_their_values_and_set_changes_them() -> None:
    text = HEAD + COMMAND + AXES + '[defaults]\nepochs = 1\nclip = "none"\nsizes = [1, 2]\nname = "none"\n'
    expansion = expanded(text + '[[cases]]\nname = "c"\nlabel = "c"\nset.lr = 3\n', epochs=5)
    configs = [trial.config.model_dump() for trial in expansion.trials]
    assert [config["lr"] for config in configs] == [0.1, 1.0, 3.0]
    assert {config["epochs"] for config in configs} == {5}
    assert configs[0]["sizes"] == [1, 2]
    assert configs[0]["name"] == "none"
    assert expanded(HEAD + COMMAND + '[axes]\nlr = [0.1, "none"]\n').trials[1].config.lr is None


def test_the_content_of_a_commands_files_is_part_of_its_trials(project: Path) -> None:
    text = HEAD + COMMAND + 'files = ["a.yaml"]\n' + AXES
    keys = []
    for content in ("a", "b", "a"):
        (project / "a.yaml").write_text(content)
        keys.append([trial.key for trial in expanded(text).trials])
    assert keys[0] == keys[2]
    assert not set(keys[0]) & set(keys[1])
    assert expanded(text).trainer.files == ("a.yaml", "train.py")
