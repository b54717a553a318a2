"""The cluster of the other tests behaves like a real one, and leaves no process behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, wait_until
from tests.slurm.conftest import Shims

pytestmark = pytest.mark.slurm


def _submit(cluster: Cluster, tmp_path: Path, script: str, *options: str) -> str:
    command = ("sbatch", "--parsable", f"--output={tmp_path}/%j.out", *options, "--wrap", script)
    return cluster.run(*command)


def test_a_job_sees_its_gpus_and_appears_in_the_accounting(cluster: Cluster, tmp_path: Path) -> None:
    job = _submit(cluster, tmp_path, "echo $CUDA_VISIBLE_DEVICES", "--gres=gpu:2", "--account=lab", "--qos=high")
    wait_until(lambda: not cluster.jobs(), "the job's end")
    assert (tmp_path / f"{job}.out").read_text() == "0,1\n"
    wait_until(lambda: [row["State"] for row in cluster.accounted(f"--jobs={job}")] == ["COMPLETED"], "its row")


def test_the_queue_survives_a_killed_controller(cluster: Cluster, tmp_path: Path) -> None:
    job = _submit(cluster, tmp_path, "true", "--begin=now+1hour")
    cluster.wait_for_saved_jobs()
    cluster.kill_controller()
    cluster.revive_controller()
    assert cluster.jobs() == {job: "PENDING"}


def test_without_accounting_sacct_fails_and_jobs_run(cluster: Cluster, tmp_path: Path) -> None:
    cluster.configure(accounting=False, MaxArraySize=11)
    with pytest.raises(AssertionError, match="accounting storage is disabled"):
        cluster.accounted()
    with pytest.raises(AssertionError, match="Invalid job array specification"):
        _submit(cluster, tmp_path, "true", "--array=0-11")
    job = _submit(cluster, tmp_path, "echo done")
    wait_until(lambda: (tmp_path / f"{job}.out").exists() and not cluster.jobs(), "the job's end")


def test_a_shim_records_calls_and_fails_on_request(cluster: Cluster, tmp_path: Path, shim: Shims) -> None:
    sbatch = shim("sbatch")
    sbatch.fail("sbatch: error: Socket timed out on send/recv operation")
    with pytest.raises(AssertionError, match="Socket timed out"):
        _submit(cluster, tmp_path, "true")
    assert _submit(cluster, tmp_path, "true").isdigit()
    assert len(sbatch.calls) == 2


_INTERRUPTED = """
import os, sys
from pathlib import Path
from tests.slurm.cluster import running_cluster
with running_cluster(Path(sys.argv[1]), accounting=False) as cluster:
    print(cluster.run("sbatch", "--parsable", "--output=/dev/null", "--wrap", "sleep 300"), flush=True)
    sys.stdin.read()
"""


def test_no_process_is_left_of_a_cluster_whose_test_was_killed(cluster: Cluster, tmp_path: Path) -> None:
    with subprocess.Popen(
        (sys.executable, "-c", _INTERRUPTED, str(tmp_path)),
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
        assert len(_of(tmp_path)) >= 6
        os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not _of(tmp_path), "the end of all its processes")


def _of(folder: Path) -> list[str]:
    """The processes that carry a cluster's SLURM_CONF."""
    mark = f"SLURM_CONF={folder}/slurm.conf".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:  # it has ended
            continue
    return found
