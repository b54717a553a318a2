"""Slurm's commands as a site has them: shims on the path that print banners, filter their answers, and refuse jobs."""

import os
import re
import time
from pathlib import Path

import pytest

from ablate.run.cluster import Cluster
from ablate.run.slurm import scheduler
from ablate.run.slurm.controller import Controller, SlurmError, ask, controller_of, dropped_choices
from ablate.run.slurm.scheduler import active_jobs, ended_jobs, job_named, submit


@pytest.fixture
def shims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder at the front of the path for a site's commands."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name in ("SLURM_JOB_ID", "SLURM_JOBID"):
        monkeypatch.delenv(name, raising=False)
    return folder


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/bash\n{text}\n")
    (folder / name).chmod(0o755)


def test_no_variable_of_the_shell_filters_what_a_command_answers(shims: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(shims, "squeue", "env; cat")  # `cat` would wait for a terminal
    filters = (
        "SQUEUE_PARTITION", "SQUEUE_USERS", "SQUEUE_ACCOUNT", "SQUEUE_QOS", "SQUEUE_STATES", "SACCT_FORMAT",
        "SINFO_PARTITION", "SCANCEL_NAME", "SCONTROL_ALL", "SLURM_CLUSTERS", "SBATCH_CLUSTERS", "SLURM_TIME_FORMAT",
    )  # fmt: skip
    for name in filters:
        monkeypatch.setenv(name, "mine")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    seen = {line.partition("=")[0] for line in ask("squeue").splitlines()}
    assert not seen & set(filters)
    assert {"SLURM_CONF", "PATH"} <= seen


@pytest.mark.parametrize(
    ("answer", "id"),
    [
        ("Submitted batch job 12", "12"),
        ("Your job 4711 credits\nSubmitted batch job 12\nhave a nice day 9", "12"),
        ("Submitted batch job 12 on cluster second", "12"),
        ("Submitted batch job 4711 was the last one.\nSubmitted batch job 12", "12"),
        ("Submitted batch job 4711\nSubmitted batch job 12", "31"),  # which one? its name says
        ("ok: queued as 4711", "31"),
    ],
)
def test_a_job_has_the_id_that_slurm_gave_it_whatever_else_sbatch_prints(
    shims: Path, tmp_path: Path, answer: str, id: str
) -> None:
    write(shims, "sbatch", f"cat <<'EOF'\n{answer}\nEOF")
    write(shims, "squeue", "echo 'CLUSTER: second'; echo '4711|other'; echo '31|toy-1'")
    assert submit("#!/bin/bash\n", tmp_path / "job.sh", "toy-1") == id


def test_an_answer_without_a_job_is_an_error_that_shows_it(shims: Path, tmp_path: Path) -> None:
    write(shims, "sbatch", "echo maintenance until 17:00")
    write(shims, "squeue", "echo welcome")
    with pytest.raises(SlurmError, match="names no job: 'maintenance until 17:00'"):
        submit("#!/bin/bash\n", tmp_path / "job.sh", "toy-1")


def test_banners_and_lines_of_clusters_are_no_jobs(shims: Path) -> None:
    write(shims, "squeue", "echo 'CLUSTER: second'; echo '| news | a | b | c | d |'; echo 'toy-1|7|0|RUNNING|n1|None'")
    write(shims, "sacct", "echo Welcome; echo '1|2|3|4|5|6'; echo 'toy-1|7_0|FAILED|n1|1:0'")
    assert [job.id for job in active_jobs(["toy-1"])] == ["7_0"]
    assert [job.id for job in ended_jobs(["toy-1"], 1e9)] == ["7_0"]
    assert job_named("toy-1") is None


def test_every_command_asks_the_cluster_of_the_table_through_its_prefix(
    shims: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = controller_of(Cluster(clusters="second", prefix=("ssh", "login"), job_prefix=("sudo", "-u", "me")))
    assert at.command("scancel", "7_0") == ("ssh", "login", "scancel", "--clusters=second", "7_0")
    assert at.command("squeue", "--format=%j|%F")[-1] == "'--format=%j|%F'"  # ssh gives it to a shell
    write(shims, "ssh", 'shift; exec bash -c "$*"')
    write(shims, "squeue", 'printf "%s\\n" "$@"')
    assert ask(*at.command("squeue", "--format=%j|%F", "a b")) == "--clusters=second\n--format=%j|%F\na b\n"
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert at.command("squeue", "a b") == ("sudo", "-u", "me", "squeue", "--clusters=second", "a b")


def test_a_machine_without_slurm_is_told_so(shims: Path) -> None:
    with pytest.raises(SlurmError, match="there is no command 'sbatchx' here: is this a login node"):
        ask(*Controller().command("sbatchx"))


def test_options_in_the_environment_that_jobs_do_not_get_are_named_once() -> None:
    assert dropped_choices({"SBATCH_ACCOUNT": "lab", "HOME": "/"}) == (
        "SBATCH_ACCOUNT of this shell is not used: options of jobs come from ablate.toml"
    )
    both = dropped_choices({"SBATCH_PARTITION": "gpu", "SLURM_CLUSTERS": "b"})
    assert both is not None
    assert both.startswith("SBATCH_PARTITION, SLURM_CLUSTERS of this shell are not used")
    assert dropped_choices({"PATH": "", "SLURM_CONF": ""}) is None
    assert dropped_choices({"SLURM_JOB_ID": "7", "SBATCH_ACCOUNT": "lab"}) is None  # salloc set it


def test_a_controller_that_does_not_answer_is_told_once_while_it_is_asked_again(
    shims: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scheduler.time, "sleep", lambda seconds: None)
    third = f"echo x >> {tmp_path}/n; [ $(wc -l < {tmp_path}/n) = 3 ] && exit"
    write(shims, "scancel", f"{third}; echo Socket timed out >&2; exit 1")
    scheduler.cancel(["7"])
    assert capsys.readouterr().err == "Slurm does not answer (Socket timed out); asking again for two minutes\n"


def test_jobs_of_more_names_than_one_command_can_hold_are_all_found(shims: Path) -> None:
    each = 'for name in $(echo "${@: -1}" | sed "s/--name=//; s/,/ /g"); do printf "%s"; done'
    write(shims, "squeue", each.replace('%s"', '%s|7|N/A|RUNNING|n1|None\\n" $name'))
    write(shims, "sacct", each.replace('%s"', '%s|7|FAILED|n1|1:0\\n" $name'))
    names = [f"a-study-on-a-site-without-arrays-20261129-120000-3f9a-{number}" for number in range(3000)]
    assert {job.name for job in active_jobs(names)} == set(names)
    assert {job.name for job in ended_jobs(names, 1e9)} == set(names)


def test_the_accounting_is_asked_in_no_time_zone(shims: Path, tmp_path: Path) -> None:
    """A prefix such as ssh may ask on a machine with another one, or with a clock that differs."""
    write(shims, "sacct", f'printf "%s\\n" "$@" > {tmp_path}/asked')
    ended_jobs(["toy-1"], time.time() - 3600)
    (start,) = [line for line in (tmp_path / "asked").read_text().splitlines() if "start" in line]
    assert re.fullmatch(r"--starttime=now-42\d\d", start)


@pytest.mark.parametrize("word", ["half \ud800", "null \0"])
def test_a_word_that_no_command_can_have_is_an_error_of_slurm(word: str) -> None:
    with pytest.raises(SlurmError, match="its words cannot be passed to a command"):
        ask("squeue", f"--name={word}")
