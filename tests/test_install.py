"""The wheel in an empty folder, an installation without torch, and the package on a system like Windows."""

import subprocess
import sys
import sysconfig
import textwrap
import tomllib
import zipfile
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.study.authoring import copy_shipped
from ablate.study.load import SHIPPED, find_study
from tests.records.by_hand import key_of, write_plan, write_trial

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist as PyPI's users would: what the sdist lacks, the wheel lacks."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run([*build, "-t", "sdist"], cwd=ROOT, check=True, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    subprocess.run(["tar", "xzf", sdist.name], cwd=folder, check=True)
    subprocess.run(
        [*build, "-t", "wheel"], cwd=folder / sdist.name.removesuffix(".tar.gz"), check=True, capture_output=True
    )
    (built,) = folder.glob("*.whl")
    checked = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(built)]
    assert subprocess.run(checked, capture_output=True, text=True, check=True).stdout.count("PASSED") == 2
    return built


def test_the_wheel_carries_studies_profiles_suites_and_the_numbers_of_the_paper(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    files = [f"ablate/studies/{path.relative_to(ROOT / 'studies')}" for path in (ROOT / "studies").rglob("*.toml")]
    files += [
        str(path.relative_to(ROOT)) for path in (ROOT / "ablate").rglob("*") if path.suffix in (".csv", ".j2", ".py")
    ]
    assert len(files) > 300
    assert set(files) - inside == set()
    assert not [name for name in inside if name.startswith(("tests", "docs"))]


def test_the_wheel_needs_torch_only_for_its_extra(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        needs = [line for line in archive.read(name).decode().splitlines() if line.startswith("Requires-Dist: torch")]
    assert len(needs) == 2
    assert all(line.endswith("extra == 'simclr'") for line in needs)
    assert "'.[dev,simclr]'" in (ROOT / "Makefile").read_text()


def test_the_wheel_in_an_empty_folder_lists_copies_and_trains_the_studies(wheel: Path, tmp_path: Path) -> None:
    """With the libraries of this environment, so that nothing is downloaded."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "env"], cwd=tmp_path, check=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(install, cwd=tmp_path, check=True)
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    folder = tmp_path / "empty"
    folder.mkdir()

    def ablate(*words: str) -> str:
        command = [str(python.with_name("ablate")), *words]
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "augment_pairs" in ablate("studies")
    assert list(folder.iterdir()) == []
    tiny = ["epochs=0", "data.train_images=64", "data.test_images=40", "data.image_size=16", "encoder.name=resnet8"]
    settings = [word for each in tiny for word in ("--set", each)]
    ablate("run", "augment_pairs", "--only", "first=crop", "--only", "second=color", *settings)
    assert sorted(path.name for path in folder.iterdir()) == ["reports", "results"]
    pages = sorted(path.name for path in (folder / "reports").glob("*.html"))
    assert [name.partition("-")[0] for name in pages] == ["augment_pairs", "index.html"]
    shipped = len(list((ROOT / "studies").rglob("*.toml")))
    assert f"wrote {shipped} files to studies/" in ablate("init")
    assert (folder / "studies" / "augment_pairs.toml").read_bytes() == (
        ROOT / "studies" / "augment_pairs.toml"
    ).read_bytes()


def test_init_copies_named_studies_with_the_profiles_and_overwrites_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "loss.toml").write_text("mine")
    copied, left = copy_shipped(["loss", "temperature", "temperature"], folder)
    profiles = sorted(folder / "profiles" / path.name for path in (SHIPPED / "profiles").iterdir())
    assert copied == [folder / "temperature.toml", *profiles]
    assert left == [folder / "loss.toml"]
    assert (folder / "loss.toml").read_text() == "mine"
    with pytest.raises(UserError, match="no study called 'temprature' ships with ablate; did you mean 'temperature'"):
        copy_shipped(["temprature"], folder)


def test_a_study_that_was_copied_is_found_before_the_one_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_study("loss").is_relative_to(SHIPPED)
    copy_shipped(["loss"])
    assert find_study("loss") == Path("studies/loss.toml")


LIGHT = """
import contextlib, io, sys
for finder in sys.meta_path:  # as if torch were not installed
    def find(name, path=None, target=None, find_spec=finder.find_spec):
        return None if name in ("torch", "torchvision") else find_spec(name, path, target)
    finder.find_spec = find
from ablate import cli

def exit_code(*words):
    sys.argv = ["ablate", *words]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            cli.main()
    except SystemExit as ended:
        return ended.code or 0
    return 0

with open("runs.csv", "w") as file:
    file.write("model,seed,accuracy\\n")
    file.writelines(f"{m},{s},{60 + s + 5 * (m == 'b')}\\n" for m in "ab" for s in range(3))
for words in (
    ["import", "runs.csv", "--study", "old", "--axis", "model", "--seed", "seed", "--metric", "accuracy"],
    ["judge", "old"], ["noise", "old"], ["report", "old"], ["report", "mine", "--format", "latex,csv,svg"],
    ["status"], ["query", "SELECT count(*) FROM old"], ["export", "old", "--output", "old.csv"],
    ["verify", "reports/old.html"],
    ["show", "mine:head=linear,seed=0"], ["why", "mine:head=linear,seed=0"], ["gc", "--dry-run"],
    ["studies"], ["check", "temperature"], ["plan", "temperature"], ["schema"], ["new", "my_loss"], ["init", "loss"],
):
    assert exit_code(*words) == 0, words
assert exit_code("run", "temperature") == 2
"""


def test_without_torch_everything_works_but_training_which_says_what_to_install(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    cells = {key_of(n): {"head": ("linear", "nonlinear")[n // 3], "seed": n % 3} for n in range(6)}
    for number, key in enumerate(cells):
        write_trial(results, key, numbers={"top1": 60.25 + 7 * number})
    write_plan(results, cells)
    done = subprocess.run(
        [sys.executable, "-c", LIGHT],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("error:") == 1
    assert "error: torch is not installed" in done.stderr
    assert "pip install torch torchvision" in done.stderr


WINDOWS = """
import asyncio, importlib, multiprocessing.connection, os, pkgutil, signal, subprocess, sys, tempfile
import torch
from ablate.simclr.base.vision import torchvision
import scipy.stats, polars, pandas, altair, duckdb, rich.console, typer, PIL.Image, tarfile, uuid, zipfile
for name in ("fcntl", "resource", "pwd", "grp", "termios", "pty", "syslog"):
    sys.modules[name] = None
for name in ("fork", "pread", "killpg", "setsid", "getpgid", "geteuid", "getuid", "register_at_fork", "sync",
             "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY", "sched_getaffinity", "sched_setaffinity", "uname"):
    delattr(os, name)
for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD"):
    delattr(signal, name)
import ablate
from pathlib import Path
for module in pkgutil.walk_packages(ablate.__path__, "ablate."):
    if module.name not in ("ablate.run.slurm.job", "ablate.run.slurm.ranks") and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
import ablate.simclr.__main__
from ablate import cli
for words in (["run", "tiny"], ["judge", "tiny"], ["status"], ["logs", "tiny:lr=1,seed=0"], ["report", "tiny"]):
    sys.argv = ["ablate", *words]
    try:
        cli.main()
    except SystemExit as ended:
        assert not ended.code, (words, ended.code)
"""


def test_the_package_runs_trials_without_what_windows_lacks(tmp_path: Path) -> None:
    """Modules, functions and signals that only POSIX has are taken away: trials run one after another."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tiny.toml").write_text(
        textwrap.dedent("""
        name = "tiny"
        title = "Tiny"
        question = "Does it run?"
        metric = "accuracy"
        command = ["python", "-c", "print('accuracy: {lr}')"]
        axes.lr = [1, 2]
        """)
    )
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2/2  lr=2 seed=0  accuracy 2" in done.stdout, done.stdout


def test_recipe_citation_and_containers_agree_with_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    recipe = (ROOT / "packaging" / "recipe.yaml").read_text()
    run = recipe.partition("  run:\n")[2].partition("\n\n")[0]
    needs = [line.strip("- ").replace(" ", "").replace("python-duckdb", "duckdb") for line in run.splitlines()]
    assert sorted(needs) == sorted([f"python{project['requires-python']}", *project["dependencies"]])
    for file in (recipe, (ROOT / "CITATION.cff").read_text()):
        assert f"version: {project['version']}" in file
        assert f"license: {project['license']}" in file
    for line in (ROOT / "packaging" / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            assert all((ROOT / name).exists() for name in line.split()[1:-1]), line
    files = (ROOT / "packaging" / "apptainer.def").read_text().partition("%files\n")[2].partition("\n\n")[0]
    assert all((ROOT / line.split()[0]).exists() for line in files.splitlines())
