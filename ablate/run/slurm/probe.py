"""The doctor's probe: a job of a second that checks whether jobs start, see the results, and import this package."""

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from ablate.errors import AblateError
from ablate.records.reading import read_object
from ablate.run.cluster import Cluster
from ablate.run.cluster_file import FILE
from ablate.run.machine import Check
from ablate.run.slurm.controller import Controller, SlurmError, controller_of
from ablate.run.slurm.scheduler import active_jobs, cancel, submit
from ablate.run.slurm.script import FOLLOW_UP, PROBE, probe_script

_WAIT_SECONDS = 120.0
_POLL_SECONDS = 2.0
_SEEN_SECONDS = {"COMPLETED": 30.0}
"""How long a file may take to appear on a network file system after its job ended; 5 s if none is expected."""
_SKEW_SECONDS = 5.0
_HOME = Path(__file__).parents[3]
_PROGRAM = """
import json, os, platform, sys, time
began = time.time()
import ablate
seen = {"host": platform.node(), "node": os.environ.get("SLURMD_NODENAME"), "time": began, "python": sys.executable,
        "version": platform.python_version(), "ablate": os.path.dirname(os.path.abspath(ablate.__file__)),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", "")}
with open(sys.argv[1] + ".tmp", "w") as file:
    json.dump(seen, file)
os.replace(sys.argv[1] + ".tmp", sys.argv[1])
"""
_SUBMITS = """
import json, os, sys
from ablate.run.slurm.controller import Controller, SlurmError, ask
at, script, answer = json.loads(sys.argv[1])
words = ""
try:
    ask(*Controller(**at).command("sbatch", "--test-only", script))
except SlurmError as error:
    words = " ".join(error.text.split())
with open(answer, "w") as file:
    json.dump({"words": words}, file)
"""


@contextlib.contextmanager
def folder_for_jobs(results: Path) -> Iterator[Path]:
    """A folder for scripts and answers, which nodes see where they see the results; removed at the end."""
    parent = results.absolute() / "slurm"
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f".doctor.{os.getpid()}-{secrets.token_hex(4)}"  # ablate gc removes such folders
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def look_at_paths(cluster: Cluster, folder: Path) -> Iterator[Check]:
    """Whether the folders of `paths` exist here, and hold the results. folder: inside the results."""
    for here in cluster.paths:
        if not Path(here).is_dir():
            help = f"in paths, the folder of this machine comes before the equals sign: correct it in {FILE}"
            yield Check("paths", "problem", f"there is no folder {here} on this machine", help)
    if cluster.paths and (seen := controller_of(cluster).seen(folder)) == str(folder):
        help = f"add the folder that holds the project to paths in {FILE}"
        yield Check("paths", "warning", f"no folder in paths contains {folder.parents[1]}", help)
    elif cluster.paths:
        yield Check("paths", "ok", f"the cluster sees {folder.parents[1]} as {PurePath(seen).parents[1]}")


def run_probe(cluster: Cluster, folder: Path) -> Iterator[Check]:
    """Send the probe, wait for it, and report what it saw. folder: for its script and answers; see folder_for_jobs."""
    began = time.time()
    at = controller_of(cluster)
    shown = json.dumps([vars(at), at.seen(folder / FOLLOW_UP), at.seen(folder / "submits.json")])
    script = probe_script(cluster, folder, _HOME, _PROGRAM, (_SUBMITS, shown))
    try:
        job = submit(script, folder / "job.sh", at=at)
    except SlurmError as error:
        yield Check("job", "problem", f"sbatch refuses it: {error.text}", f"correct {FILE}")
        return
    answer = folder / "answer.json"
    state = _wait(job, answer, at)
    if seen := read_object(answer):
        yield from _compare(seen, at.seen(_HOME / "ablate"), began, time.time())
        yield _can_submit(cluster, folder)
    elif state.startswith(("PENDING", "CONFIGURING")):
        with contextlib.suppress(AblateError):
            cancel([job], at)
        help = "the queue is full, or no node can run it: try again later; squeue --start estimates when it would start"
        yield Check("job", "warning", f"{job} is still waiting after {_WAIT_SECONDS:.0f} s ({state})", help)
    else:
        yield _silent(job, state, folder / f"{job}_0_log.out")


