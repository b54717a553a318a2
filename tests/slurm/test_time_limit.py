"""Trials that need longer than their jobs may take. Slurm's shortest limit is a minute: they go on beside other tests.

Their cluster is another one, which the first test of this folder starts; these tests wait for what is left.
"""

import pytest

from tests.slurm.cluster import wait_until
from tests.slurm.conftest import LongRun
from tests.slurm.project import Project
from tests.slurm.test_life import undisturbed

pytestmark = pytest.mark.slurm


def test_a_job_that_hits_its_time_limit_three_times_ends_with_the_result_of_one_never_disturbed(
    long_run: LongRun,
) -> None:
    project = long_run.project
    wait_until(lambda: project.results(), "the result", seconds=600)
    begun = [int(line.split()[2]) for line in project.diary]
    assert len(begun) == 4
    assert begun == sorted(set(begun)), "each attempt goes on where the one before it stopped"
    assert project.ends() == [("interrupted", "timeout")] * 3 + [("done", None)]
    assert list(project.results().values()) == undisturbed([5], LongRun.STEPS)


@pytest.mark.parametrize(("name", "ranks"), [("forgetful", 1), ("forgetful_ranks", 2)])
def test_a_trial_that_saves_nothing_is_not_begun_again_for_ever(long_run: LongRun, name: str, ranks: int) -> None:
    project: Project = getattr(long_run, name)
    wait_until(project.page.exists, "the page, which is made at the end", seconds=600)
    assert project.diary == ["5 0 0"] * 2 * ranks
    assert project.ends() == [("interrupted", "unsaved")] * 2
    assert len(project.submissions()) == 2
    why = " ".join(project.ablate("why", "small:x=5").split())
    assert "it had saved nothing, and another attempt begins where it began" in why
    assert "give it more time" in why
