"""What sites reject, and the keys that make jobs acceptable there: a site is a function that says what it rejects."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablate.errors import UserError
from ablate.records.files import Results, write_json
from ablate.run.cluster import Cluster
from ablate.run.slurm.follow import notify
from ablate.run.slurm.job import Signals
from ablate.run.slurm.ledger import Ledger, Submission, Watch
from ablate.run.slurm.packing import Array, Share, Timing, resources_on, share_out
from ablate.run.slurm.script import array_script, follow_up_script
from ablate.study.schema.resources import Resources

RESULTS = Results(Path("/shared/results"))
ONE, TWO = Resources(gpus_per_node=1, memory="8GB"), Resources(gpus_per_node=2, memory="8GB", cpus_per_task=4)
CPU = Resources(memory="8GB", cpus_per_task=4)


def submission(table: dict[str, Any], *arrays: Array) -> Submission:
    about: dict[str, Any] = {"study": "toy", "profile": "embedded", "by": "me", "created": 0.0, "path": ("/home/me/p",)}
    return Submission(id="ID", cluster=Cluster.model_validate(table), arrays=arrays, code="/shared/code", **about)


def trains(table: dict[str, Any], resources: Resources, at_once: int = 1) -> str:
    array = Array(name="toy-ID-1", resources=resources, shares=(Share(keys=("a",), at_once=at_once),))
    return array_script(RESULTS, submission(table, array), array)


def follows(table: dict[str, Any]) -> str:
    return follow_up_script(RESULTS, submission(table), ["7"], Watch())


def options_of(script: str) -> dict[str, str]:
    return dict(
        line.removeprefix("#SBATCH --").partition("=")[::2] for line in script.splitlines() if "#SBATCH" in line
    )


def command_of(script: str) -> str:
    return script.rstrip().splitlines()[-1]


def untyped_gpus(asked: dict[str, str]) -> bool:
    """hydra#2818: a request without the type of its GPUs."""
    wanted = asked.get("gres", "").removeprefix("gpu:") + asked.get("gpus-per-node", "")
    return bool(wanted) and wanted.isdigit()


def per_node_gpus(asked: dict[str, str]) -> bool:
    """submitit#1710, autosubmit#1241: GPUs in any other way than --gres."""
    return "gpus-per-node" in asked


def no_gpu(asked: dict[str, str]) -> bool:
    """exemplar-performance#5: a job without a GPU in a GPU partition."""
    return not {"gres", "gpus-per-node"} & set(asked)


def memory(asked: dict[str, str]) -> bool:
    """abipy#385: any request for memory."""
    return any(name.startswith("mem") for name in asked)


def memory_per_node(asked: dict[str, str]) -> bool:
    """f3dasm#352: --mem, where the site demands --mem-per-cpu."""
    return "mem" in asked


def two_ways_of_memory(asked: dict[str, str]) -> bool:
    """hydra#1366: more than one of three options that exclude each other."""
    return len({"mem", "mem-per-cpu", "mem-per-gpu"} & set(asked)) > 1


def requeue(asked: dict[str, str]) -> bool:
    """domyn-swarm#156: --requeue."""
    return "requeue" in asked


def not_20_cpus_per_gpu(asked: dict[str, str]) -> bool:
    """autosubmit#1241: another number of CPUs than 20 per GPU."""
    gpus = int(asked["gpus-per-node"])
    return int(asked["cpus-per-task"]) * int(asked["ntasks-per-node"]) != 20 * gpus


def part_of_a_node(asked: dict[str, str]) -> bool:
    """hpcfund#42: a job that leaves GPUs of its node idle."""
    return "exclusive" not in asked or asked.get("gpus-per-node") != "8"


