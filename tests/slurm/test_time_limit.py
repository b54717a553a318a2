"""A trial that needs longer than its jobs may take. Slurm's shortest limit is a minute: it goes on beside other tests.

Its cluster is another one, which the first test of this folder starts; this test waits for what is left.
"""

import pytest

from tests.slurm.cluster import wait_until
from tests.slurm.conftest import LongRun
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
