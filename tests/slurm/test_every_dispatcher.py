"""The same tests for training in this process, in a pool, and on a cluster."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.slurm.cluster import PATIENCE, wait_until
from tests.slurm.project import Project

HOW = {
    "inline": ("--inline",),
    "local": ("--workers", "2"),
    "slurm": ("--on", "test", "--wait"),
}
Make = Callable[..., Project]


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slurm] if name == "slurm" else []) for name in HOW])
def how(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The options that choose a dispatcher."""
    if request.param == "slurm":
        request.getfixturevalue("cluster")
    return HOW[request.param]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a project whose trainer keeps a diary."""

    def project(values: range, base: str = "") -> Project:
        diary = f'diary = "{tmp_path}/project/diary"\n'
        return Project(tmp_path / "project", values, diary + base, "trials_per_job = 2")

    return project


def test_every_trial_is_trained_once_and_a_page_is_written(how: tuple[str, ...], make: Make) -> None:
    project = make(range(3))
    printed = project.ablate("run", "small", *how)
    assert printed.splitlines()[-1] == "page: reports/small.html"
    assert ("--inline: these trials share this process" in printed) == ("--inline" in how)
    assert sorted(project.diary) == ["0 0 0", "1 0 0", "2 0 0"]
    values = sorted(project.results().values())
    assert values[0] == 0.0
    assert values[1:] == pytest.approx([9.247849202, 15.937424601])
    again = project.ablate("run", "small", *how)
    assert "3 done; nothing to train" in again
    assert len(project.diary) == 3


def test_a_failed_trial_is_reported_and_does_not_affect_the_others(how: tuple[str, ...], make: Make) -> None:
    project = make(range(3), 'does = "raise at 1"')
    printed = project.ablate("run", "small", *how, code=1)
    assert "error: 1 of 3 trials failed\n  1 x exception: RuntimeError: boom\n      first: x=1 seed=0" in printed
    assert sorted(project.diary) == ["0 0 0", "1 0 0", "2 0 0"]
    assert len(project.results()) == 2
    assert project.page.exists()
    printed = project.ablate("retry", "small", *how, code=1)
    assert sorted(project.diary) == ["0 0 0", "1 0 0", "1 0 0", "2 0 0"]


_ENDS = """
case $1 in
  error) echo 'no data here' >&2; exit 3;;
  signal) kill -SEGV $$;;
  nothing) exit 0;;
esac
echo '{"top1": 1}'
"""


def test_each_end_of_a_command_has_its_cause(how: tuple[str, ...], tmp_path: Path) -> None:
    ends = {"well": None, "error": "exit_code", "signal": "signal", "nothing": "metrics_missing"}
    project = Project.of_command(tmp_path / "project", list(ends), _ENDS, "trials_per_job = 2")
    printed = project.ablate("run", "small", *how, code=1)
    assert "error: 3 of 4 trials failed" in printed
    assert "ended with exit code 3: no data here" in printed
    assert sorted(project.ends(), key=str) == sorted(
        [("failed" if cause else "done", cause) for cause in ends.values()], key=str
    )
    assert list(project.results().values()) == [1]
    assert project.page.exists()


def test_a_cancelled_trial_stops_and_resumes_when_it_is_run_again(how: tuple[str, ...], make: Make) -> None:
    project = make(range(1), "seconds = 20\nsteps = 400")
    run = project.start("run", "small", *how)
    wait_until(lambda: project.diary, "the trial's first step")
    project.ablate("cancel", "small")
    run.communicate(timeout=PATIENCE)
    assert project.ends()[0] == ("interrupted", "cancelled")
    project.ablate("run", "small", *how)
    first, second = project.diary
    assert first == "0 0 0"
    assert 0 < int(second.split()[2]) < 400
    assert len(project.results()) == 1
