"""docs/slurm.md shows what the commands print on a real cluster."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.cluster import PATIENCE, Cluster

pytestmark = pytest.mark.slurm
ROOT = Path(__file__).parents[2]


def test_the_document_shows_what_its_commands_print_on_a_cluster(cluster: Cluster) -> None:
    command = [sys.executable, str(ROOT / "docs" / "build.py"), "--check", str(ROOT / "docs" / "slurm.md")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 0, run.stdout + run.stderr
