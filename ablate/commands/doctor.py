"""`ablate doctor`: whether this machine, or a cluster, has what studies need."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ablate.commands.options import Json, Profile, ResultsFolder
from ablate.records.plain import plural
from ablate.run.machine import Check

_GIGABYTE = 1e9
_LITTLE_SPACE, _NO_SPACE = 5 * _GIGABYTE, 0.2 * _GIGABYTE
_NETWORK = (
    "nfs", "lustre", "gpfs", "beegfs", "cifs", "smb", "ceph", "fuse.", "afs", "9p", "panfs", "wekafs", "orangefs",
)  # fmt: skip
"""File systems on the network, by the start of their names in /proc/mounts."""
_SECONDS = 20


def doctor(
    on: Annotated[
        str | None, typer.Option(metavar="NAME", help="Check this cluster of ablate.toml, with one tiny job.")
    ] = None,
    study: Annotated[
        str | None, typer.Option(metavar="STUDY", help="With --on: check the jobs of this study, with its resources.")
    ] = None,
    profile: Profile = "embedded",
    json: Json = False,
    results: ResultsFolder = Path("results"),
) -> None:
    """Check Python, torch, devices, Slurm, disk, data and studies, or a cluster (--on)."""
    from ablate.commands.output import print_facts, print_json

    checks = list(_examine_cluster(on, study, profile, results) if on else examine(results))
    if json:
        print_json(checks)
    else:
        print_facts([(check.name, f"{check.state}: {check.message}{_what_to_do(check)}") for check in checks])
    if any(check.state == "problem" for check in checks):
        raise typer.Exit(1)


def _examine_cluster(name: str, study: str | None, profile: str, results: Path) -> Iterator[Check]:
    from ablate.commands.options import plan_options, results_in
    from ablate.run.cluster_file import find_cluster
    from ablate.run.slurm.doctor import examine_cluster
    from ablate.workflow.run import plan_study

    cluster = find_cluster(name, Path.cwd())
    resources = None
    if study:
        resources = plan_study(study, plan_options(profile, [], [], None), results_in(results)).expansion.resources
    return examine_cluster(cluster, results, resources)


def _what_to_do(check: Check) -> str:
    if not check.help:
        return ""
    return f"{'' if check.message.endswith('?') else '.'} What to do: {check.help}"


def examine(results: Path) -> Iterator[Check]:
    """Check everything on this machine, quick checks first."""
    yield Check("python", "ok", f"{platform.python_version()}, {sys.executable}")
    yield _own_version()
    yield from _name()
    yield from _torch()
    yield from _slurm()
    yield from _results(results)
    yield _data()
    yield _studies()


def _own_version() -> Check:
    folder = Path(__file__).parents[1]
    if version := _version("ablate-study"):
        return Check("ablate", "ok", f"{version}, {folder}")
    help = "install it: pip install -e ."
    return Check("ablate", "warning", f"runs from {folder} but is not installed in this Python", help)


def _version(project: str) -> str | None:
    """The version of an installed project; None if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # slow, and all commands import this module

    try:
        return version(project)
    except PackageNotFoundError:
        return None


def _name() -> Iterator[Check]:
    """Check that `import ablate` imports this package: the one called ablate on PyPI is another project."""
    other = _version("ablate")
    ours = Path(__file__).parents[1] / "__init__.py"
    imported = _run(sys.executable, "-c", "import ablate; print(ablate.__file__)", cwd=Path(ours.anchor))
    help = "pip uninstall ablate, then install this package again: pip install -e ."
    if imported and Path(imported).resolve() != ours.resolve():
        yield Check("the name", "problem", f"`import ablate` loads {imported} instead of this package", help)
    elif other is not None:
        message = f"the other project called ablate ({other}) is installed next to this one"
        yield Check("the name", "problem", message, help)
    else:
        yield Check("the name", "ok", "no other package called ablate is installed")


