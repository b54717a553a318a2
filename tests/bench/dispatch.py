"""What a trial costs beside its own time: on the local pool, on Slurm with packing, by submitit with a job for each.

Trials sleep for a second. Overhead per trial: the seconds of all slots together from the command to the last result,
less those that trials slept, per trial. submitit is given a function that only sleeps: one that trains would
import torch in each process, too. Needs root and the daemons of Slurm, as tests/slurm does.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.common import in_turn, ratio, spread
from tests.slurm.cluster import running_cluster
from tests.slurm.project import Project

TRIALS, SLOTS, ROUNDS = 200, 2, 2
SECONDS = 1.0
_BASE = f"seconds = {SECONDS}\nsteps = 10\n"


def measure() -> dict[str, Any]:
    """Rounds in turn on a cluster of this machine."""
    with tempfile.TemporaryDirectory() as folder, _cluster(Path(folder)):
        numbers = iter(range(10**6))

        def fresh() -> Path:
            return Path(folder) / f"round-{next(numbers)}"

        figures = in_turn(
            ROUNDS,
            {
                "local pool": lambda: _local(fresh()),
                "slurm with packing": lambda: _packed(fresh()),
                "submitit map_array": lambda: _submitit(fresh()),
            },
        )
    submitit = figures["submitit map_array"]
    ours = {name: figures[name] for name in ("local pool", "slurm with packing")}
    return {
        "trials": TRIALS,
        "seconds of a trial": SECONDS,
        "slots": SLOTS,
        "overhead per trial in seconds": {name: spread(values) for name, values in figures.items()},
        "submitit to ours": {name: ratio(submitit, values) for name, values in ours.items()},
    }


@contextmanager
def _cluster(folder: Path) -> Iterator[None]:
    place = folder / "slurm"
    place.mkdir()
    folder.chmod(0o755)
    with running_cluster(place) as cluster:
        before = os.environ.get("SLURM_CONF")
        os.environ["SLURM_CONF"] = cluster.environment["SLURM_CONF"]
        try:
            yield
        finally:
            os.environ.pop("SLURM_CONF")
            if before:
                os.environ["SLURM_CONF"] = before


def _overhead(seconds: float) -> float:
    return (seconds * SLOTS - TRIALS * SECONDS) / TRIALS


def _local(folder: Path) -> float:
    return _until_the_last_result(Project(folder, range(TRIALS), _BASE), TRIALS, "--workers", str(SLOTS))


def _packed(folder: Path) -> float:
    """In as many jobs as there are slots; without a canary, since a trial has run before."""
    project = Project(folder, range(TRIALS + 1), _BASE, f"trials_per_job = {TRIALS // SLOTS}")
    project.ablate("run", "small", "--only", f"x={TRIALS}", "--workers", "1")
    return _until_the_last_result(project, TRIALS + 1, "--on", "test")


def _until_the_last_result(project: Project, count: int, *how: str) -> float:
    """From the command to the last result: the page, which submitit has none of, is not waited for."""
    results = project.folder / "results" / "trials"
    began = time.monotonic()
    run = project.start("run", "small", *how)
    while len(list(results.glob("*/result.json"))) < count:
        time.sleep(0.1)
    seconds = time.monotonic() - began
    run.communicate()
    while "--on" in how and not project.page.exists():
        time.sleep(0.5)
    return _overhead(seconds)


def _submitit(folder: Path) -> float:
    from submitit import SlurmExecutor

    executor = SlurmExecutor(folder)
    executor.update_parameters(array_parallelism=SLOTS, use_srun=False, cpus_per_task=1, time=10)
    began = time.monotonic()
    jobs = executor.map_array(_sleep, range(TRIALS))
    results = [folder / f"{job.job_id}_0_result.pkl" for job in jobs]
    while not all(path.exists() for path in results):
        time.sleep(0.1)
    return _overhead(time.monotonic() - began)


def _sleep(number: int) -> int:
    time.sleep(SECONDS)
    return number
