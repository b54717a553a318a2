"""A real cluster for the tests of this folder: started once, and healed before each test."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from tests.slurm.cluster import Cluster, missing, running_cluster
from tests.slurm.project import Project

_LAST = "test_time_limit.py"
"""It waits for what goes on meanwhile."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What was begun by the first test of this folder is looked at after the last one."""
    items.sort(key=lambda item: item.path.name == _LAST)


@dataclass(frozen=True)
class LongRun:
    """Studies of one trial, on a cluster of their own, whose time limit is far shorter than they.

    forgetful: its trainer saves nothing; forgetful_ranks: nor does this one, on two nodes.
    """

    STEPS: ClassVar[int] = 2000
    project: Project
    forgetful: Project
    forgetful_ranks: Project


@pytest.fixture(scope="session")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LongRun]:
    """Submitted when the first test of this folder begins, if it is asked for at all."""
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
        with pytest.MonkeyPatch.context() as within:
            within.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
            for project in projects:
                project.ablate("run", "small", "--on", "test")
        yield LongRun(*projects)


@pytest.fixture(scope="session")
def _cluster(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if reason := missing():
        pytest.skip(reason)
    if any(item.path.name == _LAST for item in request.session.items):
        request.getfixturevalue("long_run")
    with running_cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
def cluster(_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster, whole and empty; every command that the test starts, by `ablate` or otherwise, speaks to it."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "SBATCH_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_CONF", str(_cluster.folder / "slurm.conf"))
    _cluster.heal()
    yield _cluster
    if _cluster.daemons["slurmctld"].poll() is None:
        _cluster.run("scancel", "--user=root", check=False)


class Shim:
    """A command of Slurm's that notes its calls, and fails when it is told to; else the real one answers."""

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
        """The next calls fail, each with one of these messages."""
        self._failures.write_text("".join(f"{message}\n" for message in messages))


class Shims:
    """Commands in front of the real ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, name: str) -> Shim:
        """Put one command in front of the real one of that name."""
        return Shim(self._folder, name)


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shims:
    """`shim("sbatch")` counts calls of sbatch, and injects failures."""
    folder = tmp_path / "shims"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return Shims(folder)
