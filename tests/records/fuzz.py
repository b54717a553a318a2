"""Damage to every kind of file below results/: every command that reads still answers, soon, and with true numbers.

`python -m tests.records.fuzz --mutations 2000 --seed 0`; with `--run` the study is also run to its end after each.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from ablate.errors import AblateError
from ablate.records.files import Results
from ablate.run.cluster import Cluster
from ablate.run.slurm.ledger import Ledger, Submission, Watch
from ablate.run.slurm.packing import Array, Share
from ablate.run.slurm.queue import queued, read_queue
from ablate.study.schema.resources import Resources

SECONDS = 60
"""After so many seconds, of the clock if it waits and of the processor if it works, a command counts as hanging."""
TRAINER = """
from typing import Any
from pydantic import BaseModel

class Config(BaseModel):
    seed: int = 0
    slope: float = 1.0
    kind: str = "plain"

def train(config: Config, context: Any) -> dict[str, Any]:
    for epoch in range(1, 4):
        context.log({"epoch": epoch, "loss": config.slope / epoch})
    return {"error": config.slope * 2 + config.seed, "curve": [1.0, 2.0], "note": config.kind}
"""
STUDY = """
name = "NAME"
title = "Slopes"
question = "Which slope?"
trainer = "fuzzed_slopes:train"
metric = "error"
seeds = 2

[axes]
slope = VALUES

[[claims]]
id = "C1"
text = "The first slope errs least."
source = "a hunch"
kind = "best"
is = "slope == FIRST"
"""
STUDIES = {"first": (1.0, 2.5), "second": (3.0, 4.5)}
"""Studies with trials of their own: what is done to one must leave the others whole."""
COMMANDED = """
name = "commanded"
title = "Digits"
question = "Which digits?"
command = ["sh", "train.sh", "{tens}", "{ones}", "{seed}"]
metric = "error"
seeds = 1

[axes]
tens = [1, 2]
ones = [3, 4]

