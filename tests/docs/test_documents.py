"""The documents show what the commands print: every command in them is run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from ablate.cli import app
from ablate.study.checked import check_files

AXIS = 'temperature = { setting = "loss.temperature", values = [0.1, 0.2] }\n'
ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_is_what_its_commands_and_the_schema_give(document: Path) -> None:
    command = [sys.executable, str(ROOT / "docs" / "build.py"), "--check", str(document)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_commands_of_the_readme_parse() -> None:
    """Those are not run here: the first of them takes minutes."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\$ ablate (.+?)(?:  +#.*)?$", readme, re.MULTILINE)
    assert len(lines) >= 5
    for line in lines:
        arguments = shlex.split(line)
        command: Any = get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        command.make_context("ablate", arguments)


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
