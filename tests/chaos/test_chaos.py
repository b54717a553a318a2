"""Faults lose nothing, train nothing twice and change no number: sixty of them here, and the table of a campaign."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.document import DOCUMENT, RESULTS, ROOT, written
from tests.chaos.faults import KINDS
from tests.chaos.stale import _View

FIGURES = json.loads((RESULTS / "chaos.json").read_text(encoding="utf-8"))


@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("gcc") is None, reason="faults at write operations need gcc")
def test_sixty_faults_lose_nothing_double_nothing_and_change_no_number() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--faults", "60", "--seed", "1"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1750)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-5000:]


def test_an_older_view_of_a_folder_lasts_until_this_process_makes_a_file_in_it(tmp_path: Path) -> None:
    view = _View(tmp_path, seconds=60.0)
    assert view.listdir(tmp_path) == []
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    theirs.touch()
    with theirs.open("a") as file:
        view.note("open", (file.fileno(), "a", os.O_CREAT))  # of os.fdopen: a descriptor makes no file
    view.note("open", (theirs, "a", os.O_CREAT))  # it is there already
    assert view.listdir(tmp_path) == []
    view.note("open", (ours, "w", os.O_CREAT))
    ours.touch()
    assert sorted(view.listdir(tmp_path)) == ["ours", "theirs"]


def test_the_committed_campaign_has_faults_of_every_kind_and_nothing_went_wrong() -> None:
    kinds = FIGURES["kinds"]
    assert set(kinds) == set(KINDS)
    wrong = {
        kind: row for kind, row in kinds.items() if any(row[name] for name in row if name not in ("faults", "struck"))
    }
    assert wrong == {}


def test_most_faults_of_the_committed_campaign_struck_before_the_command_had_ended() -> None:
    kinds = FIGURES["kinds"].values()
    assert sum(row["struck"] for row in kinds) > 0.9 * sum(row["faults"] for row in kinds)


def test_the_tables_of_the_document_are_those_of_the_committed_figures() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert "<!-- faults -->" in text
    assert "<!-- peers -->" in text
    assert written(text) == text
