"""How Slurm's commands are run: in which environment, through which prefix, with whose paths, for which cluster."""

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath

from ablate.errors import AblateError
from ablate.run.cluster import Cluster

_SECONDS = 60
_PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr")
_KEPT = ("SLURM_CONF", "SLURM_JWT")
"""These say where the controller is and who asks; they neither describe a job nor change an answer."""
_MISLEADING = re.compile(
    r"(SLURM|SLURMD|SBATCH|SALLOC|SRUN|SQUEUE|SACCT|SACCTMGR|SINFO|SCANCEL|SCONTROL|SPRIO|SSHARE|SUBMITIT|PMI|PMIX|OMPI|"
    r"TORCHELASTIC)_|(RANK|LOCAL_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|GROUP_RANK|MASTER_ADDR|MASTER_PORT)$"
)
"""Variables of a job or of a launcher of ranks, and filters and formats that change what Slurm's commands answer."""
_OF_THE_USER = re.compile(r"SBATCH_[A-Z_]+$|SLURM_CLUSTERS$")
_OF_A_JOB = ("SLURM_JOB_ID", "SLURM_JOBID")


class SlurmError(AblateError):
    """A command of Slurm failed; `text` is what it printed."""

    def __init__(self, command: str, text: str) -> None:
        super().__init__(f"error: {command}: {text or 'it failed without a message'}")
        self.text = text


@dataclass(frozen=True)
class Controller:
    """Which controller Slurm's commands ask, and how they reach it."""

    clusters: str | None = None
    """The cluster's name, where one installation of Slurm has several: `--clusters` of every command."""
    prefix: tuple[str, ...] = ()
    """Words before every command outside of jobs, such as `ssh login`."""
    job_prefix: tuple[str, ...] = ()
    """The same in jobs, where nodes may not submit."""
    paths: tuple[tuple[str, str], ...] = ()
    """Folders here, each with its path on the cluster."""

    def command(self, program: str, *options: str) -> tuple[str, ...]:
        """The words that run one of Slurm's commands.

        ssh joins its words and gives them to a shell, so they are quoted for that shell.
        """
        several = (f"--clusters={self.clusters}",) if self.clusters and program != "sacctmgr" else ()
        words = (program, *several, *options)
        before = self.job_prefix if in_a_job() else self.prefix
        if before and PurePath(before[0]).name == "ssh":
            words = tuple(map(shlex.quote, words))
        return (*before, *words)

    def seen(self, path: str | PurePath) -> str:
        """The cluster's path of a file of this machine; a path that is already the cluster's stays as it is."""
        for here, there in sorted(self.paths, key=lambda pair: len(pair[0]), reverse=True):
            if PurePosixPath(path).is_relative_to(here):
                return str(PurePosixPath(there, PurePosixPath(path).relative_to(here)))
        return str(path)


HERE = Controller()
"""The only cluster of this machine's Slurm."""


def controller_of(cluster: Cluster) -> Controller:
    """How the controller of a cluster of ablate.toml is reached."""
    return Controller(cluster.clusters, cluster.prefix, cluster.job_prefix, tuple(cluster.paths.items()))


def in_a_job() -> bool:
    """Whether this process runs in a job."""
    return any(name in os.environ for name in _OF_A_JOB)


def ask(*command: str) -> str:
    """What a command of Slurm prints. Raises SlurmError."""
    name = next((word for word in command if word in _PROGRAMS), command[0])
    environment = outside_of_jobs(os.environ)
    try:
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_SECONDS,
            env=environment, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        text = f"there is no command '{command[0]}' here: is this a login node? A module may have to be loaded"
        raise SlurmError(name, text) from error
    except OSError as error:
        raise SlurmError(name, error.strerror or str(error)) from error
    except ValueError as error:  # a damaged record may name half a character, or a null, where a command has none
        raise SlurmError(name, f"its words cannot be passed to a command: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(name, f"Socket timed out: no answer within {_SECONDS} s") from error
    if run.returncode:
        raise SlurmError(name, run.stderr.strip() or run.stdout.strip())
    return run.stdout


def outside_of_jobs(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without variables that another job would misread, or that filter what Slurm's commands answer."""
    return {name: value for name, value in environment.items() if name in _KEPT or not _MISLEADING.match(name)}


def dropped_choices(environment: Mapping[str, str]) -> str | None:
    """A sentence about options in the user's environment that jobs do not get; None if there are none.

    sbatch would apply them to some jobs of a submission and not to others: those that the follow-up job submits.
    """
    names = sorted(name for name in environment if _OF_THE_USER.match(name))
    if not names or any(name in environment for name in _OF_A_JOB):  # a job's own variables are nobody's choice
        return None
    verb = "is" if len(names) == 1 else "are"
    return f"{', '.join(names)} of this shell {verb} not used: options of jobs come from ablate.toml"
