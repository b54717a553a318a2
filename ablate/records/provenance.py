"""Provenance of an attempt: command, versions, host, device, Slurm job, and the code with its git state."""

import functools
import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.records.reading import read_object

PACKAGE = Path(__file__).parents[1]
PROJECT = "project"
"""The folder in a snapshot with the files of a study whose trainer is a command."""
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
_GIT_SECONDS = 20
_OF_ANOTHER_CHECKOUT = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"}
"""Variables that git sets for its hooks; here they would point to the wrong checkout."""
_MARKS = ("pyproject.toml", "setup.py", ".gitignore", "ablate.toml")
"""Files of the folder at the top of a project that is not a git checkout."""
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True)
class GitState:
    """The git state of a package or a module; None where git does not track it."""

    commit: str | None
    modified: bool | None
    """Whether a file differs from the commit, or is missing in it."""


def git_state(path: Path, files: Sequence[str] = ()) -> GitState:
    """The commit of the checkout that contains a folder or file, and whether it has uncommitted changes.

    files: in a folder, the only ones that count.
    """
    folder, names = (path, files) if files else (path.parent, [path.name])
    try:
        if ignored_by_git(folder, [folder / name for name in names]) == {folder / name for name in names}:
            return GitState(None, None)  # for example an installed package, in a virtual environment inside a checkout
        commit = _git(folder, "rev-parse", "HEAD").strip()
        ignored = ("--ignored",) if files else ()  # a listed file that git ignores is in no commit
        changes = _git(folder, "status", "--porcelain", "--untracked-files=all", *ignored, "--", *names)
        return GitState(commit, bool(changes))
    except (OSError, subprocess.SubprocessError):
        return GitState(None, None)


def git_diff(path: Path, wanted: Callable[[Path], bool], files: Sequence[str] = ()) -> str:
    """The uncommitted changes of a folder or file as a patch, including untracked files; only of `wanted` paths.

    files: in a folder, the only ones that count.
    """
    folder, names = (path, files) if files else (path.parent, [path.name])
    options = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")
    try:
        top = Path(_git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))
        changed = _git(folder, *options, "--name-only", "-z", "HEAD", "--", *names)
        others = _git(folder, "ls-files", "-z", "--full-name", "--others", "--exclude-standard", "--", *names)
        known, new = (
            [name for name in listed.split("\0") if name and wanted(top / name)] for listed in (changed, others)
        )
        patch = _git(top, *options, "HEAD", "--", *known) if known else ""
        return patch + "".join(
            _git(top, *options, "--no-index", "--", os.devnull, name, allowed=(0, 1)) for name in new
        )
    except (OSError, subprocess.SubprocessError):
        return ""


def project_of(path: Path) -> Path:
    """The top of the git checkout that contains a package or module, or of a project without git."""
    try:
        return Path(_git(path.parent, "rev-parse", "--show-toplevel").rstrip("\n"))
    except (OSError, subprocess.SubprocessError):
        marked = (folder for folder in path.parents if any((folder / name).exists() for name in _MARKS))
        return next(marked, path.parent)


def ignored_by_git(top: Path, paths: Sequence[Path]) -> set[Path]:
    """Which paths below `top` the ignore rules of git exclude; the rules of .gitignore files in a project without git.

    Raises OSError if git is not installed, SubprocessError if it fails.
    """
    names = "".join(f"{path}\0" for path in paths)
    check = ("check-ignore", "-z", "--stdin")
    try:
        found = _git(top, *check, stdin=names, allowed=(0, 1))
    except subprocess.CalledProcessError:
        with tempfile.TemporaryDirectory() as empty:  # no checkout: an empty one lends git's reading of .gitignore
            _git(top, "init", "--quiet", "--bare", empty)
            where = ("-c", "core.bare=false", f"--git-dir={empty}", f"--work-tree={top}")
            found = _git(top, *where, *check, "--no-index", stdin=names, allowed=(0, 1))
    return {Path(name) for name in found.split("\0") if name}


