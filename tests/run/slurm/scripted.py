"""A Slurm that only exists in this process: it takes jobs, starts and ends them when told, and refuses on request."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ablate.run.slurm.controller import SlurmError

BUSY = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"

FORGOTTEN = "FORGOTTEN"
"""The state of a task that squeue does not show any more."""


@dataclass
class Batch:
    """A job, or the tasks of an array."""

    id: str
    name: str
    options: dict[str, str]
    states: list[str]
    reason: str = "None"

    @property
    def over(self) -> bool:
        """Whether none of it is pending or running."""
        return not {"PENDING", "RUNNING"} & set(self.states)


@dataclass
class ScriptedSlurm:
    """Answers what ablate asks of Slurm's commands. Tests set states, and say what sbatch and squeue answer instead."""

    batches: dict[str, Batch] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    refuse: dict[str, str] = field(default_factory=dict)
    """Pattern of a script -> sbatch's words."""
    lost: int = 0
    """How many of the next jobs sbatch accepts without an answer that is heard."""
    squeue_answers: bool = True
    changed: list[tuple[str, ...]] = field(default_factory=list)
    """What `scontrol update` was asked to change."""
    accounting: dict[str, str] = field(default_factory=dict)
    """`NAME|ID` -> the rest of sacct's line; empty without accounting."""

    def ask(self, command: str, *options: str, **where: object) -> str:
        """In place of scheduler.ask."""
        self.calls[command] += 1
        answer: str = getattr(self, f"_{command}")(*options)
        return answer

    def batch(self, end: str) -> Batch:
        """The newest job whose name ends like this."""
        return [each for each in self.batches.values() if each.name.endswith(end)][-1]

    @property
    def watcher(self) -> Batch:
        """The newest follow-up job."""
        return [each for each in self.batches.values() if "-follow" in each.name][-1]

    def forget(self, *names: str) -> None:
        """As a controller does with jobs that ended MinJobAge ago, or that it had not saved when it died."""
        self.batches = {id: each for id, each in self.batches.items() if each.name not in names}

    def _sbatch(self, path: str) -> str:
        script = Path(path).read_text()
        for pattern, words in self.refuse.items():
            if re.search(pattern, script):
                raise SlurmError("sbatch", words)
        flags = [line[len("#SBATCH --") :].partition("=") for line in script.splitlines() if line.startswith("#SBATCH")]
        options = {name: value for name, _, value in flags}
        tasks = int(options["array"].partition("%")[0].partition("-")[2]) + 1 if "array" in options else 1
        held = "hold" in options
        id = str(len(self.batches) + 100 * self.calls["sbatch"])
        batch = Batch(id, options["job-name"], options, ["PENDING"] * tasks, "JobHeldUser" if held else "Priority")
        self.batches[id] = batch
        if self.lost:
            self.lost -= 1
            raise SlurmError("sbatch", BUSY)
        return f"Submitted batch job {id}\n"

    def _squeue(self, *options: str) -> str:
        if not self.squeue_answers:
            raise SlurmError("squeue", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
        given = dict(option.partition("=")[::2] for option in options)
        names = given["--name"].split(",") if "--name" in given else None
        rows = list(self._rows(None if names is None else set(names)))
        if given["--format"] == "%F|%j":
            return "".join(f"{row.split('|')[1]}|{row.split('|')[0]}\n" for row in rows)
        return "".join(f"{row}\n" for row in rows)

    def _rows(self, names: set[str] | None) -> Iterator[str]:
        for batch in self.batches.values():
            if names is None or batch.name in names:
                for index, state in enumerate(batch.states):
                    if state == FORGOTTEN:
                        continue
                    task = index if "array" in batch.options else "N/A"
                    yield f"{batch.name}|{batch.id}|{task}|{state}||{batch.reason}"

    def _scancel(self, *ids: str) -> str:
        for id in ids:
            number, _, task = id.partition("_")
            if batch := self.batches.get(number):
                for index, state in enumerate(batch.states):
                    if state in ("PENDING", "RUNNING") and task in ("", str(index)):
                        batch.states[index] = "CANCELLED"
        return ""

    def _scontrol(self, *options: str) -> str:
        if options[0] == "update":
            self.changed.append(options[1:])
        if options[0] == "release":
            for batch in self.batches.values():
                if f"jobname={batch.name}" in options or batch.id == options[1].partition("_")[0]:
                    batch.reason = "Priority"
        return "MaxArraySize = 1001\n" if options[:2] == ("show", "config") else ""

    def _sacct(self, *options: str) -> str:
        if not self.accounting:
            raise SlurmError("sacct", "Slurm accounting storage is disabled")
        return "".join(f"{name}|{rest}\n" for name, rest in self.accounting.items())

    def _sinfo(self, *options: str) -> str:
        return "4000\n4000+\n"

    def _sacctmgr(self, *options: str) -> str:
        raise SlurmError("sacctmgr", "no accounting")
