"""The line of bash that starts Python in a job: which Python, in which container, behind which words of the site."""

import shlex
import sys
from collections.abc import Sequence

from ablate.run.cluster import Cluster
from ablate.run.slurm.controller import controller_of

_FLAGS = ("-u", "-P", "-B")
"""Output as it comes; no module from the working folder; no caches in the snapshot of the code."""


def follow_up_command(cluster: Cluster, arguments: Sequence[str]) -> str:
    """The line of the follow-up job, which needs Slurm's commands but no torch: it runs outside of the container."""
    python = None if cluster.container else cluster.python
    return shlex.join([python or _own_python(cluster), *_FLAGS, *arguments])


def training_command(cluster: Cluster, arguments: Sequence[str], folders: Sequence[str], gpus: int) -> str:
    """The line of a job that trains.

    folders: those that the job reads and writes, as the cluster sees them; a container has to mount them. gpus: how
    many the job has.
    """
    container = cluster.container
    python = cluster.python or ("python3" if container else _own_python(cluster))
    words = [*cluster.wrap, python, *_FLAGS, *arguments]
    if container and container.apptainer:
        mounts = [f"--bind={mount}" for mount in dict.fromkeys([*folders, *container.mounts])]
        before = ["apptainer", "exec", *(["--nv"] if gpus else []), *mounts, *container.options]
        words = [*before, container.apptainer, *words]
    return shlex.join(words)


def _own_python(cluster: Cluster) -> str:
    return controller_of(cluster).seen(sys.executable)


def srun_options(cluster: Cluster, folders: Sequence[str]) -> list[str]:
    """The options of srun that start a container of pyxis; none without one."""
    container = cluster.container
    if container is None or container.pyxis is None:
        return []
    mounts = [mount if ":" in mount else f"{mount}:{mount}" for mount in dict.fromkeys([*folders, *container.mounts])]
    return [f"--container-image={container.pyxis}", f"--container-mounts={','.join(mounts)}", *container.options]
