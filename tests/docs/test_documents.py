"""The documents show what the commands print: every command in them is run."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from ablate.cli import app
from ablate.study.check import check_files
from tests.conftest import TINY_PROFILE

AXIS = 'temperature = { setting = "loss.temperature", values = [0.1, 0.2] }\n'
ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_is_what_its_commands_and_the_schema_give(document: Path) -> None:
    command = [sys.executable, str(ROOT / "docs" / "build.py"), "--check", str(document)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert run.returncode == 0, run.stdout + run.stderr


README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ ablate (.+?)(?: +#.*)?$", README, re.MULTILINE)
NEEDS = {
    "new rates": "a script",
    "run rates": "a script",
    "report rates": "a script",
    "import": "a table of runs",
    "judge old_runs": "a table of runs",
    "noise old_runs": "a table of runs",
    "data look": "images",
    "data pack": "images",
    "data get": "a network",
    "run studies/augment_pairs.toml": "images",
    "doctor --on": "a cluster",
    "run my_temperature --on big": "a cluster",
    "status my_temperature --watch": "Ctrl-C to end",
    "serve": "Ctrl-C to end",
    "run studies/suites": "hours",
    "run augment_pairs": "minutes",
    "judge augment_pairs": "results of augment_pairs",
    "report augment_pairs": "results of augment_pairs",
    "export augment_pairs": "results of augment_pairs",
    "attribute parts": "results of parts",
    "compare": "two results folders",
    "verify paper.tex": "a paper",
}
"""Commands of the README that are not run here -> what they need."""


def test_the_commands_of_the_readme_parse() -> None:
    assert len(COMMANDS) >= 5
    for line in COMMANDS:
        arguments = shlex.split(line)
        command: Any = get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        command.make_context("ablate", arguments)


def test_the_commands_and_the_python_of_the_readme_run_on_a_tiny_profile(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "studies", tmp_path / "studies")
    (tmp_path / "studies" / "profiles" / "embedded.toml").write_text(TINY_PROFILE)
    python = next(iter(re.findall(r"```python\n(.*?)```", README, re.DOTALL)))
    lines = [line for line in COMMANDS if not line.startswith(tuple(NEEDS))]
    assert len(lines) >= 8
    for arguments in [*(["-m", "ablate", *shlex.split(line)] for line in lines), ["-c", python]]:
        run = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert run.returncode == 0, f"{arguments}\n{run.stdout}{run.stderr}"


def test_the_study_of_the_readme_is_valid_and_its_error_is_what_check_prints(tmp_path: Path) -> None:
    study = tmp_path / "studies" / "augment_pairs.toml"
    study.parent.mkdir()
    study.write_text(next(iter(re.findall(r"```toml\n(.*?)```", README, re.DOTALL))))
    (checked,) = check_files([str(study)], ["embedded", "small", "imagenet"])
    assert checked.problems == ()
    (tmp_path / "studies" / "mine.toml").write_text(
        HEAD.replace("fragment", "mine") + "[base]\nloss.temprature = 0.5\n"
    )
    command = [sys.executable, "-m", "ablate", "check", "studies/mine.toml"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert next(iter(re.findall(r"```text\n(error: .*?)\n```", README, re.DOTALL))) in run.stdout + run.stderr


HEAD = 'name = "fragment"\ntitle = "t"\nquestion = "q"\n'


def test_every_piece_of_a_study_in_the_reference_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "temperature.toml").write_text(HEAD.replace("fragment", "temperature") + "[axes]\n" + AXIS)
    pieces = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "study-file.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(pieces) >= 8
    for piece in pieces:
        text = piece if piece.startswith("name") else HEAD + piece
        needs_axis = "extends" not in piece and ("axes.temperature" in piece or "[axes" not in piece)
        path = tmp_path / f"{'temperature_wide' if 'extends' in piece else 'fragment'}.toml"
        path.write_text(text + ("[axes]\n" + AXIS if needs_axis else ""))
        (checked,) = check_files([str(path)], ["embedded", "imagenet"])
        assert checked.problems == (), f"{text}\n{checked.problems[0]}"
