"""A campaign: many faults, several at a time, each in a process of its own, and the table of what they did."""

import json
import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random

from tests.chaos.faults import KINDS
from tests.chaos.scenario import Outcome, Reference, Scenario, descendants, kill, make_reference

Planned = tuple[str, int, float]
"""A kind, the seed of its randomness, and its place among the faults of its kind, from 0 to 1."""
HEADS = ("lost", "doubled", "differing", "not complete", "untrue exit 0", "tracebacks", "hangs", "orphans")
COLUMNS = ("lost", "doubled", "differing", "incomplete", "untrue", "tracebacks", "hangs", "orphans")


def planned(faults: int, seed: int, kinds: Sequence[str] = ()) -> list[Planned]:
    """The faults of a campaign, shuffled; each kind has its share, and at least one."""
    chosen = list(kinds) or list(KINDS)
    total = sum(KINDS[name].share for name in chosen)
    plan: list[Planned] = []
    for name in chosen:
        count = max(1, round(faults * KINDS[name].share / total))
        plan += [(name, seed * 10**6 + number, (number + 0.5) / count) for number in range(count)]
    Random(seed).shuffle(plan)
    return plan


def run_one(reference: Reference, folder: Path, fault: Planned) -> Outcome:
    """Try one fault in this process."""
    name, seed, place = fault
    kind, random = KINDS[name], Random(f"{name} {seed}")
    scenario = Scenario(
        folder, reference, Outcome(name, ""), kind.start_with(reference, random), one_trial=kind.one_trial
    )
    began = time.monotonic()
    detail = kind.strike(scenario, random, place)
    outcome = scenario.finish()
    outcome.detail = f"{detail}{outcome.detail}"
    outcome.seconds = round(time.monotonic() - began, 2)
    return outcome


class Campaign:
    """A temporary folder with the reference, in which faults are tried; use as a context manager.

    keep: a folder for the projects that went wrong.
    """

    def __init__(self, keep: Path | None = None) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="chaos-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self._keep = keep
        self.reference = make_reference(self._home)

    def __enter__(self) -> "Campaign":
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self._home, ignore_errors=True)

    def run(self, plan: Sequence[Planned], jobs: int) -> Iterator[Outcome]:
        """Try the faults, `jobs` at once; yields outcomes as they end."""
        waiting = list(enumerate(plan))
        running: dict[int, tuple[int, Planned]] = {}
        while waiting or running:
            while waiting and len(running) < jobs:
                number, fault = waiting.pop(0)
                running[self._start(number, fault)] = number, fault
            process, status = os.waitpid(-1, 0)
            if process in running:
                yield self._outcome(*running.pop(process), os.waitstatus_to_exitcode(status))

    def _start(self, number: int, fault: Planned) -> int:
        if process := os.fork():
            return process
        code = 1
        try:
            outcome = run_one(self.reference, self._home / str(number), fault)
            (self._home / f"{number}.json").write_text(json.dumps(asdict(outcome)))
            code = 0
        except BaseException:
            (self._home / f"{number}.txt").write_text(traceback.format_exc())
        finally:
            kill(descendants(os.getpid()))
            os._exit(code)

    def _outcome(self, number: int, fault: Planned, code: int) -> Outcome:
        folder, told = self._home / str(number), self._home / f"{number}.json"
        if code:
            raise RuntimeError(f"{fault}: the test itself failed\n{(self._home / f'{number}.txt').read_text()}")
        outcome = Outcome(**json.loads(told.read_text()))
        if not outcome.clean and self._keep:
            shutil.rmtree(self._keep / f"{number}-{outcome.kind}", ignore_errors=True)
            shutil.copytree(folder, self._keep / f"{number}-{outcome.kind}", symlinks=True, ignore=_pipes)
        shutil.rmtree(folder, ignore_errors=True)
        told.unlink()
        return outcome


def _pipes(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_fifo()]


def summary(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """Kind -> the number of its faults, how many struck before the command had ended, and the counts."""
    rows: dict[str, dict[str, int]] = {}
    for name in KINDS:
        of_kind = [outcome for outcome in outcomes if outcome.kind == name]
        if of_kind:
            counts = {column: sum(getattr(each, column) for each in of_kind) for column in COLUMNS}
            rows[name] = {"faults": len(of_kind), "struck": sum(each.struck for each in of_kind), **counts}
    return rows


def table(rows: dict[str, dict[str, int]]) -> str:
    """The summary in Markdown, with a row of sums."""
    names = ("faults", "struck", *COLUMNS)
    heads = ("fault", "tries", "struck", *HEADS)
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    sums = {name: sum(row[name] for row in rows.values()) for name in names}
    for what, row in [*((KINDS[kind].what, row) for kind, row in rows.items()), ("**all**", sums)]:
        lines.append(f"| {what} | {' | '.join(str(row[name]) for name in names)} |")
    return "\n".join(lines)
