"""One fault in a project of its own: commands are run, the fault strikes, and what is left is compared."""

import contextlib
import ctypes
import functools
import importlib
import json
import math
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import preload, warm
from tests.tiny import tiny_profile

STUDY = """
name = "tiny"
title = "Tiny"
question = "Does temperature matter?"

[axes]
temperature = { setting = "loss.temperature", values = [0.1, 0.5, 1.0] }
"""
PROFILE = tiny_profile(8, 16, 20, "knn", "checkpoint_minutes = 0\n")
ONE_TRIAL = ("--only", "temperature=0.5")
HANG_SECONDS = 90.0
_PR_SET_CHILD_SUBREAPER = 36
_OURS = {"key", "attempt", "seconds", "warnings"}
Metrics = dict[str, Any]


@dataclass(frozen=True)
class Reference:
    """A run without faults."""

    metrics: dict[str, Metrics]
    """Key -> what the trainer returned, without the seconds that it measured."""
    one: str
    """The key of the trial of ONE_TRIAL."""
    operations: int
    """Operations that write in `ablate run` of one trial, in one process."""
    operations_of_pool: tuple[int, int]
    """Of all trials, in two workers: before the first of them is trained, and in all."""
    done: Path
    """A project with all results."""
    stopped: Path
    """A project whose process was killed in its second trial, after a checkpoint."""


@dataclass
class Outcome:
    """What a fault did: each count is 0 if all is well."""

    kind: str
    detail: str
    seconds: float = 0.0
    lost: int = 0
    doubled: int = 0
    differing: int = 0
    incomplete: int = 0
    untrue: int = 0
    """Commands that exited with 0 while results that they were asked for were absent."""
    tracebacks: int = 0
    hangs: int = 0
    orphans: int = 0
    struck: bool = True
    """Whether the fault happened before the command had ended."""
    output: str = ""

    @property
    def clean(self) -> bool:
        """Whether nothing came out wrong."""
        counts = (self.lost, self.doubled, self.differing, self.incomplete, self.untrue, self.tracebacks)
        return not any((*counts, self.hangs, self.orphans))


def write_project(folder: Path) -> Path:
    """A project with the study and its profile."""
    (folder / "studies/profiles").mkdir(parents=True)
    (folder / "studies/tiny.toml").write_text(STUDY)
    (folder / "studies/profiles/embedded.toml").write_text(PROFILE)
    return folder


