"""`ablate doctor --on NAME`, against a real cluster: what it finds, and the help it gives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ablate.run.cluster import Cluster as Table
from ablate.run.cluster import FollowUp
from ablate.run.machine import Check
from ablate.run.slurm import probe
from ablate.run.slurm.doctor import examine_cluster
from tests.slurm.cluster import NODES, PATIENCE, Cluster

pytestmark = pytest.mark.slurm


def examined(results: Path, **table: object) -> dict[str, Check]:
    """The checks by name; a problem takes precedence over an ok."""
    checks = list(examine_cluster(Table.model_validate(table), results))
    return {check.name: check for check in sorted(checks, key=lambda check: check.state == "problem")}


def test_the_probe_runs_sees_the_results_and_imports_this_package_if_the_table_is_right(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "ablate.toml").write_text(
        '[cluster.test]\npartition = "gpu"\naccount = "lab"\nqos = "high"\ngpus_per_node = 4\ntime = "1h"\n'
    )
    command = [sys.executable, "-m", "ablate", "doctor", "--on", "test", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert {name: check["message"] for name, check in checks.items() if check["state"] != "ok"} == {}
    assert done.returncode == 0
    expected = {"partition", "accounting", "sbatch", "job", "results", "python", "clock", "gpu", "follow-up"}
    assert expected <= set(checks)
    assert "preemption" not in checks  # the partition is not preempted, though the cluster preempts jobs
    assert "4 of 4 nodes are up, 4 GPUs per node, time limit 1-00:00:00" in checks["partition"]["message"]
    assert list((tmp_path / "results" / "slurm").iterdir()) == []  # the job's folder is gone


def test_every_error_of_a_table_is_reported_with_the_nearest_name_and_no_job_is_submitted(
    cluster: Cluster, tmp_path: Path
) -> None:
    table = {"partition": "gpuu", "account": "lap", "qos": "hihg", "follow_up": FollowUp(partition="cpu")}
    checks = examined(tmp_path, **table)
    assert "did you mean 'lab'?" in checks["account"].message
    assert "did you mean 'high'?" in checks["qos"].message
    assert checks["sbatch"].state == "problem"
    assert checks["job"].message == "not submitted, because it would not run"
    partitions = [check.message for check in examine_cluster(Table.model_validate(table), tmp_path) if check.help]
    assert "there is no partition 'gpuu'; did you mean 'gpu'?" in partitions
    assert "follow_up.partition: there is no partition 'cpu'; did you mean 'gpu'?" in partitions
    assert cluster.jobs() == {}


def test_more_time_or_gpus_than_a_partition_offers_are_reported(cluster: Cluster, tmp_path: Path) -> None:
    checks = examined(tmp_path, time="2d", gpus_per_node=8)
    assert checks["time"].message == "time = '2d' is more than gpu allows (1-00:00:00)"
    assert checks["gpus"].message == "gpus_per_node = 8, but nodes of gpu have 4"


def test_an_unknown_option_of_sbatch_is_reported_in_its_own_words(cluster: Cluster, tmp_path: Path) -> None:
    assert "unrecognized option '--exlusive'" in examined(tmp_path, options={"exlusive": True})["sbatch"].message


def test_a_cluster_without_accounting_gets_a_warning_and_runs_the_probe(cluster: Cluster, tmp_path: Path) -> None:
    cluster.configure(accounting=False)
    checks = examined(tmp_path, account="lab")
    assert checks["accounting"].state == "warning"
    assert "accounting_storage plugin" in checks["accounting"].message
    assert checks["job"].state == "ok"


def test_a_setup_that_fails_is_reported_with_its_output(cluster: Cluster, tmp_path: Path) -> None:
    checks = examined(tmp_path, setup=["module load cuda", "function python() { exit 3; }", "no-such-python; exit 127"])
    assert checks["job"].state == "problem"
    assert "no-such-python: command not found" in checks["job"].message


def test_a_results_folder_that_no_node_sees_is_reported(cluster: Cluster, tmp_path: Path) -> None:
    """The command sees another file system there, like the local disk of a login node."""
    (tmp_path / "results").mkdir()
    script = f"mount -t tmpfs none {tmp_path}/results && exec {sys.executable} -m ablate doctor --on slurm"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("this machine does not let processes have private mounts")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "put results on a file system that compute nodes can see" in done.stdout


def test_a_full_queue_is_a_warning_and_the_probe_is_cancelled(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_WAIT_SECONDS", 4.0)
    for node in NODES:
        cluster.run("sbatch", "--exclusive", f"--nodelist={node}", "--output=/dev/null", "--wrap", "sleep 300")
    checks = examined(tmp_path)
    assert checks["job"].state == "warning"
    assert "is still waiting" in checks["job"].message
    assert len(cluster.jobs()) == len(NODES)


def test_without_a_controller_nothing_else_is_checked(cluster: Cluster, tmp_path: Path) -> None:
    cluster.kill_controller()
    assert set(examined(tmp_path)) == {"cluster", "controller"}
