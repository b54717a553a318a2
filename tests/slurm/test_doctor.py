"""`ablate doctor --on NAME`, against a real cluster: what it finds, and what it says to do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ablate.run.checks import Check
from ablate.run.slurm import tiny_job
from ablate.run.slurm.clusters import Cluster as Table
from ablate.run.slurm.clusters import FollowUp
from ablate.run.slurm.doctor import examine_cluster
from tests.slurm.cluster import NODES, Cluster

pytestmark = pytest.mark.slurm


def examined(results: Path, **table: object) -> dict[str, Check]:
    """What is looked at, by name; problems win over what is well."""
    checks = list(examine_cluster(Table.model_validate(table), results))
    return {check.name: check for check in sorted(checks, key=lambda check: check.state == "problem")}


def test_a_cluster_as_its_table_says_runs_a_tiny_job_that_sees_results_and_this_package(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "ablate.toml").write_text(
        '[cluster.test]\npartition = "gpu"\naccount = "lab"\nqos = "high"\ngpus_per_node = 4\ntime = "1h"\n'
    )
    command = [sys.executable, "-m", "ablate", "doctor", "--on", "test", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert {name: check["told"] for name, check in checks.items() if check["state"] != "ok"} == {}
    assert done.returncode == 0
    assert {"partition", "accounting", "preemption", "sbatch", "job", "results", "python", "clock", "gpu"} <= set(
        checks
    )
    assert "4 of 4 nodes work, 4 GPUs a node, at most 1-00:00:00" in checks["partition"]["told"]
    assert list((tmp_path / "results" / "slurm").iterdir()) == []  # the job's folder is gone


def test_every_mistake_of_a_table_is_told_with_the_nearest_name_and_no_job_is_sent(
    cluster: Cluster, tmp_path: Path
) -> None:
    table = {"partition": "gpuu", "account": "lap", "qos": "hihg", "follow_up": FollowUp(partition="cpu")}
    checks = examined(tmp_path, **table)
    assert "did you mean 'lab'?" in checks["account"].told
    assert "did you mean 'high'?" in checks["qos"].told
    assert checks["sbatch"].state == "problem"
    assert checks["job"].told == "not sent, since it would not run"
    partitions = [check.told for check in examine_cluster(Table.model_validate(table), tmp_path) if check.help]
    assert "there is no partition 'gpuu'; did you mean 'gpu'?" in partitions
    assert "follow_up.partition: there is no partition 'cpu'; did you mean 'gpu'?" in partitions
    assert cluster.jobs() == {}


def test_more_time_and_more_gpus_than_a_partition_has_are_told(cluster: Cluster, tmp_path: Path) -> None:
    checks = examined(tmp_path, time="2d", gpus_per_node=8)
    assert checks["time"].told == "time = '2d' is more than gpu allows (1-00:00:00)"
    assert checks["gpus"].told == "gpus_per_node = 8, and a node of gpu has 4"


def test_an_option_that_sbatch_does_not_know_is_told_in_its_own_words(cluster: Cluster, tmp_path: Path) -> None:
    assert "unrecognized option '--exlusive'" in examined(tmp_path, options={"exlusive": True})["sbatch"].told


def test_a_cluster_without_accounting_is_warned_of_and_runs_the_job(cluster: Cluster, tmp_path: Path) -> None:
    cluster.configure(accounting=False)
    checks = examined(tmp_path, account="lab")
    assert checks["accounting"].state == "warning"
    assert "accounting_storage plugin" in checks["accounting"].told
    assert checks["job"].state == "ok"


def test_setup_without_ablate_is_told_as_that(cluster: Cluster, tmp_path: Path) -> None:
    checks = examined(tmp_path, setup=["module load cuda", "function python() { exit 3; }", "no-such-python; exit 127"])
    assert checks["job"].state == "problem"
    assert "no-such-python: command not found" in checks["job"].told


def test_a_results_folder_that_no_node_sees_is_told(cluster: Cluster, tmp_path: Path) -> None:
    """The command sees a file system of its own there, as that of a login node's local disk."""
    (tmp_path / "results").mkdir()
    script = f"mount -t tmpfs none {tmp_path}/results && exec {sys.executable} -m ablate doctor --on slurm"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("this machine lets no process have mounts of its own")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "put results on a file system that compute nodes see too" in done.stdout


def test_a_queue_that_does_not_move_is_a_warning_and_the_job_is_taken_back(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_job, "_WAIT_SECONDS", 4.0)
    for node in NODES:
        cluster.run("sbatch", "--exclusive", f"--nodelist={node}", "--output=/dev/null", "--wrap", "sleep 300")
    checks = examined(tmp_path)
    assert checks["job"].state == "warning"
    assert "still waits" in checks["job"].told
    assert len(cluster.jobs()) == len(NODES)


def test_without_a_controller_that_is_all_that_is_told(cluster: Cluster, tmp_path: Path) -> None:
    cluster.kill_controller()
    assert set(examined(tmp_path)) == {"cluster", "controller"}