@pytest.mark.parametrize(
    ("rejects", "table", "resources"),
    [
        (untyped_gpus, {"gpu_type": "a100"}, TWO),
        (untyped_gpus, {"options": {"gres": "gpu:a100:{gpus}"}}, TWO),
        (per_node_gpus, {"options": {"gres": "gpu:{gpus}"}}, TWO),
        (memory, {"memory": "none"}, CPU),
        (memory_per_node, {"memory": "per_cpu"}, CPU),
        (memory_per_node, {"memory": "per_gpu"}, TWO),
        (two_ways_of_memory, {"options": {"mem-per-cpu": "1G"}}, CPU),
        (two_ways_of_memory, {"options": {"mem-per-gpu": "1G"}, "memory": "per_cpu"}, TWO),
        (requeue, {"requeue": False}, CPU),
        (not_20_cpus_per_gpu, {"cpus_per_gpu": 20}, ONE),
        (not_20_cpus_per_gpu, {"cpus_per_gpu": 20}, TWO),
        (part_of_a_node, {"whole_nodes": True, "gpus_per_node": 8}, ONE),
    ],
)  # fmt: skip
def test_a_job_that_trains_keeps_the_rule_of_a_site(
    rejects: Callable[[dict[str, str]], bool], table: dict[str, Any], resources: Resources
) -> None:
    assert not rejects(options_of(trains(table, resources)))
    if rejects is not two_ways_of_memory:
        assert rejects(options_of(trains({}, resources)))  # without the key, the site would reject it


@pytest.mark.parametrize(
    ("rejects", "table"),
    [
        (no_gpu, {"follow_up": {"options": {"gpus_per_node": 1}}}),
        (no_gpu, {"options": {"gres": "gpu:a100:{gpus}"}, "follow_up": {"options": {"gres": "gpu:a100:1"}}}),
        (requeue, {"requeue": False}),
        (memory_per_node, {"options": {"mem-per-cpu": "1G"}, "follow_up": {"options": {"mem-per-cpu": "2G"}}}),
    ],
)
def test_a_follow_up_job_keeps_the_rule_of_a_site(
    rejects: Callable[[dict[str, str]], bool], table: dict[str, Any]
) -> None:
    assert not rejects(options_of(follows(table)))


def test_the_number_of_gpus_in_an_option_is_that_of_each_job() -> None:
    table = {"options": {"gres": "gpu:a100:{gpus}", "comment": "preemption=yes;requeue=true"}}
    assert [options_of(trains(table, each)).get("gres") for each in (ONE, TWO, CPU)] == [
        "gpu:a100:1",
        "gpu:a100:2",
        None,
    ]
    assert options_of(trains(table, ONE))["comment"] == "'preemption=yes;requeue=true'"
    of_gpus = (
        "gpus-per-node",
        "cpus-per-gpu",
        "ntasks-per-gpu",
        "gpu-bind",
        "mem-per-gpu",
        "gres-flags",
        "tres-per-task",
    )
    wanted = options_of(follows({"options": {**dict.fromkeys(of_gpus, "x"), "mail-type": "FAIL"}}))
    assert not set(of_gpus) & set(wanted)
    assert wanted["mail-type"] == "FAIL"


@pytest.mark.parametrize(
    ("way", "resources", "at_once", "option"),
    [
        ("per_node", TWO, 1, ("mem", "8192M")),
        ("per_cpu", TWO, 1, ("mem-per-cpu", "1024M")),  # 2 ranks with 4 threads each
        ("per_cpu", CPU, 3, ("mem-per-cpu", "2048M")),  # three times the memory on three times the threads
        ("per_gpu", TWO, 1, ("mem-per-gpu", "4096M")),
        ("per_gpu", CPU, 1, ("mem", "8192M")),
    ],
)
def test_a_trial_gets_its_memory_in_whatever_way_it_is_requested(
    way: str, resources: Resources, at_once: int, option: tuple[str, str]
) -> None:
    asked = options_of(trains({"memory": way}, resources, at_once))
    assert {name: value for name, value in asked.items() if name.startswith("mem")} == dict([option])


def test_gpus_are_requested_per_node_and_a_reservation_is_passed_on() -> None:
    asked = options_of(trains({"options": {"reservation": "course"}}, TWO))
    assert (asked["gpus-per-node"], asked["reservation"]) == ("2", "course")
    assert not {"gpus", "gres"} & set(asked)  # outerloop#176: counted as a job without GPUs


