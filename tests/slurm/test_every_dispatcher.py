"""The same tests for training in this process, in a pool, and on a cluster: what people rely on everywhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.slurm.cluster import wait_until
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
    assert sorted(project.diary) == ["0 0 0", "1 0 0", "2 0 0"]
    values = sorted(project.results().values())
    assert values[0] == 0.0
    assert values[1:] == pytest.approx([9.247849202, 15.937424601])
    again = project.ablate("run", "small", *how)
    assert "3 done; nothing to train" in again
    assert len(project.diary) == 3


def test_a_trial_that_fails_is_told_and_costs_the_others_nothing(how: tuple[str, ...], make: Make) -> None:
    project = make(range(3), 'does = "raise at 1"')
    printed = project.ablate("run", "small", *how, code=1)
    assert "error: 1 of 3 trials failed\n  1 x exception: RuntimeError: boom\n      first: x=1 seed=0" in printed
    assert sorted(project.diary) == ["0 0 0", "1 0 0", "2 0 0"]
    assert len(project.results()) == 2
    assert project.page.exists()
    printed = project.ablate("retry", "small", *how, code=1)
    assert sorted(project.diary) == ["0 0 0", "1 0 0", "1 0 0", "2 0 0"]


def test_a_cancelled_trial_stops_and_goes_on_when_it_is_asked_for_again(how: tuple[str, ...], make: Make) -> None:
    project = make(range(1), "seconds = 20\nsteps = 400")
    run = project.start("run", "small", *how)
    wait_until(lambda: project.diary, "the trial's first step", seconds=120)
    project.ablate("cancel", "small")
    run.communicate(timeout=120)
    assert project.ends()[0] == ("interrupted", "cancelled")
    project.ablate("run", "small", *how)
    first, second = project.diary
    assert first == "0 0 0"
    assert 0 < int(second.split()[2]) < 400
    assert len(project.results()) == 1