[design]
kind = "one_at_a_time"
"""
RUNNABLE = (*STUDIES, "commanded")
IMPORTED = "lr,seed,accuracy\n0.1,0,71.5\n0.1,1,72.5\n0.2,0,73.25\n0.2,1,74.0\n"
SLURM = """#!/bin/sh
case "$1" in squeue) echo "job-1|12|1|PENDING||Priority"; echo "one-follow|13|N/A|PENDING||Dependency";; esac
"""
"""What stands before every command of Slurm: one job waits, and the follow-up job."""
ODD: tuple[Any, ...] = (None, True, -1, 2**63, "text", "", [], {}, [[]], {"a": 1}, 0.5, "\u202e", "../../x", "\ud800")


@dataclass(frozen=True)
class Found:
    """What went wrong after a mutation."""

    seed: int
    what: str
    command: str
    problem: str


@dataclass
class Project:
    """A folder with studies that were run, to be copied and damaged."""

    root: Path
    truth: dict[str, dict[str, float]] = field(default_factory=dict)
    """Study -> key -> its number."""
    whole: dict[str, list[Any]] = field(default_factory=dict)
    """Study -> the rows of its export."""


class Hang(BaseException):
    """A command did not end."""


def make_project(root: Path) -> Project:
    """Run both studies and write their pages."""
    project = Project(root)
    (root / "studies").mkdir(parents=True)
    (root / "fuzzed_slopes.py").write_text(TRAINER)
    sys.path.insert(0, str(root))
    for name, (first, second) in STUDIES.items():
        text = STUDY.replace("NAME", name).replace("VALUES", f"[{first}, {second}]")
        (root / f"studies/{name}.toml").write_text(text.replace("FIRST", str(first)))
    (root / "studies/commanded.toml").write_text(COMMANDED)
    (root / "train.sh").write_text('echo "{\\"error\\": $1$2$3}"\n')
    (root / "runs.csv").write_text(IMPORTED)
    importing = ("import", "runs.csv", "--study", "imported", "--axis", "lr", "--seed", "seed", "--metric", "accuracy")
    with chdir(root):
        for arguments in [*(("run", f"studies/{name}.toml", "--inline") for name in RUNNABLE), importing]:
            code, text = call(*arguments, seconds=600)
            assert code == 0, text
        for name in (*RUNNABLE, "imported"):
            project.whole[name] = rows(name)
            project.truth[name] = {row["key"]: row["value"] for row in project.whole[name]}
        _submit(root, sorted(project.truth["first"]))
    return project


def _submit(root: Path, keys: list[str]) -> None:
    """Records of a submission that has not ended, and the answer of squeue that `status` keeps."""
    (root / "slurm.sh").write_text(SLURM)
    (root / "slurm.sh").chmod(0o700)
    array = Array(
        name="job-1", resources=Resources(), shares=(Share(keys=tuple(keys[:2])), Share(keys=tuple(keys[2:])))
    )
    cluster = Cluster(prefix=(str(root / "slurm.sh"),))
    ledger = Ledger(Results(root / "results"))
    about = {"study": "first", "profile": "embedded", "by": "me", "code": "code", "created": time.time()}
    ledger.write(Submission(id="one", cluster=cluster, arrays=(array,), left=tuple(keys[-1:]), **about))
    ledger.note_job("one", "job-1", "12")
    ledger.note_watch("one", Watch(number=1, job="13", sent=time.time()))
    assert call("status")[0] == 0
    assert (ledger.root / "queue.json").is_file()


def call(*arguments: str, seconds: int = SECONDS) -> tuple[int, str]:
    """The exit code and the output of a command, run in this process; whatever it raises besides errors for users."""
    from ablate.cli import app

    with _alarm(seconds):
        result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, AblateError):
        return result.exception.exit_code, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    """Raise Hang after so many seconds, on a busy machine later: unless the processor worked so long, or did not."""
    began = last = time.process_time()

    def ring(number: int, frame: object) -> None:
        nonlocal last
        now = time.process_time()
        if now - began > seconds or now - last < 0.01 * seconds:
            raise Hang(f"no end after {seconds} s")
        last = now
        signal.alarm(seconds)

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def rows(study: str) -> list[Any]:
    """The rows that `ablate export` gives for a study."""
    Path("rows.json").unlink(missing_ok=True)
    code, _ = call("export", study, "--format", "json", "--output", "rows.json")
    if code:
        return []
    found: list[Any] = json.loads(Path("rows.json").read_text())
    return sorted(found, key=lambda row: str(row["key"]))


def commands(project: Project, rng: random.Random) -> list[tuple[str, ...]]:
    """Every command that reads records."""
    study = rng.choice(list(project.truth))
    key, other = rng.sample(sorted(project.truth[study]), 2)
    return [
        ("status",), ("status", study, "--json"), ("plan", f"studies/{study}.toml"), ("why", key), ("show", key),
        ("report", "--no-pictures"), ("report", study), ("judge", study), ("diff", key, other), ("logs", key),
        ("logs", key, "--follow"), ("gc", "--dry-run"), ("gc", "--dry-run", "--now"),
        ("verify", f"reports/{study}.html"), ("studies",),
        ("compare", "results", "untouched"), ("query", "SELECT * FROM trials"), ("query", f'SELECT * FROM "{study}"'),
        ("query", "SELECT count(*) FROM metrics"), ("export", study, "--format", "csv"),
    ]  # fmt: skip


Mutation = Callable[[random.Random, Path], None]


def _truncate(rng: random.Random, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) + 1)])


def _empty(rng: random.Random, path: Path) -> None:
    path.write_bytes(b"")


def _garble(rng: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 20])):
        if content:
            content[rng.randrange(len(content))] = rng.choice(b'\x00\x01\x1b\x80\xff{"')
    path.write_bytes(bytes(content))


def _swap(rng: random.Random, path: Path) -> None:
    other = rng.choice(_alike(path))
    away = path.with_name("away")
    path.rename(away)
    other.rename(path)
    away.rename(other)


def _overwrite(rng: random.Random, path: Path) -> None:
    other = rng.choice(_alike(path))
    path.write_bytes(other.read_bytes())


def _alike(path: Path) -> list[Path]:
    """The files of the same kind, itself included."""
    top = next(each for each in path.parents if each.name == "results")
    return sorted(each for each in top.rglob(path.name if "plan" not in path.name else "plan-*") if each.is_file())


def _odd_value(rng: random.Random, path: Path) -> None:
    _replace(rng, path, lambda: json.dumps(rng.choice(ODD)))


def _huge(rng: random.Random, path: Path) -> None:
    _replace(rng, path, lambda: rng.choice(["1e999", "-1e999", "1" + "0" * 400, "9" * 5000, "1" + "0" * 30]))


def _nan(rng: random.Random, path: Path) -> None:
    _replace(rng, path, lambda: rng.choice(["NaN", "Infinity", "-Infinity"]))


def _deep(rng: random.Random, path: Path) -> None:
    depth = rng.choice([90, 150, 900, 100_000])
    _replace(rng, path, lambda: "[" * depth + "]" * depth)


def _drop(rng: random.Random, path: Path) -> None:
    _replace(rng, path, None)


def _replace(rng: random.Random, path: Path, text: Callable[[], str] | None) -> None:
    """Replace a value in one of the lines of a JSON file by other text, or drop its key."""
    lines = path.read_text(errors="replace").splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    at = rng.randrange(len(lines))
    value = json.loads(lines[at])
    places = list(_places(value))
    where = rng.choice(places)
    holder = value
    for step in where[:-1]:
        holder = holder[step]
    if text is None:
        del holder[where[-1]]
        lines[at] = json.dumps(value)
    else:
        holder[where[-1]] = "HERE"
        lines[at] = json.dumps(value).replace('"HERE"', text())
    path.write_text("\n".join(lines) + "\n")


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    if isinstance(value, (dict, list)):
        for step, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(each, (*at, step))


def _blank_line(rng: random.Random, path: Path) -> None:
    lines = path.read_text(errors="replace").splitlines()
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(["", " \t", "\x00", "null", "7", "\u2028"]))
    path.write_text("\n".join(lines))


def _large(rng: random.Random, path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(60 << 20)


def _remove(rng: random.Random, path: Path) -> None:
    path.unlink() if path.is_file() else shutil.rmtree(path)


def _gone(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _fifo(rng: random.Random, path: Path) -> None:
    _gone(path)
    os.mkfifo(path)


def _folder(rng: random.Random, path: Path) -> None:
    _gone(path)
    path.mkdir()
    (path / "inner").write_text("{}")


def _file(rng: random.Random, path: Path) -> None:
    _gone(path)
    path.write_text("not a folder")


def _link(rng: random.Random, path: Path) -> None:
    target = rng.choice([path.name, "nowhere", "/etc/passwd", "/dev/zero", "/dev/null", "/proc/self/mem", ".", "/"])
    _gone(path)
    path.symlink_to(target)


def _locked(rng: random.Random, path: Path) -> None:
    if not path.is_symlink():  # chmod would follow it
        path.chmod(0)  # without effect for root


def _stray(rng: random.Random, path: Path) -> None:
    folder = path if path.is_dir() else path.parent
    name = rng.choice([b"stray", b"\xff\xfe", b"plan-x.json", b"plan-007.json", b"009-", b"x" * 200, b"new\nline",
                       b"-rf", b"002-other", b"plan-99999999999999999.json", b"\x1b[31m", b"trial.json"])  # fmt: skip
    target = os.path.join(os.fsencode(folder), name)  # noqa: PTH118 - bytes
    rng.choice([lambda: open(target, "ab").close(), lambda: os.makedirs(target, exist_ok=True)])()  # noqa: PTH103, PTH123


def _duplicate(rng: random.Random, path: Path) -> None:
    name = rng.choice([path.name + "-copy", "trials", "cells", "0" * 64, "b\udcff", "results", *STUDIES])
    target = path.with_name(name)
    if target.is_dir() and target != path:
        shutil.rmtree(target)
    if target != path:
        shutil.copytree(path, target, symlinks=True)


def _renamed(rng: random.Random, path: Path) -> None:
    path.rename(path.with_name(rng.choice([path.name.upper() + "x", "b\udcff", "trials", "other name", "x'y\"z"])))


def _other_type(rng: random.Random, path: Path) -> None:
    path.write_text(rng.choice(["null", "7", '"text"', "[]", "{}", "[{}]", "\ufeff{}", "{} {}", "true", "\x00" * 50]))


FILES: tuple[Mutation, ...] = (
    _truncate, _empty, _garble, _swap, _overwrite, _large, _remove, _fifo, _folder, _link, _locked, _stray, _other_type,
)  # fmt: skip
TEXTS: tuple[Mutation, ...] = (_odd_value, _odd_value, _huge, _nan, _deep, _drop, _drop, _blank_line)
FOLDERS: tuple[Mutation, ...] = (_duplicate, _renamed, _remove, _file, _fifo, _link, _locked, _stray, _stray)


def mutate(rng: random.Random, results: Path) -> tuple[str, set[str]]:
    """Damage one thing; returns what was done, and the studies that it concerns."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(results.rglob("*")):
        if path.is_relative_to(results / "code") and path.parent != results / "code":
            continue
        kinds.setdefault(_kind(path, results), []).append(path)
    path = rng.choice(kinds[rng.choice(sorted(kinds))])
    choices = FOLDERS if path.is_dir() else (*FILES, *(TEXTS if path.suffix in (".json", ".jsonl") else ()))
    chosen = rng.choice(choices)
    try:
        chosen(rng, path)
    except (ValueError, IndexError, OSError) as error:
        return f"nothing: {chosen.__name__} of {path.relative_to(results)}: {error!r}", set()
    parts = (*path.relative_to(results).parts, "", "")
    of_trial = {name for name, keys in _KEYS.items() if parts[1] in keys}
    concerned = {parts[1]} & _KEYS.keys() if parts[0] == "studies" else of_trial
    if chosen in (_swap, _overwrite, _duplicate) or parts[:2] in (("studies", ""), ("trials", "")):
        concerned = set(_KEYS)
    return f"{chosen.__name__.strip('_')} {path.relative_to(results)}", concerned


