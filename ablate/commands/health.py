"""What ablate needs on this machine, and whether it is there: what `ablate doctor` checks."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ablate.commands.output import plural
from ablate.run.checks import Check

_GIGABYTE = 1e9
_LITTLE_ROOM, _NO_ROOM = 5 * _GIGABYTE, 0.2 * _GIGABYTE
_NETWORK = (
    "nfs",
    "lustre",
    "gpfs",
    "beegfs",
    "cifs",
    "smb",
    "ceph",
    "fuse.",
    "afs",
    "9p",
    "panfs",
    "wekafs",
    "orangefs",
)
_SECONDS = 20


def examine(results: Path) -> Iterator[Check]:
    """Look at everything, quick things first."""
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
    try:
        version = importlib.metadata.version("ablate-study")
    except importlib.metadata.PackageNotFoundError:
        help = "install it: pip install -e ."
        return Check("ablate", "warning", f"runs from {folder} and is not installed in this Python", help)
    return Check("ablate", "ok", f"{version}, {folder}")


def _name() -> Iterator[Check]:
    """The package that PyPI calls ablate is another project, with the same name to import."""
    try:
        other = importlib.metadata.version("ablate")
    except importlib.metadata.PackageNotFoundError:
        other = None
    ours = Path(__file__).parents[1] / "__init__.py"
    found = _run(sys.executable, "-c", "import ablate; print(ablate.__file__)", cwd=Path(ours.anchor))
    help = "pip uninstall ablate, then install this one again: pip install -e ."
    if found and Path(found).resolve() != ours.resolve():
        yield Check("the name", "problem", f"a fresh Python imports {found} as ablate, not this package", help)
    elif other is not None:
        yield Check(
            "the name", "problem", f"the other project called ablate ({other}) is installed beside this one", help
        )
    else:
        yield Check("the name", "ok", "no other package called ablate is in the way")


def _torch() -> Iterator[Check]:
    try:
        import torch

        from ablate.simclr.vision import torchvision  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        help = "install the two together, of versions that belong together: pip install -e ."
        yield Check("torch", "problem", f"cannot be imported: {error}", help)
        return
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision")]
    yield Check("torch", "ok", ", ".join(versions))
    from ablate.records.provenance import provenance
    from ablate.run.execute import available_cores
    from ablate.simclr.precision import number_format

    processor = provenance()["processor"] or platform.machine()
    formats = number_format("auto", torch.device("cpu"))
    yield Check("processor", "ok", f"{processor}, {plural(available_cores(), 'core')} to use; computes in {formats}")
    gpus = torch.cuda.device_count()
    for number in range(gpus):
        about = torch.cuda.get_device_properties(number)
        formats = number_format("auto", torch.device("cuda", number))
        told = f"{about.name}, {about.total_memory / _GIGABYTE:.0f} GB; computes in {formats}"
        yield Check(f"cuda:{number}", "ok", told)
    if not gpus:
        yield _no_gpu(torch.version.cuda)


def _no_gpu(cuda: str | None) -> Check:
    if not list(Path("/dev").glob("nvidia[0-9]*")):
        return Check("gpu", "ok", "none here: trials run on the processor")
    if cuda is None:
        help = "install torch for CUDA: see pytorch.org"
        return Check("gpu", "warning", "the machine has one, and this torch is made for processors only", help)
    help = "nvidia-smi tells of the driver; is CUDA_VISIBLE_DEVICES set?"
    return Check("gpu", "warning", "the machine has one, and torch does not see it", help)


def _slurm() -> Iterator[Check]:
    tools = {tool: shutil.which(tool) for tool in ("sbatch", "sinfo", "squeue", "sacct")}
    missing = [tool for tool, path in tools.items() if path is None]
    if len(missing) == len(tools):
        yield Check("slurm", "ok", "not on this machine: trials run here")
    elif missing:
        help = "load the module of Slurm's client commands, or ask who runs the cluster"
        yield Check("slurm", "warning", f"{', '.join(missing)} is not on the path", help)
    else:
        yield Check("slurm", "ok", _run("sbatch", "--version") or "sbatch does not tell its version")
        if _run("sinfo", "--noheader", "--format=%P") is None:
            help = "is this a login node? trials run here all the same"
            yield Check("partitions", "warning", "sinfo gets no answer from the controller", help)


def _results(folder: Path) -> Iterator[Check]:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not os.access(existing, os.W_OK):
        yield Check("results", "problem", f"{existing} cannot be written", "give another folder with --results DIR")
        return
    free = shutil.disk_usage(existing).free
    where = f"{folder}{'' if folder.exists() else ' (made by the first run)'}"
    told = f"{where}, {free / _GIGABYTE:,.1f} GB free"
    help = "make room: ablate gc --dry-run lists what nothing needs"
    if free < _LITTLE_ROOM:
        yield Check("results", "problem" if free < _NO_ROOM else "warning", told, help)
    else:
        yield Check("results", "ok", told)
    kind = _file_system(existing)
    if kind.startswith(_NETWORK):
        told = f"{kind}, on the network: locks may not reach other machines, so run one study from one machine"
        yield Check("file system", "ok", told)


def _file_system(path: Path) -> str:
    """The type of the file system that holds a folder, as /proc/mounts calls it; nothing where that is not known."""
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
    if found:
        return Check("data", "ok", ", ".join(found))
    return Check("data", "ok", "no data set below data/; the profile embedded draws its own images")


def _studies() -> Check:
    from ablate.errors import UserError
    from ablate.study.load import known_studies, load_study

    known = known_studies()
    if not known:
        return Check("studies", "warning", "none below studies/", "ablate new NAME writes one to start from")
    wrong = []
    for name, path in known.items():
        try:
            if load_study(str(path)).problems:
                wrong.append(name)
        except UserError:
            wrong.append(name)
    told = f"{len(known)}: {', '.join(known)}"
    if wrong:
        return Check("studies", "warning", f"{told}; with mistakes: {', '.join(wrong)}", "ablate check tells them")
    return Check("studies", "ok", told)


def _run(*command: str, cwd: Path | None = None) -> str | None:
    """What a command prints; None where it fails."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS, cwd=cwd)
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()