def read_results(results: Path) -> dict[str, tuple[bytes, Metrics]]:
    """Key -> content and metrics of each result that can be read and carries the key of its folder."""
    found = {}
    for path in results.glob("trials/*/result.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            content = path.read_bytes() if path.is_file() and path.stat().st_size < 10**6 else b""
            result = json.loads(content)
            metrics = result.get("metrics") or {name: each for name, each in result.items() if name not in _OURS}
            if result["key"] == path.parent.name and math.isfinite(metrics["top1"]):
                kept = {name: each for name, each in metrics.items() if not name.endswith("seconds")}
                found[path.parent.name] = content, kept
    return found


def use_subreaper() -> None:
    """Become the parent of processes whose own parent dies: all of them can be waited for."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(process: int) -> list[int]:
    """All processes below one, without it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [process]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def kill(processes: list[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to each that still exists."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


@dataclass
class Scenario:
    """A project in which one fault is tried."""

    folder: Path
    reference: Reference
    outcome: Outcome
    start_with: Path | None = None
    """A project to copy; None for one without results."""
    damaged: set[str] = field(default_factory=set)
    """Keys of trials whose records the fault itself damaged: they may be trained again."""
    one_trial: bool = False
    finished: bool = False
    processes: dict[int, tuple[str, ...]] = field(default_factory=dict)
    codes: dict[int, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    """What happened, in order; what commands printed is in files of their own."""

    def __post_init__(self) -> None:
        use_subreaper()
        self.folder.mkdir(parents=True)
        self.project = self.folder / "project"
        if self.start_with:
            shutil.copytree(self.start_with, self.project, symlinks=True)
        else:
            write_project(self.project)
        self.results = self.project / "results"
        self.control = preload.use_control(self.results)
        self.at_start = read_results(self.results)

    @property
    def asked(self) -> set[str]:
        """Keys of the trials that runs are asked for."""
        return {self.reference.one} if self.one_trial else set(self.reference.metrics)

    def start(self, *arguments: str, before: Callable[[], None] = lambda: None) -> int:
        """Start a command, whose output goes to a file of its own."""

        def prepare() -> None:
            _plain_pages()
            before()

        output = self.folder / f"output-{len(self.processes)}.txt"
        process = warm.start_command(self.project, arguments, output, prepare)
        self.processes[process] = arguments
        return process

    def run(self, *how: str, before: Callable[[], None] = lambda: None) -> int:
        """Start `ablate run` of what this scenario trains."""
        only = ONE_TRIAL if self.one_trial else ()
        return self.start("run", "tiny", *only, *how, before=before)

    def after_operations(self, process: int, count: int, further: float = 0.0) -> bool:
        """Wait until so many operations have written, and `further` seconds; False if the command ended before."""
        until = time.monotonic() + HANG_SECONDS
        while self.control.count < count and time.monotonic() < until:
            if self._ended(process):
                return False
            time.sleep(0.001)
        time.sleep(further)
        return not self._ended(process)

    def wait(self, *processes: int, seconds: float = HANG_SECONDS) -> None:
        """Wait for commands; one that takes too long is killed with all that it started, and counted."""
        until = time.monotonic() + seconds
        while waiting := [each for each in processes if not self._ended(each)]:
            if time.monotonic() > until:
                self.outcome.hangs += 1
                self.lines.append(f"... hangs: {[self.processes[each] for each in waiting]}")
                for each in waiting:
                    kill([*descendants(each), each], signal.SIGCONT)
                    kill([*descendants(each), each])
                until += 10
            time.sleep(0.005)

    def _ended(self, process: int) -> bool:
        if process not in self.codes:
            with contextlib.suppress(ChildProcessError):
                ended, status = os.waitpid(process, os.WNOHANG)
                if not ended:
                    return False
                self.codes[process] = os.waitstatus_to_exitcode(status)
            self.codes.setdefault(process, -1)
            arguments, code = self.processes[process], self.codes[process]
            printed = self._printed(process)
            self.outcome.tracebacks += 0 if _told_by_trials(printed) else printed.count(_TRACEBACK)
            self.lines += [f"$ ablate {' '.join(arguments)}\n{printed}... exit code {code}"]
            if arguments[0] == "run" and code == 0 and (absent := self.asked - read_results(self.results).keys()):
                self.outcome.untrue += 1
                self.lines.append(f"... though it lacks {sorted(each[:12] for each in absent)}")
        return True

    def settle(self, seconds: float = 20.0) -> None:
        """Wait until no process is left of the commands that have ended; what stays is killed, and counted."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:  # a process that nobody waited for would still count as alive
                    pass
            except ChildProcessError:
                return
            time.sleep(0.01)
        left = descendants(os.getpid())
        self.outcome.orphans += len(left)
        self.lines.append(f"... {len(left)} processes are left")
        kill(left)
        time.sleep(0.1)

    def finish(self) -> Outcome:
        """Run once more without a fault, and compare everything with the reference; once only."""
        if self.finished:
            return self.outcome
        self.finished = True
        self.settle()
        found = read_results(self.results)
        self.control.disarm()
        last = self.run("--inline")
        self.wait(last)
        self.settle()
        after = read_results(self.results)
        outcome, reference = self.outcome, self.reference.metrics
        kept = {key: each for key, each in (self.at_start | found).items() if key not in self.damaged}
        outcome.lost = len(kept.keys() - after.keys())
        written = [key for key, _ in self.control.written() if key not in self.damaged]
        earlier = [key for key in self.at_start if key not in self.damaged]
        times = {key: (written + earlier).count(key) for key in reference}
        changed = {key for key in kept.keys() & after.keys() if kept[key][0] != after[key][0]}
        outcome.doubled = sum(key in changed or times[key] > 1 for key in reference)
        outcome.differing = sum(after[key][1] != reference[key] for key in after.keys() & reference.keys())
        outcome.incomplete = len(self.asked - after.keys()) or int(self.codes[last] != 0)
        operation = self.control.operation.decode(errors="replace")
        outcome.detail += f"; {operation}" if operation else ""
        outcome.output = "\n".join(self.lines)[-6000:]
        return outcome

    def _printed(self, process: int) -> str:
        number = list(self.processes).index(process)
        return (self.folder / f"output-{number}.txt").read_text(errors="replace")


_TRACEBACK = "Traceback (most recent call last)"


def _told_by_trials(printed: str) -> bool:
    """Whether tracebacks in a command's output are those of trials that failed in its own process, as their stderr."""
    return printed.count(" failed: ") > 0 and "trials failed\n" in printed


def _plain_pages() -> None:
    """Pages without charts and pictures: their drawing takes longer than the training here, and writes no record.

    Templates are compiled once for all processes.
    """
    import jinja2

    import ablate.report.page as page

    cache = jinja2.FileSystemBytecodeCache(str(preload.folder()))
    jinja2.Environment = functools.partial(jinja2.Environment, bytecode_cache=cache)  # type: ignore[assignment,misc]
    for name, instead in (("kept_figures", []), ("_forests", []), ("draw_pictures", None)):
        getattr(page, name)  # raises an error if it has another name now
        setattr(page, name, lambda *_, instead=instead, **__: instead)


def make_reference(folder: Path) -> Reference:
    """Import what commands need, run all without faults, and prepare the projects that faults start from."""
    use_subreaper()
    for module in (
        "torch",
        "ablate.simclr.trainer",
        "ablate.run.attempt",
        "ablate.report.formats",
        "ablate.workflow.run",
    ):
        importlib.import_module(module)
    commands = [("run", "tiny", "--inline"), ("run", "tiny", "--workers", "1"), ("status",), ("gc", "--dry-run")]
    warm.import_what_commands_need(write_project(folder / "warm/project"), commands)
    empty = Reference({}, "", 0, (0, 0), folder, folder)
    whole = Scenario(folder / "done", empty, Outcome("reference", ""))
    process = whole.run("--workers", "2")
    while not whole._ended(process) and not list(whole.results.glob("trials/*/attempts")):
        before = whole.control.count
    whole.wait(process)
    metrics = {key: each[1] for key, each in read_results(whole.results).items()}
    single = Scenario(folder / "one", empty, Outcome("reference", ""), one_trial=True)
    single.wait(single.run("--inline"))
    (one,) = read_results(single.results)
    stopped = Scenario(folder / "stopped", empty, Outcome("reference", ""))
    process = stopped.run("--inline")
    while not stopped._ended(process):
        checkpoints = {path.parent for path in stopped.results.glob("pretrained/*/*.pt")}
        if read_results(stopped.results) and len(checkpoints) > 1:
            kill([process])
        time.sleep(0.001)
    if len(metrics) != 3 or metrics[one] != read_results(single.results)[one][1]:
        raise RuntimeError(f"the reference itself is not complete:\n{whole.lines}")
    return Reference(metrics, one, single.control.count, (before, whole.control.count), whole.project, stopped.project)


@contextlib.contextmanager
def limited(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A small disk of its own at a folder, where this process may mount one; yields a function that remounts it."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.system(f"mount -t tmpfs -o size={size} chaos {folder} 2>/dev/null"):
        raise PermissionError("this process may not mount a file system")
    try:
        yield lambda options: _checked(f"mount -o remount,{options} {folder}")
    finally:
        os.system(f"umount -l {folder}")


def _checked(command: str) -> None:
    if os.system(command):
        raise RuntimeError(command)