_TABLES = [
    (
        {
            "partition": "gpuA100x4,gpuA40x4",
            "account": "abcd-delta-gpu",
            "constraint": "projects&scratch",
            "time": "2d",
        },
        ONE,
        "partition=gpuA100x4,gpuA40x4 account=abcd-delta-gpu constraint='projects&scratch' gpus-per-node=1 mem=8192M",
    ),
    (
        {"partition": "batch", "account": "mat", "constraint": "nvme", "gpus_per_node": 8, "whole_nodes": True},
        ONE,
        f"partition=batch constraint=nvme gpus-per-node=8 mem={8 * 8192}M cpus-per-task=8 ntasks-per-node=1",
    ),
    (
        {"partition": "gpu_mig40,gpu", "account": "lab", "memory": "per_gpu", "options": {"licenses": "scratch:1"}},
        TWO,
        "partition=gpu_mig40,gpu gpus-per-node=2 mem-per-gpu=4096M cpus-per-task=4 licenses=scratch:1",
    ),
    (
        {"partition": "shared", "account": "lab", "memory": "per_cpu", "time": "4d"},
        CPU,
        "partition=shared mem-per-cpu=2048M cpus-per-task=4 nodes=1 ntasks-per-node=1",
    ),
]


@pytest.mark.parametrize(
    ("table", "resources", "expected"),
    _TABLES,
    ids=["several partitions", "whole nodes", "memory per GPU", "memory per CPU"],
)
def test_a_site_is_a_table_of_a_few_keys(table: dict[str, Any], resources: Resources, expected: str) -> None:
    filled = resources_on(resources, Cluster.model_validate(table))
    asked = options_of(trains(table, filled, filled.at_once or 1))
    assert dict(option.split("=") for option in expected.split()).items() <= asked.items()


def test_the_python_of_the_nodes_and_the_words_before_it_are_those_of_the_table() -> None:
    table = {"python": "/nodes/python", "wrap": ["numactl", "--interleave=all"]}
    assert command_of(trains(table, CPU)).startswith(
        "exec numactl --interleave=all /nodes/python -u -P -B -m ablate.run"
    )
    assert command_of(trains(table, TWO)).split(" numactl ")[0].endswith("--cpus-per-task=4")
    assert command_of(follows(table)).startswith("/nodes/python -u -P -B -m ablate follow")


def test_a_container_of_apptainer_runs_the_trial_with_the_folders_that_it_needs() -> None:
    table = {
        "container": {"apptainer": "/images/my torch.sif", "mounts": ["/data:/data:ro"], "options": ["--cleanenv"]}
    }
    expected = (
        "exec apptainer exec --nv --bind=/shared/results --bind=/home/me/p --bind=/data:/data:ro --cleanenv "
        "'/images/my torch.sif' python3 -u -P -B -m ablate.run.slurm.job /shared/results ID toy-ID-1"
    )
    assert command_of(trains(table, ONE)) == expected
    assert command_of(trains(table, CPU)) == expected.replace("--nv ", "")
    assert command_of(follows(table)).startswith(f"{sys.executable} ")  # a container has no sbatch


def test_a_container_of_pyxis_is_started_by_srun_which_passes_signals_to_the_trial() -> None:
    table = {"container": {"pyxis": "nvcr.io#nvidia/pytorch", "mounts": ["/data"]}, "python": "python"}
    script = trains(table, ONE)
    assert "srun " in command_of(script)
    assert "--container-image=nvcr.io#nvidia/pytorch" in command_of(script).replace("'", "")
    mounts = "--container-mounts=/shared/results:/shared/results,/home/me/p:/home/me/p,/data:/data"
    assert f"{mounts} python -u -P -B -m ablate.run.slurm.job" in command_of(script)
    assert options_of(script)["signal"] == "USR2@120"  # to the step; B: would signal the shell only


def test_a_whole_node_trains_a_one_gpu_trial_on_each_of_its_gpus() -> None:
    cluster = Cluster(whole_nodes=True, gpus_per_node=8)
    resources = resources_on(ONE, cluster)
    shares = share_out({f"k{n}": f"p{n}" for n in range(16)}, resources, Timing(3000.0, 0.9))
    assert [(len(share.keys), share.at_once) for share in shares] == [(8, 8), (8, 8)]
    array = Array(name="toy-ID-1", resources=resources, shares=shares)
    asked = options_of(array_script(RESULTS, submission(cluster.model_dump(), array), array))
    assert (asked["gpus-per-node"], asked["mem"], asked["cpus-per-task"]) == ("8", f"{8 * 8192}M", "8")
    shared = ONE.model_copy(update={"at_once": 2})
    assert resources_on(shared, cluster).at_once == 16  # two on each GPU
    assert resources_on(TWO, cluster).at_once is None  # a trial on several GPUs has the node to itself


