"""Slurm's own commands: asked patiently where the controller is busy, and never inside another job's variables."""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ablate.errors import AblateError

_SECONDS = 60
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds between attempts: two minutes, which is what a controller that fails over takes."""
_BUSY = re.compile(
    r"socket timed out|unable to contact slurm controller|temporarily unable|connection refused|zero bytes|"
    r"connection timed out|resource temporarily unavailable|controller.*not responding|"
    r"communication (connection|shutdown)",
    re.IGNORECASE,
)
_KEPT = ("SLURM_CONF", "SLURM_JWT", "SLURM_CLUSTERS")
"""These say where the controller is, and nothing of a job."""
_OF_A_JOB = re.compile(
    r"(SLURM|SLURMD|SBATCH|SALLOC|SRUN|SUBMITIT|PMI|PMIX|OMPI|TORCHELASTIC)_|"
    r"(RANK|LOCAL_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|GROUP_RANK|MASTER_ADDR|MASTER_PORT)$"
)


class SlurmError(AblateError):
    """A command of Slurm failed; `told` is what it printed."""

    def __init__(self, command: str, told: str) -> None:
        super().__init__(f"error: {command}: {told or 'it failed without a word'}")
        self.told = told


def is_busy(told: str) -> bool:
    """Whether a command failed since the controller was busy or away, so that it is worth another attempt."""
    return bool(_BUSY.search(told))


def patiently(call: Callable[[], str], busy: Callable[[], str | None] = lambda: None) -> str:
    """What a call returns; again after a while where the controller is busy. Raises SlurmError.

    busy: asked before each further attempt, whether it did what it was to do although it told of no success.
    """
    for pause in _PAUSES:
        try:
            return call()
        except SlurmError as error:
            if not is_busy(error.told):
                raise
        time.sleep(pause)
        if (found := busy()) is not None:
            return found
    return call()


def ask(*command: str) -> str:
    """What a command prints. Raises SlurmError."""
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, env=outside_of_jobs(os.environ), check=False
        )
    except OSError as error:
        raise SlurmError(command[0], error.strerror or str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(command[0], f"Socket timed out: no answer within {_SECONDS} s") from error
    if run.returncode:
        raise SlurmError(command[0], run.stderr.strip())
    return run.stdout


def outside_of_jobs(environment: "os._Environ[str] | dict[str, str]") -> dict[str, str]:
    """An environment without what a job, or a launcher of ranks, leaves in it: another would take it for its own."""
    return {name: value for name, value in environment.items() if name in _KEPT or not _OF_A_JOB.match(name)}


@contextmanager
def clean_environment() -> Iterator[None]:
    """Take the same out of this process's environment meanwhile: submitit's sbatch passes that on."""
    before = dict(os.environ)
    for name in set(before) - set(outside_of_jobs(before)):
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)


def configuration() -> dict[str, str]:
    """The controller's configuration, by `scontrol show config`."""
    lines = patiently(lambda: ask("scontrol", "show", "config")).splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def scancel(jobs: Sequence[str]) -> None:
    """End jobs by their ids, `12` or `12_3`; those that are gone are passed over."""
    if jobs:
        patiently(lambda: ask("scancel", "--quiet", *jobs))


def release(name: str) -> None:
    """Let the jobs of that name run; the job that follows tries again where the controller is busy."""
    with contextlib.suppress(SlurmError):
        ask("scontrol", "release", f"jobname={name}")