def _git(folder: Path, *arguments: str, allowed: tuple[int, ...] = (0,), stdin: str = "") -> str:
    """The output of git in a folder; raises CalledProcessError if the exit code is not `allowed`."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_CHECKOUT}
    run = subprocess.run(
        ("git", *arguments),
        cwd=folder,
        env={**environment, "GIT_OPTIONAL_LOCKS": "0"},  # reading must not block a commit by the user
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
        timeout=_GIT_SECONDS,
    )
    if run.returncode not in allowed:
        raise subprocess.CalledProcessError(run.returncode, run.args, run.stdout, run.stderr)
    return run.stdout


def read_about(package: Path) -> tuple[str, dict[str, Any]] | None:
    """The name and the code.json of the snapshot that contains a package or module; None if it is not in a snapshot."""
    about = read_object(package.parent / "code.json")
    return (package.parent.name, about) if isinstance(about.get("sources"), list) else None


def state_of(path: Path, files: Sequence[str] = ()) -> GitState:
    """A package's git state; that of its original if the package is itself in a snapshot. files: as for `git_state`."""
    if about := read_about(path):
        known = next((source for source in about[1]["sources"] if source["name"] == path.name), None)
        return GitState(known["commit"], known["modified"]) if known else GitState(None, None)
    return git_state(path, files)


def provenance(device: str = "cpu", plan: str | None = None, trainer: str | None = None) -> dict[str, Any]:
    """The environment of this process, as plain values of JSON; null marks unknown values.

    device: as torch names it; recorded is the name of its model. plan: the plan file that contains the trial, relative
    to the results folder. trainer: `package.module:function`; unless ablate ships it, `project` has the git state of
    its code, as `commit` and `modified` have that of ablate. Passwords in URLs on the command line are left out.
    """
    return {
        "command": [_PASSWORD.sub("***@", argument) for argument in sys.argv],
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": _threads(),
        **_device(device),
        "packages": {name: _version(name) for name in _PACKAGES},
        **_code(),
        "project": _project((trainer or "").partition(":")[0].partition(".")[0]),
        "slurm": slurm_job(os.environ),
        "plan": plan,
    }


def slurm_job(environment: Mapping[str, str]) -> dict[str, str] | None:
    """The Slurm job that this process belongs to."""
    if "SLURM_JOB_ID" not in environment:
        return None
    return {name: environment[variable] for name, variable in _SLURM.items() if variable in environment}


def _code() -> dict[str, Any]:
    """The snapshot that ablate was imported from with its commit; the commit of the checkout if there is none."""
    if found := read_about(PACKAGE):
        digest, about = found
        return {"code": digest, "commit": about.get("commit"), "modified": about.get("modified")}
    return {"code": None, **_commit()}


@functools.cache
def _commit() -> dict[str, Any]:
    """The commit at the first call, cached because later commits do not change what this process imported."""
    return vars(git_state(PACKAGE))


@functools.cache
def _project(name: str) -> dict[str, Any] | None:
    """The git state of a trainer's top-level package or module; None if it is part of ablate, or is not found."""
    if name in ("", PACKAGE.name):
        about = read_about(PACKAGE)
        sources = about[1]["sources"] if about else ()
        known = next((source for source in sources if source["name"] == PROJECT), None)
        return known and {"name": Path(known["path"]).name, "commit": known["commit"], "modified": known["modified"]}
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    folders = list(found.submodule_search_locations or ()) if found else []
    path = folders[0] if folders else found and found.origin
    return {"name": name, **vars(state_of(Path(path).absolute()))} if path else None


def _threads() -> int | None:
    """The number of CPU threads that torch uses; None if torch is not imported."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else None


def _device(device: str) -> dict[str, Any]:
    if not device.startswith("cuda"):
        return {"device": device}
    import torch

    return {"device": torch.cuda.get_device_name(device), "driver": _driver(), "cuda": torch.version.cuda}


@functools.cache
def _driver() -> str | None:
    """The version of the GPU driver."""
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
