import os
from pathlib import Path

import pytest

from ablate.command.files import copy_into, hashes, matching, named_by, needed
from ablate.errors import InvalidValue, UserError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "train.py": "import model\nfrom parts import layer\nimport json\n",
        "model.py": "import helper\n",
        "helper.py": "",
        "unused.py": "",
        "parts/__init__.py": "",
        "parts/layer.py": "",
        "parts/__pycache__/layer.pyc": "",
        "configs/a.yaml": "a: 1",
        "configs/deep/b.yaml": "b: 1",
        "run.sh": "#!/bin/sh\n",
        "data/x.bin": "x",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_command_needs_the_files_of_its_words_what_they_import_and_what_the_study_lists(project: Path) -> None:
    code = ["helper.py", "model.py", "parts/__init__.py", "parts/layer.py", "train.py"]
    assert list(needed(project, ["python", "train.py", "--lr={lr}"], [])) == code
    assert list(needed(project, ["./run.sh", "--config=configs/a.yaml"], [])) == ["configs/a.yaml", "run.sh"]
    assert needed(project, ["x"], ["configs/**/*.yaml", "gone"]) == ("configs/a.yaml", "configs/deep/b.yaml")
    assert needed(project, ["x"], ["parts"]) == ("parts/__init__.py", "parts/layer.py")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("config/*.yaml", "does not exist"), ("../x", "lies outside"), ("/etc/passwd", "lies outside"), ("", "not exist")],
)
def test_an_entry_that_matches_nothing_in_the_project_is_refused(project: Path, pattern: str, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        matching(project, pattern)


def test_a_script_that_does_not_exist_is_a_mistake_and_another_word_is_not(project: Path) -> None:
    with pytest.raises(InvalidValue, match=r"did you mean 'train.py'\?"):
        named_by("trian.py", project)
    with pytest.raises(InvalidValue, match="is a folder"):
        named_by("./data", project)
    others = ["small", "--lr", "--lr=0.1", "model={model}", "data", "/etc/passwd", "x" * 5000]
    assert [named_by(word, project) for word in others] == [None] * len(others)


def test_a_trial_gets_copies_and_refuses_files_that_have_changed_since_its_plan(project: Path, tmp_path: Path) -> None:
    planned = hashes(project, ["run.sh", "configs/a.yaml"])
    (tmp_path / "out").mkdir()
    copy_into(tmp_path / "out", project, planned)
    assert (tmp_path / "out/configs/a.yaml").read_text() == "a: 1"
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    (project / "run.sh").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(UserError, match=r"run\.sh has changed since the trial was planned"):
        copy_into(tmp_path / "out", project, planned)
    (project / "run.sh").unlink()
    with pytest.raises(UserError, match=r"does not have any more"):
        copy_into(tmp_path / "out", project, planned)
