"""A real cluster for the tests of this folder: started once, and repaired before each test."""

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from tests.slurm.cluster import PATIENCE, Cluster, missing, running_cluster
from tests.slurm.project import Project, check_that_nobody_waits

_SLOW = """
echo "$(cat $2/state) begins" >> $2/diary
[ -f $2/state ] && echo '{"top1": 1}' && exit
trap 'echo saved > $2/state; exit' TERM
while :; do sleep 0.2; done
"""
_PASSED = pytest.StashKey[bool]()
_LAST = "test_time_limit.py"
"""Its jobs run beside the other tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of _LAST at the end: their jobs start with the first test of this folder.

    Tests of this folder may take far longer than others before they count as hanging: see PATIENCE.
    """
    items.sort(key=lambda item: item.path.name == _LAST)
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(2.5 * PATIENCE))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether a test has passed, for the checks of its fixtures."""
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@dataclass(frozen=True)
class LongRun:
    """Studies of one trial, on another cluster, whose time limit is far shorter than the trial.

    forgetful: its trainer saves nothing; forgetful_ranks: neither does this one, on two nodes. command: its trainer is
    a command, which saves its state when it is asked to end; command_ranks: on two nodes.
    """

    STEPS: ClassVar[int] = 2000
    cluster: Cluster
    project: Project
    forgetful: Project
    forgetful_ranks: Project
    command: Project
    command_ranks: Project


@pytest.fixture(scope="session")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LongRun]:
    """Submitted when the first test of this folder begins, if any test uses it."""
    if reason := missing():
        pytest.skip(reason)
    with running_cluster(tmp_path_factory.mktemp("slurm_beside")) as cluster:
        folder = tmp_path_factory.mktemp("long_run")
        base = f"steps = {LongRun.STEPS}\nseconds = 1000\n"
        forget = 'does = "forget"\n'
        projects = [
            Project(folder / name, [5], f'{base}diary = "{folder}/{name}/diary"\n{more}', 'time = "1min"')
            for name, more in (("p", "slow_attempts = 3"), ("f", forget), ("r", f"{forget}[resources]\nnodes = 2\n"))
        ]
        for name, more in (("c", ""), ("cr", "[resources]\nnodes = 2\n")):
            projects.append(Project.of_command(folder / name, ["late"], _SLOW, 'time = "1min"'))
            with (folder / name / "studies" / "small.toml").open("a") as study:
                study.write(more)
        with pytest.MonkeyPatch.context() as within:
            within.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
            for project in projects:
                project.ablate("run", "small", "--on", "test")
        yield LongRun(cluster, *projects)


@pytest.fixture(scope="session")
def _cluster(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if reason := missing():
        pytest.skip(reason)
    if any(item.path.name == _LAST for item in request.session.items):
        request.getfixturevalue("long_run")
    with running_cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
def cluster(
    _cluster: Cluster, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Cluster]:
    """The cluster, intact and empty. Every command that the test starts talks to it.

    At the end of a test, every trial below tmp_path is done or told why, and nobody is left waiting, unless the test is
    marked with `ends_otherwise`.
    """
    for name in list(os.environ):
        if name.startswith(("SLURM_", "SBATCH_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_CONF", str(_cluster.folder / "slurm.conf"))
    _cluster.heal()
    yield _cluster
    node = request.node
    if node.stash.get(_PASSED, False) and not node.get_closest_marker("ends_otherwise"):
        for slurm in tmp_path.rglob("results/slurm"):
            check_that_nobody_waits(slurm.parent, _cluster)
    if _cluster.daemons["slurmctld"].poll() is None:
        _cluster.run("scancel", "--user=root", check=False)


class Shim:
    """A command in front of Slurm's own: it records its calls, fails on request, and otherwise runs the real one."""

    def __init__(self, folder: Path, name: str) -> None:
        self._calls, self._failures = folder / f"{name}.calls", folder / f"{name}.failures"
        path = folder / name
        path.write_text(f"""#!/bin/sh
echo "$*" >> {self._calls}
if [ -s {self._failures} ]; then
  head -n 1 {self._failures} >&2
  sed -i 1d {self._failures}
  exit 1
fi
PATH=$(echo "$PATH" | sed "s|{folder}:||g") exec {name} "$@"
""")
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """The arguments of each call so far."""
        return self._calls.read_text().splitlines() if self._calls.exists() else []

    def fail(self, *messages: str) -> None:
        """Make the next calls fail, each with one of these messages."""
        self._failures.write_text("".join(f"{message}\n" for message in messages))


class Shims:
    """A folder of commands in front of the real ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, name: str) -> Shim:
        """Put one command in front of the real one of that name."""
        return Shim(self._folder, name)


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shims:
    """`shim("sbatch")` records calls of sbatch, and injects failures."""
    folder = tmp_path / "shims"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return Shims(folder)