_KEYS: dict[str, set[str]] = {}


def _kind(path: Path, results: Path) -> str:
    """Its name if it is always the same, else the folder that it is in."""
    parts = path.relative_to(results).parts
    fixed = not any(each.isdigit() for each in path.stem)
    return path.name if path.is_file() and fixed else f"{len(parts)} {parts[0]} {path.suffix}"


def try_one(project: Project, seed: int, most: int | None = None, run: bool = False) -> tuple[str, list[Found]]:
    """Damage a copy of the project, and run the commands on it; `most` of them and two exports, or all."""
    rng = random.Random(seed)
    found: list[Found] = []
    refused = set[str]()
    _KEYS.update({name: set(keys) for name, keys in project.truth.items()})
    with tempfile.TemporaryDirectory() as folder, chdir(folder), _quiet():
        shutil.copytree(project.root, "here", symlinks=True, ignore=shutil.ignore_patterns("untouched"))
        os.chdir("here")
        Path("untouched").symlink_to(project.root / "results")
        what, concerned = mutate(rng, Path("results").absolute())
        if what.startswith("nothing"):
            return what, []
        asked = commands(project, rng)
        asked = asked if most is None else rng.sample(asked, most)
        asked = [each for each in asked if each[-1] != "--follow" or not _waits(each[1])]
        for arguments in [*asked, *((("run", f"studies/{name}.toml", "--inline") for name in RUNNABLE) if run else ())]:
            with _noted(found, seed, what, " ".join(arguments)):
                code, text = call(*arguments)
                assert code in (0, 1, 2, 3), f"exit code {code}"
                assert "Traceback" not in text, text
                if arguments[0] == "run" and code == 2 and " is not a folder\n  help: " in text:
                    refused.add(Path(arguments[1]).stem)  # for people to decide: it may link to an unmounted disk
                else:
                    assert arguments[0] != "run" or code == 0, text
        for name in project.truth if most is None else rng.sample(sorted(project.truth), 2):
            with _noted(found, seed, what, f"export {name}"):
                _check_numbers(
                    project,
                    name,
                    name not in concerned or (run and name in RUNNABLE and name not in refused),
                    what.partition(" ")[0],
                )
        for path in Path(folder).rglob("*"):
            with suppress(OSError):
                if not path.is_symlink():  # chmod would follow it out of the folder
                    path.chmod(0o700)
    return what, found


