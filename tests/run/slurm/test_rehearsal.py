"""`ablate doctor --on NAME` at sites that exist only as commands on the path: it finds what would break a run."""

import os
from math import inf
from pathlib import Path
from typing import Any

import pytest

from ablate.run.cluster import Cluster
from ablate.run.machine import Check
from ablate.run.slurm import probe
from ablate.run.slurm.doctor import _hours, _longest, _preemption, examine_cluster
from ablate.run.slurm.rehearsal import rehearse
from ablate.study.schema.resources import Resources

_COMMANDS = {
    "scontrol": """
[ $1 = ping ] && echo 'Slurmctld(primary) at head is UP'
[ $2 = config ] && echo 'MaxArraySize = 1001' && echo 'PreemptMode = REQUEUE'
[ $2 = partition ] && echo '   PriorityTier=1 PreemptMode=OFF State=UP'
exit 0
""",
    "sinfo": "echo 'CLUSTER: second'; echo 'gpu*|up|30:00|4|gpu:3g.39gb:2,gpu:a100:2(S:0-1)|idle|4000+'",
    "squeue": "echo 'ablate-doctor|7|N/A|COMPLETED|node1|None'",
    "sacct": "exit 1",
    "sacctmgr": "exit 1",
    "sbatch": """
for word in "$@"; do [ "$word" = --test-only ] && only=1 || script="$word"; done
asks() { grep -q -e "^#SBATCH --$1" "$script"; }
refuse() { echo "sbatch: error: $1" >&2; exit 1; }
RULE
[ $only ] && exit 0
folder=$(dirname "$script")
ON_A_NODE=1 SLURM_JOB_ID=7 SLURMD_NODENAME=node1 bash "$script" > "$folder/7_0_log.out" 2>&1 < /dev/null &
echo "Submitted batch job 7"
""",
}


def site(folder: Path, monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    """Put the commands of a site on the path. rule: bash that may call `asks OPTION` and `refuse WORDS`."""
    (folder / "bin").mkdir()
    for name, text in _COMMANDS.items():
        (folder / "bin" / name).write_text(f"#!/bin/bash\n{text.replace('RULE', rule)}\n")
        (folder / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)


def rehearsed(folder: Path, table: dict[str, Any], resources: Resources) -> list[Check]:
    return list(rehearse(Cluster.model_validate(table), folder, resources))


@pytest.mark.parametrize(
    ("mode", "signal", "state", "said"),
    [
        ("OFF", "", "", ""),
        ("REQUEUE", "preempt_send_user_signal", "ok", "REQUEUE; a preempted job is warned in time to save its state"),
        ("REQUEUE", "", "warning", "a preempted job has 30 s (KillWait) after SIGTERM"),
        ("CANCEL", "preempt_send_user_signal", "ok", "the follow-up job submits its trials again"),
        ("GANG,CANCEL", "", "warning", "Slurm does not requeue it: the follow-up job submits its trials again"),
    ],
)
def test_the_doctor_says_what_preemption_does_to_a_job(mode: str, signal: str, state: str, said: str) -> None:
    found = list(_preemption(Cluster(), {"PreemptMode": mode, "SlurmctldParameters": signal, "KillWait": "30 sec"}))
    assert [(check.state, check.message.endswith(said)) for check in found] == ([(state, True)] if state else [])


GPU = Resources(gpus_per_node=1, memory="2GB")


@pytest.mark.parametrize(
    ("rule", "refused", "key", "table"),
    [
        ("asks requeue && refuse 'requeue is not allowed'", 4, "requeue = false", {"requeue": False}),
        ("asks array && refuse 'job arrays are disabled'", 1, "arrays = false", {"arrays": False}),
        ("refuse 'invalid partition specified: gpuu'", 4, "correct ablate.toml", None),
        ("asks hold && refuse 'jobs may not be held'", 1, "correct ablate.toml", None),
        ("asks mem= && refuse 'do not specify mem'", 3, 'memory = "per_cpu"', {"memory": "none"}),
        ("asks mem=4096M && refuse 'more mem than a node has'", 1, "memory_cap", {"memory_cap": "2GB"}),
        ("asks gpus-per-node=1 && refuse 'gres needs a type'", 3, "gpu_type", {"gpu_type": "a100"}),
        (
            "asks gpus-per-node || refuse 'a job in this partition needs a GPU'",
            1,
            "follow_up.options = { gpus-per-node = 1 }",
            {"follow_up": {"options": {"gpus-per-node": 1}}},
        ),
        ("asks cpus-per-task=1$ && refuse 'ask for 20 cpus per card'", 3, "cpus_per_gpu", {"cpus_per_gpu": 20}),
        (
            "asks cpus-per-task && ! asks exclusive && refuse 'whole nodes only'",
            3,
            "whole_nodes = true",
            {"whole_nodes": True, "gpus_per_node": 4},
        ),
    ],
)
def test_what_a_site_rejects_is_told_with_its_words_and_the_key_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, refused: int, key: str, table: dict[str, Any] | None
) -> None:
    site(tmp_path, monkeypatch, rule)
    (problem,) = rehearsed(tmp_path, {}, GPU)
    assert problem.state == "problem"
    kinds, _, words = problem.message.removeprefix("refuses ").rpartition(": ")
    assert len(kinds.split(", ")) == refused
    assert words in rule
    assert key in str(problem.help)
    if table is not None:
        (check,) = rehearsed(tmp_path, table, GPU)
        assert check.state == "ok", check.message
        assert "accepts the first trial's job, the jobs that wait for it" in check.message