def _wait(job: str, answer: Path, at: Controller) -> str:
    """Wait until the answer is there, the job is over, or time is up; returns the job's last state."""
    end = time.monotonic() + _WAIT_SECONDS
    state = "unknown"
    while time.monotonic() < end and not answer.exists():
        with contextlib.suppress(SlurmError):
            found = next((each for each in active_jobs([PROBE], at) if each.id == job), None)
            state = f"{found.state} {found.reason}".strip() if found else state
            if found and found.over:
                end = min(end, time.monotonic() + _SEEN_SECONDS.get(found.state, 5.0))
        time.sleep(_POLL_SECONDS)
    return state


def _compare(seen: dict[str, Any], here: str, began: float, ended: float) -> Iterator[Check]:
    """What the job saw, compared with this machine. here: the folder of this package, as the cluster sees it."""
    node = seen["node"] or seen["host"]
    yield Check("job", "ok", f"ran on {node}, {ended - began:.0f} s after it was submitted")
    yield Check("results", "ok", f"this machine reads what {node} writes")
    there = seen["ablate"]
    if Path(there).resolve() == Path(here).resolve():
        yield Check("python", "ok", f"{seen['version']}, {seen['python']}, imports {there}")
    else:
        help = "does a line of setup change PYTHONPATH?"
        yield Check("python", "problem", f"{node} imports ablate from {there}, but this machine from {here}", help)
    skew = max(began - seen["time"], seen["time"] - ended, 0.0)
    if skew > _SKEW_SECONDS:
        help = "only times in records are affected; ask the cluster's administrators about NTP"
        yield Check("clock", "warning", f"the clocks of {node} and of this machine differ by {skew:.0f} s", help)
    else:
        yield Check("clock", "ok", f"{node} and this machine agree within {_SKEW_SECONDS:.0f} s")
    if seen["gpus"]:
        yield Check("gpu", "ok", f"the job was given GPU {seen['gpus']}")


def _can_submit(cluster: Cluster, folder: Path) -> Check:
    """Whether a follow-up job could run on the node of the probe, and submit retries from there."""
    help = (
        'if nodes may reach a login node, set job_prefix = ["ssh", "LOGIN"]; otherwise set follow_up.by = "login" and '
        "keep ablate watch running on a login node, in tmux or from cron"
    )
    if cluster.follow_up.by == "login":
        return Check("follow-up", "ok", "done by ablate watch on a login node, in tmux or from cron")
    seen = read_object(folder / "submits.json")
    if not seen:
        message = (
            "the Python of the follow-up job does not start on a node, so nothing would be retried, and no page written"
        )
        return Check("follow-up", "problem", message, f"set python in {FILE}, or load it in setup")
    if seen["words"]:
        return Check("follow-up", "problem", f"nodes cannot submit jobs, so nothing is retried: {seen['words']}", help)
    return Check("follow-up", "ok", "nodes can submit retries")


def _silent(job: str, state: str, output: Path) -> Check:
    """A job that ended without an answer: the likely cause."""
    try:
        printed = [line for line in output.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        help = "put results on a file system that compute nodes can see: --results DIR"
        return Check("results", "problem", f"job {job} ({state}) left nothing in {output.parent.parent}", help)
    last = printed[-1] if printed else "it printed nothing"
    if "ModuleNotFoundError" in last or "No such file or directory" in last or "not found" in last:
        help = f"install Python and ablate where compute nodes can see them, or load them in setup of {FILE}"
    else:
        help = f"check the lines of setup in {FILE}"
    return Check("job", "problem", f"{job} ended as {state}: {last}", help)
