"""Where and with what an attempt ran: command, versions, host, device, code, Slurm job."""

import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablate.records.code import PACKAGE, read_about
from ablate.records.git import git_state

_PACKAGES = ("ablate-study", "torch", "torchvision", "numpy", "pillow", "pydantic", "duckdb", "scipy")
_SLURM = {
    "job": "SLURM_JOB_ID",
    "array_job": "SLURM_ARRAY_JOB_ID",
    "array_task": "SLURM_ARRAY_TASK_ID",
    "partition": "SLURM_JOB_PARTITION",
    "nodes": "SLURM_JOB_NODELIST",
    "cluster": "SLURM_CLUSTER_NAME",
    "restarts": "SLURM_RESTART_COUNT",
}


def provenance(device: str = "cpu", plan: str | None = None) -> dict[str, Any]:
    """The surroundings of this process, as plain values for env.json; what is not known here is null.

    device: as torch names it; its own name is told. plan: the plan file that asked for the trial, below results.
    """
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": _threads(),
        **_device(device),
        "packages": {name: _version(name) for name in _PACKAGES},
        **_code(),
        "slurm": slurm_job(os.environ),
        "plan": plan,
    }


def slurm_job(environment: Mapping[str, str]) -> dict[str, str] | None:
    """The Slurm job that this process belongs to."""
    if "SLURM_JOB_ID" not in environment:
        return None
    return {name: environment[variable] for name, variable in _SLURM.items() if variable in environment}


def _code() -> dict[str, Any]:
    """The snapshot that ablate was imported from and its commit, or those of the folder."""
    if found := read_about(PACKAGE):
        digest, about = found
        return {"code": digest, "commit": about.get("commit"), "modified": about.get("modified")}
    return {"code": None, **_commit()}


@functools.cache
def _commit() -> dict[str, Any]:
    """Of the checkout that this process was started from: it holds what was imported, not what is written later."""
    return vars(git_state(PACKAGE))


def _threads() -> int | None:
    """The threads that torch computes with, where it is used."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else None


def _device(device: str) -> dict[str, Any]:
    if not device.startswith("cuda"):
        return {"device": device}
    import torch

    return {"device": torch.cuda.get_device_name(device), "driver": _driver(), "cuda": torch.version.cuda}


@functools.cache
def _driver() -> str | None:
    """The version of the GPU's driver."""
    command = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(run.stdout.splitlines()), None)


@functools.cache
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