def test_the_jobs_of_a_study_are_held_against_the_limits_of_the_partition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site(tmp_path, monkeypatch, ":")
    monkeypatch.setenv("SBATCH_ACCOUNT", "lab")
    monkeypatch.setattr("ablate.run.slurm.doctor.run_probe", lambda *arguments: iter(()))
    found = {check.name: check for check in examine_cluster(Cluster(), tmp_path, Resources(time="2h", memory="8GB"))}
    assert found["time"].message == "a trial's time = '2h' is more than gpu allows (30:00): its job would never start"
    assert found["memory"].message.endswith("is more than any node of gpu has (4000 MB)")
    assert "4 GPUs per node" in found["partition"].message
    assert "SBATCH_ACCOUNT of this shell is not used" in found["shell"].message
    assert found["preemption"].message.startswith("REQUEUE")
    some = [{"if": "x == 1", "memory": "9GB", "partition": "gpuu"}, {"if": "x == 2", "cpus": 2}]
    only = examine_cluster(Cluster(partition="gpu"), tmp_path, Resources.model_validate({"when": some}))
    problems = [check.message for check in only if check.state == "problem"]
    assert problems == ["where x == 1: there is no partition 'gpuu'; did you mean 'gpu'?"]
    needs = Resources(time="2h", memory="3GB")  # the trial continues in the next job
    table = Cluster(time="30min", partition="gpu", options={"gres": "gpu:2"}, requeue=False)
    found = {check.name: check for check in examine_cluster(table, tmp_path, needs)}
    assert not {"time", "memory", "preemption"} & set(found)  # the partition is never preempted
    assert "requeue = false" in found["cluster"].message
    assert "requests 2 GPUs for every trial" in found["gpus"].message


@pytest.mark.parametrize(
    ("rule", "table", "state", "message"),
    [
        (":", {}, "ok", "nodes can submit retries"),
        (
            "[ $ON_A_NODE ] && refuse 'submission not allowed from this host'",
            {},
            "problem",
            "nodes cannot submit jobs, so nothing is retried: sbatch: error: submission not allowed from this host",
        ),
        (
            "[ $ON_A_NODE ] && refuse no",
            {"follow_up": {"by": "login"}},
            "ok",
            "done by ablate watch on a login node, in tmux or from cron",
        ),
        ("[ $ON_A_NODE ] && refuse no", {"job_prefix": ["env", "-u", "ON_A_NODE"]}, "ok", "nodes can submit retries"),
    ],
)
def test_a_job_finds_out_whether_nodes_can_submit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, table: dict[str, Any], state: str, message: str
) -> None:
    site(tmp_path, monkeypatch, rule)
    monkeypatch.setattr(probe, "_POLL_SECONDS", 0.2)
    found = {check.name: check for check in examine_cluster(Cluster.model_validate(table), tmp_path / "results")}
    assert (found["follow-up"].state, found["follow-up"].message) == (state, message)
    assert found["job"].state == "ok"
    assert ("job_prefix" in str(found["follow-up"].help)) == (state == "problem")


def test_a_python_that_nodes_do_not_have_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site(tmp_path, monkeypatch, ":")
    monkeypatch.setattr(probe, "_POLL_SECONDS", 0.2)
    monkeypatch.setattr(probe, "_SEEN_SECONDS", {"COMPLETED": 1.0})
    found = {check.name: check for check in examine_cluster(Cluster(python="/no/python"), tmp_path / "results")}
    assert found["job"].state == "problem"
    assert "/no/python" in found["job"].message


@pytest.mark.parametrize(
    ("limit", "hours"),
    [("infinite", inf), ("UNLIMITED", inf), ("n/a", inf), ("30:00", 0.5), ("2:30:00", 2.5), ("1-00:00:00", 24.0)],
)
def test_a_limit_without_an_end_is_not_read_as_zero(limit: str, hours: float) -> None:
    assert _hours(limit) == hours  # C-Star#662


@pytest.mark.parametrize(
    ("table", "allowed"),
    [
        ({"qos": "high", "time": "3h"}, None),
        ({"qos": "short", "time": "3h"}, "allows 01:00:00"),
        ({"time": "3h"}, "'normal' allows 02:00:00"),
        ({}, "jobs ask for 240 minutes"),  # without a time, it is four hours
        ({"account": "lab", "time": "3h"}, "'short' allows 01:00:00"),
        ({"time": "2h"}, None),
    ],
)
def test_jobs_that_are_longer_than_the_quality_of_service_allows_are_told(
    monkeypatch: pytest.MonkeyPatch, table: dict[str, Any], allowed: str | None
) -> None:
    def ask(*command: str) -> str:
        if "qos" in command:
            return "welcome | to | the site\nnormal|02:00:00\nshort|01:00:00\nhigh|\n"
        return "other|normal\nlab|short\n"

    monkeypatch.setattr("ablate.run.slurm.doctor.ask", ask)
    found = list(_longest(Cluster.model_validate(table), Resources()))
    assert [(check.name, check.state) for check in found] == ([("time", "problem")] if allowed else [])
    assert all(str(allowed) in check.message for check in found)
    one_trial = list(_longest(Cluster(qos="short"), Resources(time="30min")))
    assert one_trial == [], "a trial that needs less than the limit asks for no more"
