"""Trials that need longer than their jobs may take. Slurm's shortest limit is a minute, so they run beside other tests.

They have another cluster, which the first test of this folder starts; these tests wait for the rest.
"""

import pytest

from tests.slurm.cluster import wait_until
from tests.slurm.conftest import LongRun
from tests.slurm.project import Project
from tests.slurm.test_life import undisturbed

pytestmark = pytest.mark.slurm


def test_a_job_that_hits_its_time_limit_three_times_ends_with_the_result_of_an_undisturbed_one(
    long_run: LongRun,
) -> None:
    project = long_run.project
    wait_until(lambda: project.results(), "the result")
    begun = [int(line.split()[2]) for line in project.diary]
    assert len(begun) == 4
    assert begun == sorted(set(begun)), "each attempt resumes where the one before it stopped"
    assert project.ends() == [("interrupted", "timeout")] * 3 + [("done", None)]
    assert list(project.results().values()) == undisturbed([5], LongRun.STEPS)
    wait_until(lambda: project.has_ended, "the end of the submission")


@pytest.mark.parametrize("name", ["command", "command_ranks"])
def test_a_command_that_hits_its_time_limit_is_asked_to_save_its_state_and_resumes(
    long_run: LongRun, name: str
) -> None:
    project: Project = getattr(long_run, name)
    wait_until(lambda: project.results(), "the result")
    assert project.ends()[-2:] == [("interrupted", "timeout"), ("done", None)]
    (diary,) = (project.folder / "results").rglob("diary")
    assert diary.read_text().splitlines()[-2:] == [" begins", "saved begins"]
    wait_until(lambda: project.has_ended, "the end of the submission")


@pytest.mark.parametrize(("name", "ranks"), [("forgetful", 1), ("forgetful_ranks", 2)])
def test_a_trial_that_saves_nothing_is_not_restarted_forever(long_run: LongRun, name: str, ranks: int) -> None:
    project: Project = getattr(long_run, name)
    wait_until(project.page.exists, "the page, which is made at the end")
    assert project.ends() == [("interrupted", "unsaved")] * 2
    assert project.diary == ["5 0 0"] * 2 * ranks
    assert len(project.submissions()) == 2
    why = " ".join(project.ablate("why", "small:x=5").split())
    assert "nothing had been saved, so the next attempt starts over" in why
    assert "allow more time" in why
    wait_until(lambda: project.has_ended, "the end of all submissions")
