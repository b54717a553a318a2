"""Fixtures for all tests: studies and results in a temporary folder, and the command as a user runs it."""

import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import tiny_profile

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as for what a script starts with &: commands would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

CHECKOUT = Path(__file__).parents[1]
Ablate = Callable[..., subprocess.CompletedProcess[str]]

TINY_STUDY = """
name = "tiny"
title = "A tiny study"
question = "Does temperature matter?"

[base]
loss.temperature = 0.5

[axes]
first = { setting = "augment.transforms.0", values = ["crop", "color"] }
temperature = { setting = "loss.temperature", values = [0.1, 1.0] }

[[cases]]
name = "untrained"
label = "untrained encoder"
set.epochs = 0
"""

TINY_PROFILE = tiny_profile(16, 64, 40, "cached_linear")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """`-n auto`: a process for each core, and one for the cluster's tests, which wait more than they compute."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """`--dist loadfile` runs the tests of a file in one process; those that need the cluster, which is costly, too."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class OneForTheCluster(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return "tests/slurm" if nodeid.startswith("tests/slurm/") else super()._split_scope(nodeid)

    return OneForTheCluster(config, log)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with one tiny study and one tiny profile, called embedded so that it is the default."""
    (tmp_path / "studies" / "profiles").mkdir(parents=True)
    (tmp_path / "studies" / "tiny.toml").write_text(TINY_STUDY)
    (tmp_path / "studies" / "profiles" / "embedded.toml").write_text(TINY_PROFILE)
    return tmp_path


@pytest.fixture
def ablate(project: Path) -> Ablate:
    """Runs the `ablate` command in the project's folder."""

    def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ablate", *arguments]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, **options)  # type: ignore[call-overload]

    return run


@pytest.fixture(scope="session")
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10 as an image folder, from the archive that ABLATE_CIFAR10_ARCHIVE names."""
    archive = os.environ.get("ABLATE_CIFAR10_ARCHIVE")
    if not archive:
        pytest.skip("ABLATE_CIFAR10_ARCHIVE does not name an archive of CIFAR-10 as an image folder")
    folder = tmp_path_factory.mktemp("cifar10")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder
