"""What --set changes stands beside a study's own table; retry finds what failed."""

import json
from pathlib import Path

from tests.conftest import Ablate

CELL = ("--only", "first=crop", "--only", "temperature=0.1")


def test_results_of_other_settings_stand_beside_the_studys_own(ablate: Ablate, project: Path) -> None:
    ablate("run", "tiny", *CELL)
    before = (project / "reports" / "tiny.html").read_text()
    run = ablate("run", "tiny", *CELL, "--set", "head.output_dimension=4")
    assert run.stdout.splitlines()[-1] == "page: reports/tiny-embedded+head.output_dimension=4.html"
    assert (project / "reports" / "tiny.html").read_text() == before
    rows = json.loads(ablate("query", "SELECT profile, state FROM tiny ORDER BY profile", "--json").stdout)
    assert [row["profile"] for row in rows] == ["embedded", "embedded+head.output_dimension=4"]
    assert json.loads(ablate("plan", "tiny", *CELL, "--json").stdout)["counts"]["done"] == 1


def test_a_setting_that_is_no_part_of_a_trial_changes_no_table(ablate: Ablate, project: Path) -> None:
    run = ablate("run", "tiny", *CELL, "--set", "checkpoint_minutes=1")
    assert run.stdout.splitlines()[-1] == "page: reports/tiny.html"


def test_retry_trains_what_failed_of_all_seeds_that_were_run(ablate: Ablate, project: Path) -> None:
    diverging = ("--set", "optimizer.learning_rate=1e30")
    assert ablate("run", "tiny", *CELL, "--seeds", "2", *diverging).returncode == 1
    elsewhere = ablate("retry", "tiny")
    assert elsewhere.returncode == 0
    assert elsewhere.stdout.splitlines() == [
        "no failed or interrupted trials at the profile embedded",
        "2 at embedded+optimizer.learning_rate=1e+30: "
        "ablate retry tiny --profile embedded --set optimizer.learning_rate=1e+30",
    ]
    again = ablate("retry", "tiny", *CELL, *diverging)
    assert again.returncode == 1
    assert "2 failed; training 2" in again.stdout
