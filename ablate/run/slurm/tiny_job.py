"""A job of a second, sent to a cluster: whether it starts, sees the results folder, and imports this very package."""

import contextlib
import json
import os
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablate.errors import AblateError
from ablate.run.checks import Check
from ablate.run.slurm.clusters import FILE, Cluster
from ablate.run.slurm.commands import SlurmError, ask, scancel

_WAIT_SECONDS = 120.0
_POLL_SECONDS = 2.0
_SEEN_SECONDS = {"COMPLETED": 30.0}
"""After a job's end a file may take so long to be seen through a network file system; 5 s where none is awaited."""
_SKEW_SECONDS = 5.0
_MINUTES = 5
_PROGRAM = """
import json, os, platform, sys, time
began = time.time()
import ablate
told = {"host": platform.node(), "node": os.environ.get("SLURMD_NODENAME"), "time": began, "python": sys.executable,
        "version": platform.python_version(), "ablate": os.path.dirname(os.path.abspath(ablate.__file__)),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", "")}
with open(sys.argv[1] + ".tmp", "w") as file:
    json.dump(told, file)
os.replace(sys.argv[1] + ".tmp", sys.argv[1])
"""


def sbatch_options(cluster: Cluster) -> list[str]:
    """What every job on a cluster is given, as sbatch's long options; a GPU where its nodes have some."""
    named = {name: getattr(cluster, name) for name in ("partition", "account", "qos", "constraint")}
    own = [f"--{name}={value}" for name, value in named.items() if value]
    others = [f"--{name}" if value is True else f"--{name}={value}" for name, value in cluster.options.items()]
    asks = {"gres", "gpus", "gpus-per-node", "gpus-per-task"} & set(cluster.options)
    gpu = ["--gpus-per-node=1"] if cluster.gpus_per_node and not asks else []
    return [*own, *gpu, "--ntasks=1", f"--time={_MINUTES}", *others]


def run_tiny_job(cluster: Cluster, results: Path) -> Iterator[Check]:
    """Send it, wait for it, and tell what it saw; the folder that it wrote to is removed."""
    place = results.absolute() / "slurm"
    place.mkdir(parents=True, exist_ok=True)
    folder = place / f".doctor.{os.getpid()}-{secrets.token_hex(4)}"  # ablate gc knows such names
    folder.mkdir()
    try:
        yield from _send(cluster, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _send(cluster: Cluster, folder: Path) -> Iterator[Check]:
    answer, output = folder / "answer.json", folder / "output"
    script = folder / "job.sh"
    home = Path(__file__).parents[3]
    command = shlex.join([sys.executable, "-P", "-c", _PROGRAM, str(answer)])
    path = f'export PYTHONPATH={shlex.quote(str(home))}"${{PYTHONPATH:+:$PYTHONPATH}}"'
    script.write_text("\n".join(["#!/bin/bash", *cluster.setup, path, command, ""]), encoding="utf-8")
    began = time.time()
    named = ["--parsable", "--job-name=ablate-doctor", f"--output={output}", f"--chdir={folder}"]
    try:
        job = ask("sbatch", *named, *sbatch_options(cluster), str(script)).strip().partition(";")[0]
    except SlurmError as error:
        yield Check("job", "problem", f"sbatch refuses it: {error.told}", f"correct {FILE}")
        return
    state = _wait(job, answer)
    if told := _read(answer):
        yield from _answered(told, home, began, time.time())
        return
    if state in ("PENDING", "CONFIGURING") or state.startswith("PENDING"):
        with contextlib.suppress(AblateError):
            scancel([job])
        help = "the queue is full, or nothing can run it: look again later; squeue --start tells when it would start"
        yield Check("job", "warning", f"{job} still waits after {_WAIT_SECONDS:.0f} s ({state})", help)
        return
    yield _silent(job, state, output)


def _wait(job: str, answer: Path) -> str:
    """Come back when the answer is there, the job is gone, or it has waited long enough; its last state."""
    end = time.monotonic() + _WAIT_SECONDS
    state = "unknown"
    while time.monotonic() < end and not answer.exists():
        with contextlib.suppress(SlurmError):  # a job that has left the queue
            lines = ask("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T %r").split("\n")
            state = lines[0].strip() or state
        if state.partition(" ")[0] in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"):
            end = min(end, time.monotonic() + _SEEN_SECONDS.get(state.partition(" ")[0], 5.0))
        time.sleep(_POLL_SECONDS)
    return state


def _read(answer: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        told: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return told
    return None


def _answered(told: dict[str, Any], home: Path, began: float, ended: float) -> Iterator[Check]:
    """What the job saw, beside what is here."""
    where = told["node"] or told["host"]
    yield Check("job", "ok", f"ran on {where}, {ended - began:.0f} s after it was sent")
    yield Check("results", "ok", f"{where} writes where this machine reads")
    here, there = str(home / "ablate"), told["ablate"]
    if Path(there).resolve() == Path(here).resolve():
        yield Check("python", "ok", f"{told['version']}, {told['python']}, imports {there}")
    else:
        help = "does a line of setup change PYTHONPATH?"
        yield Check("python", "problem", f"{where} imports ablate from {there}, and this machine from {here}", help)
    skew = max(began - told["time"], told["time"] - ended, 0.0)
    if skew > _SKEW_SECONDS:
        help = "times in records will be off by so much, and nothing else; ask who runs the cluster about NTP"
        yield Check("clock", "warning", f"{where} is {skew:.0f} s off this machine", help)
    else:
        yield Check("clock", "ok", f"{where} and this machine agree within {_SKEW_SECONDS:.0f} s")
    if told["gpus"]:
        yield Check("gpu", "ok", f"the job was given GPU {told['gpus']}")


def _silent(job: str, state: str, output: Path) -> Check:
    """A job that ended without an answer: where the fault lies."""
    try:
        printed = [line for line in output.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        help = "put results on a file system that compute nodes see too: --results DIR"
        return Check("results", "problem", f"job {job} ({state}) left nothing in {output.parent.parent}", help)
    last = printed[-1] if printed else "it printed nothing"
    if "ModuleNotFoundError" in last or "No such file or directory" in last or "not found" in last:
        help = f"install this Python and ablate where compute nodes see them, or load them in setup of {FILE}"
    else:
        help = f"see what the lines of setup in {FILE} do"
    return Check("job", "problem", f"{job} ended as {state}: {last}", help)