def _waits(key: str) -> bool:
    """Whether a trial has no readable result now, and its job is in the queue: `logs --follow` waits for that."""
    results = Results(Path("results"))
    with suppress(AblateError, OSError):
        return key in queued(results, read_queue(results))
    return False


def _check_numbers(project: Project, study: str, whole: bool, mutation: str) -> None:
    """Every number that is shown is the true one; of a study that is not concerned, all are.

    An odd value may be a number that no reader can know to be wrong, or be another name of the metric, in a plan or a
    result, so that a done trial lacks it.
    """
    odd = [value for value in ODD if type(value) in (int, float)] if mutation == "odd_value" else []
    shown, renamed = rows(study), mutation in ("odd_value", "drop")
    if whole:
        assert {row["key"]: row["value"] for row in shown} == project.truth[study], f"the study is not whole: {shown}"
    truth = {key: value for keys in project.truth.values() for key, value in keys.items()}
    for row in shown:
        if row.get("value") is not None:
            assert row["value"] in (truth.get(row["key"]), *odd), f"a wrong number: {row}"
        assert renamed or row["key"] not in truth or row["state"] != "done" or row.get("value") is not None, (
            f"done: {row}"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


@contextmanager
def _noted(found: list[Found], seed: int, what: str, command: str) -> Iterator[None]:
    try:
        yield
    except (Exception, Hang) as error:
        lines = traceback.format_exception(error)
        found.append(Found(seed, what, command, "".join(lines[-3:])[-1500:] if len(lines) > 3 else "".join(lines)))


def main() -> None:
    """Try mutations, print what was found, and exit with 1 if there was anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, help="how many commands after each; default: all")
    parser.add_argument("--run", action="store_true", help="also run both studies to their end after each")
    options = parser.parse_args()
    began, kinds, bad = time.monotonic(), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder, _quiet():
        project = make_project(Path(folder) / "base")
        with chdir(project.root):
            call("report", "--no-pictures")
        for seed in range(options.seed, options.seed + options.mutations):
            what, found = try_one(project, seed, options.most, options.run)
            kinds[what.partition(" ")[0]] += 1
            if kinds.total() % 100 == 0:
                print(f"{kinds.total()} mutations, {bad} with a problem", file=sys.__stderr__, flush=True)
            bad += bool(found)
            for each in found:
                print(
                    f"--- seed {each.seed}: {each.what}\n{each.command}: {each.problem}",
                    file=sys.__stdout__,
                    flush=True,
                )
    print(f"{options.mutations} mutations, {bad} with a problem, {time.monotonic() - began:.0f} s: {dict(kinds)}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
