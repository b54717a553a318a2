"""docs/slurm.md shows what the commands print on a real cluster."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster

pytestmark = pytest.mark.slurm
ROOT = Path(__file__).parents[2]


def test_the_document_of_slurm_is_what_its_commands_give_on_a_cluster(cluster: Cluster) -> None:
    command = [sys.executable, str(ROOT / "docs" / "build.py"), "--check", str(ROOT / "docs" / "slurm.md")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert run.returncode == 0, run.stdout + run.stderr