@pytest.mark.parametrize("options", [{"gres": "gpu:a100:1"}, {"gres": "gpu:1"}, {"gpus-per-node": 1}])
def test_options_that_request_too_few_gpus_are_refused_before_anything_is_sent(options: dict[str, Any]) -> None:
    """hydra#2818: both ranks would share one GPU."""
    with pytest.raises(UserError, match=r"trials need 2 GPUs per node, but options\.\S+ requests 1"):
        resources_on(TWO, Cluster(options=options))
    assert resources_on(ONE, Cluster(options=options)) == ONE
    assert resources_on(TWO, Cluster(options={"gres": "gpu:a100:{gpus}"})) == TWO


def test_a_job_that_may_not_requeue_itself_ends_and_leaves_its_trials_to_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("scontrol", "squeue"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, value in (("SLURM_JOB_ID", "7"), ("SLURM_PROCID", "0"), ("SUBMITIT_EXECUTOR", "slurm")):
        monkeypatch.setenv(name, value)
    before = [signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)]
    signals = Signals(60)
    for number, handler in zip((signal.SIGUSR2, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)
    signals.received = signal.SIGUSR2
    signals.leave(requeue=False)
    assert not (tmp_path / "called").exists()
    signals.leave()
    assert (tmp_path / "called").exists()
    (tmp_path / "called").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))  # a container without scontrol
    began = time.monotonic()
    signals.leave()
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("loose", ["folder", "file"])
def test_a_submission_is_private_to_its_owner_and_refused_where_others_could_have_written_it(
    tmp_path: Path, loose: str
) -> None:
    before = os.umask(0o002)
    try:
        ledger = Ledger(Results(tmp_path))
        ledger.write(submission({}))
        write_json(trial := Results(tmp_path).trial("abc").trial, {})
    finally:
        os.umask(before)
    assert not trial.stat().st_mode & 0o022
    file = tmp_path / "slurm" / "ID" / "submission.json"
    assert not (file.stat().st_mode | file.parent.stat().st_mode) & 0o022
    assert ledger.read_own("ID").study == "toy"
    changed = file if loose == "file" else file.parent
    changed.chmod(changed.stat().st_mode | 0o020)
    with pytest.raises(UserError, match="can be changed by others, and a job would run what it says"):
        ledger.read_own("ID")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to other users")
def test_a_submission_of_another_user_is_not_run(tmp_path: Path) -> None:
    ledger = Ledger(Results(tmp_path))
    ledger.write(submission({}))
    os.chown(tmp_path / "slurm" / "ID" / "submission.json", 4711, -1)
    with pytest.raises(UserError, match=r"submission\.json is another user's"):
        ledger.read_own("ID")


def test_a_job_does_not_start_where_others_can_change_its_code(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir(mode=0o700)
    (tmp_path / "code" / "train.py").write_text("pass")
    (tmp_path / "code" / "train.py").chmod(0o600)
    (line,) = [line for line in trains({}, CPU).splitlines() if line.startswith("[ -z")]
    script = line.replace("/shared/code", str(tmp_path / "code"))
    assert subprocess.run(["bash", "-c", script]).returncode == 0
    (tmp_path / "code" / "train.py").chmod(0o660)
    refused = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "others own or can change files of the snapshot" in refused.stderr


def test_on_finish_gets_its_words_and_no_shell_reads_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tell = tmp_path / "tell me"
    tell.write_text('#!/bin/sh\nprintf "%s|" "$ABLATE_STUDY" "$@"\n')
    tell.chmod(0o755)
    study = submission({})
    notify(f"'{tell}' done \"a b\"", study, 0, Path("page.html"))
    notify([str(tell), "$(touch /tmp/x)", ";", "id"], study, 0, Path("page.html"))
    notify(["bash", "-c", "echo shell $((1 + 1))"], study, 0, Path("page.html"))
    assert capfd.readouterr().out == "toy|done|a b|toy|$(touch /tmp/x)|;|id|shell 2\n"