def _torch() -> Iterator[Check]:
    try:
        import torch

        from ablate.simclr.base.vision import torchvision  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name in ("torch", "torchvision"):
            from ablate.errors import missing_torch

            problem = missing_torch(error.name).problems[0]
            yield Check("torch", "warning", problem.message, problem.help)
            return
        help = "install matching versions of both: pip install --upgrade torch torchvision"
        yield Check("torch", "problem", f"torch or torchvision cannot be imported: {error}", help)
        return
    versions = [f"{name} {_version(name)}" for name in ("torch", "torchvision")]
    yield Check("torch", "ok", ", ".join(versions))
    from ablate.records.provenance import provenance
    from ablate.run.machine import available_cores
    from ablate.simclr.base.device import number_format

    processor = provenance()["processor"] or platform.machine()
    formats = number_format("auto", torch.device("cpu"))
    yield Check("processor", "ok", f"{processor}, {plural(available_cores(), 'core')} available; computes in {formats}")
    gpus = torch.cuda.device_count()
    for number in range(gpus):
        about = torch.cuda.get_device_properties(number)
        formats = number_format("auto", torch.device("cuda", number))
        memory = f"{about.total_memory / _GIGABYTE:.0f} GB"
        yield Check(f"cuda:{number}", "ok", f"{about.name}, {memory}; computes in {formats}")
    if not gpus:
        yield _no_gpu(torch.version.cuda)


def _no_gpu(cuda: str | None) -> Check:
    if not list(Path("/dev").glob("nvidia[0-9]*")):
        return Check("gpu", "ok", "none: trials run on the CPU")
    if cuda is None:
        help = "install torch for CUDA: see pytorch.org"
        return Check("gpu", "warning", "this machine has a GPU, but torch was built for CPUs only", help)
    help = "check the driver with nvidia-smi, and the variable CUDA_VISIBLE_DEVICES"
    return Check("gpu", "warning", "this machine has a GPU that torch cannot see", help)


def _slurm() -> Iterator[Check]:
    tools = {tool: shutil.which(tool) for tool in ("sbatch", "sinfo", "squeue", "sacct")}
    missing = [tool for tool, path in tools.items() if path is None]
    if len(missing) == len(tools):
        yield Check("slurm", "ok", "not installed: trials run on this machine")
    elif missing:
        help = "load the module with Slurm's client commands, or ask the cluster's administrators"
        yield Check("slurm", "warning", f"not on the path: {', '.join(missing)}", help)
    else:
        yield Check("slurm", "ok", _run("sbatch", "--version") or "sbatch does not report its version")
        if _run("sinfo", "--noheader", "--format=%P") is None:
            help = "to use a cluster, run this on its login node"
            yield Check("partitions", "warning", "sinfo gets no answer from the controller", help)


def _results(folder: Path) -> Iterator[Check]:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not os.access(existing, os.W_OK):
        yield Check("results", "problem", f"{existing} is not writable", "choose another folder with --results DIR")
        return
    free = shutil.disk_usage(existing).free
    where = f"{folder}{'' if folder.exists() else ' (will be created by the first run)'}"
    message = f"{where}, {free / _GIGABYTE:,.1f} GB free"
    help = "free some space: ablate gc --dry-run lists what nothing needs"
    if free < _LITTLE_SPACE:
        yield Check("results", "problem" if free < _NO_SPACE else "warning", message, help)
    else:
        yield Check("results", "ok", message)
    kind = _file_system(existing)
    if kind.startswith(_NETWORK):
        message = (
            f"{kind}, on the network: file locks may not work across machines, so run each study from one machine only"
        )
        yield Check("file system", "ok", message)


def _file_system(path: Path) -> str:
    """The type of the file system of a folder, as in /proc/mounts; empty if unknown."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    found = [fields for fields in map(str.split, lines) if path.resolve().is_relative_to(fields[1])]
    return max(found, key=lambda fields: len(fields[1]))[2] if found else ""


def _data() -> Check:
    folders = sorted(path for path in Path("data").glob("*") if path.is_dir())
    packs = [path for path in folders if (path / "index.json").is_file()]
    images = [path for path in folders if path not in packs and (path / "train").is_dir()]
    found = [*(f"{path} (packed)" for path in packs), *(f"{path} (images)" for path in images)]
    none = "no data set in data/; the profile embedded generates its own images"
    return Check("data", "ok", ", ".join(found) or none)


def _studies() -> Check:
    from ablate.study.load import known_studies
    from ablate.workflow.overview import readable_study

    known = known_studies()
    if not known:
        return Check("studies", "warning", "none in studies/", "ablate new NAME writes one to start from")
    wrong = [name for name, path in known.items() if readable_study(str(path)) is None]
    names = f"{len(known)}: {', '.join(known)}"
    if wrong:
        message = f"{names}; invalid: {', '.join(wrong)}"
        return Check("studies", "warning", message, "ablate check STUDY lists the errors")
    return Check("studies", "ok", names)


def _run(*command: str, cwd: Path | None = None) -> str | None:
    """The output of a command; None if it fails."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS, cwd=cwd)
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()
