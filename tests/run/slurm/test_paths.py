"""A machine that submits through `prefix` and sees the project's folder under another path than the cluster does."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ablate.errors import InvalidValue
from ablate.records.files import Results
from ablate.run.cluster import Cluster
from ablate.run.slurm import probe
from ablate.run.slurm.controller import Controller, controller_of
from ablate.run.slurm.doctor import examine_cluster
from ablate.run.slurm.ledger import Submission, Watch
from ablate.run.slurm.packing import Array, Share
from ablate.run.slurm.script import array_script, follow_up_script
from ablate.study.schema.resources import Resources
from tests.run.slurm.test_rehearsal import site
from tests.slurm.project import Project

_LOGIN = """#!/bin/bash
[[ "$*" == *HERE* ]] && echo "sbatch: error: Unable to open file ${!#}" >&2 && exit 1
case $1 in
  sbatch) echo "${!#}" >> CALLS; echo "Submitted batch job $(wc -l < CALLS)";;
  scontrol) echo MaxArraySize = 1001;;
  squeue) ;;
  *) exit 1;;
esac
"""
_OF_A_JOB = {
    "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NTASKS": "1", "SLURM_NODEID": "0", "SLURM_JOB_NUM_NODES": "1",
    "SLURM_JOB_NODELIST": "node1", "HOME": "/dev/null/home",
}  # fmt: skip


def test_a_study_trains_where_neither_a_path_of_the_submitting_machine_nor_a_home_exists(tmp_path: Path) -> None:
    here, there, calls, login = (tmp_path / name for name in ("here", "there", "calls", "login"))
    login.write_text(_LOGIN.replace("HERE", str(here)).replace("CALLS", str(calls)))
    login.chmod(0o755)
    reach = f'["{login}"]'
    table = f'prefix = {reach}\njob_prefix = {reach}\npaths = {{ "{here}/" = "{there}" }}'
    project = Project(here / "p", [3], f'steps = 1\ndiary = "{here}/p/diary"', table)
    assert "submitted 1 trial in 1 job to test" in project.ablate("run", "small", "--on", "test")
    (submission,) = project.submissions()
    here.rename(there)
    scripts = [Path(line) for line in calls.read_text().splitlines()]
    names = [script.name.replace(submission["id"], "ID") for script in scripts]
    assert names == ["small-ID-1.sh", "ID-follow.sh"]
    for number, script in enumerate(scripts, 1):
        assert str(here) not in script.read_text()
        environment = {**os.environ, **_OF_A_JOB, "SLURM_JOB_ID": str(number)}
        run = subprocess.run(
            ["bash", script], env=environment, cwd="/", text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert run.returncode == 0, run.stdout
    assert not here.exists()
    there.rename(here)
    assert list(project.results().values()) == [3.0]
    assert project.diary == ["3 0 0"]
    assert project.page.exists()
    assert project.has_ended


def test_every_path_of_a_script_is_the_clusters_whether_this_machine_or_a_job_writes_it() -> None:
    table: dict[str, Any] = {
        "paths": {"/mnt/home": "/home", "/mnt/home/me/big": "/scratch"},
        "container": {"apptainer": "/images/torch.sif"},
    }
    array = Array(name="toy-ID-1", resources=Resources(), shares=(Share(keys=("a",)),))
    about: dict[str, Any] = {"study": "toy", "profile": "embedded", "by": "me", "created": 0.0}
    submission = Submission(
        id="ID", cluster=Cluster.model_validate(table), arrays=(array,), code="/mnt/home/me/big/results/code/1",
        path=("/mnt/home/me/p", "/opt/modules"), reports="/mnt/home/me/p/reports", **about,
    )  # fmt: skip
    texts = [
        array_script(Results(Path(root)), submission, array)
        + follow_up_script(Results(Path(root)), submission, [], Watch())
        for root in ("/mnt/home/me/big/results", "/scratch/results")  # here; in a job
    ]
    assert texts[0] == texts[1]
    assert "/mnt" not in texts[0]
    assert "--output=/scratch/results/slurm/ID/log/%j_0_log.out" in texts[0]
    assert "export PYTHONPATH=/scratch/results/code/1:/home/me/p:/opt/modules" in texts[0]
    assert "--bind=/scratch/results --bind=/home/me/p --bind=/opt/modules" in texts[0]
    assert "--results /scratch/results --reports /home/me/p/reports" in texts[0]


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/mnt/home/me/a b", "/home/me/a b"),
        ("/mnt/home", "/home"),
        ("/mnt/homes/me", "/mnt/homes/me"),
        ("/mnt/home/me/big/x", "/scratch/x"),  # the longest folder counts
        ("/scratch/x", "/scratch/x"),
        ("/usr/bin/python", "/usr/bin/python"),
    ],
)
def test_a_path_is_seen_through_the_longest_folder_that_holds_it(path: str, seen: str) -> None:
    at = controller_of(Cluster(paths={"/mnt/home/": "/home", "/mnt/home/me/big": "/scratch/"}))
    assert at.seen(Path(path)) == seen
    assert at.seen(seen) == seen
    assert Controller(**json.loads(json.dumps(vars(at)))).seen(path) == seen  # as the probe gets it


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ({"home": "/home"}, "has 'home', which is not an absolute path"),
        ({"/mnt/home": "~"}, "has '~', which is not an absolute path"),
        ({"/data": "/data/shared"}, "has '/data/shared' on the cluster, which is inside '/data' here"),
        ({"/a": "/b", "/b": "/c"}, "has '/b' on the cluster, which is inside '/b' here"),
    ],
)
def test_paths_that_could_mean_two_places_are_refused(paths: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        Cluster(paths=paths)
    assert isinstance(error.value.errors()[0]["ctx"]["error"], InvalidValue)  # type: ignore[attr-defined]


def test_the_doctor_finds_paths_that_the_cluster_does_not_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.symlink_to(here)
    rule = f'[[ $script == {here}/* ]] && refuse "Unable to open file $script"; grep -q {here}/ $script && refuse leak'
    site(tmp_path, monkeypatch, rule)
    monkeypatch.setattr(probe, "_POLL_SECONDS", 0.2)
    found = {check.name: check for check in examine_cluster(Cluster(), here / "p/results")}
    assert found["sbatch"].state == "problem"
    assert "paths says under which path the cluster sees a folder" in str(found["sbatch"].help)
    right = Cluster(paths={str(here): str(there)})
    found = {check.name: check for check in examine_cluster(right, here / "p/results")}
    assert found["paths"].message == f"the cluster sees {here}/p/results as {there}/p/results"
    assert {check.state for name, check in found.items() if name not in ("accounting", "preemption")} == {"ok"}, found
    found = {check.name: check for check in examine_cluster(right, tmp_path / "other")}
    assert found["paths"].message == f"no folder in paths contains {tmp_path}/other"
    here.rename(tmp_path / "gone")
    found = {check.name: check for check in examine_cluster(right, tmp_path / "other")}
    assert found["paths"].state in ("problem", "warning")
    assert found["job"].state == "warning"
