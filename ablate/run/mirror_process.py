"""The process that copies the rows of a run's trials into one tracker: `python -m ablate.run.mirror_process`.

It reads what trials have recorded, so it can neither slow one down nor change it, and nothing is lost while a tracker
is out of reach. A file per tracker and study says what was sent.
"""

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from ablate.records.attempt import attempt_status
from ablate.records.compare import flat
from ablate.records.files import Results, TrialFolder, attempt_names, attempt_number
from ablate.records.reading import Damaged, parse, read_json_lines, read_object, result_if_any
from ablate.run.mirror_targets import TARGETS, Mirror, MirroredTrial, numbers, step_of

_POLL_SECONDS = 1.0
_MOST_FAILURES = 3
"""After this many errors of the tracker with no row sent in between, the process gives up."""
_WAIT_SECONDS = 2.0
"""After an error; it doubles with each."""
_CHUNK_BYTES = 1 << 20
"""Of a file of rows that are read at once, and then to the end of the line."""


@dataclass(frozen=True)
class Sent:
    """How much of a trial a tracker has."""

    key: str
    attempt: str = ""
    offset: int = 0
    """Bytes of the attempt's rows."""
    rows: int = 0
    """Of all attempts."""
    state: str = ""
    """How the attempt ended; empty until the tracker has received it."""
    known_as: str | None = None


class Copier:
    """Copies the rows of some trials into one tracker; each call of `look` sends what is new.

    trials: key -> label and axes.
    """

    def __init__(self, target: str, results: Results, study: str, trials: Mapping[str, Any], ledger: TextIO) -> None:
        self._target, self._results, self._study, self._trials = target, results, study, trials
        self._folder = results.root.absolute() / "mirrors" / target
        self._ledger = ledger
        known = {str(line.get("key")): line for line in read_json_lines(ledger.name)}
        self._sent = {key: Sent(**known[key]) if key in known else Sent(key) for key in trials}
        self.sent = 0
        """Rows sent by this copier."""
        self._open: dict[str, Mirror] = {}
        self._finished: set[str] = set()

    def look(self) -> None:
        """Send the rows and ends that were recorded since the last call. Raises what the tracker's library raises."""
        for key in self._trials:
            if key in self._finished:
                continue
            try:
                self._copy(key)
            except BaseException:
                self._open.pop(key, None)  # the next call begins again after the last row that was sent
                raise

    def close(self) -> None:
        """Leave the runs of trials that have not ended as they are: whoever continues them has more to send."""
        for key in [*self._open]:
            self._open.pop(key).end({}, "interrupted")

    def _copy(self, key: str) -> None:
        folder, sent = self._results.trial(key), self._sent[key]
        names = attempt_names(str(folder.attempts))
        first = attempt_number(sent.attempt) if sent.attempt else 0
        for name in [name for name in names if attempt_number(name) >= first]:
            status = attempt_status(folder.attempts / name, time.time())  # before its rows, so that none is missed
            if name != self._sent[key].attempt:
                self._sent[key] = replace(self._sent[key], attempt=name, offset=0, state="")
            while self._send_rows(key, folder.attempts / name / "metrics.jsonl"):
                pass
            ended = status.state if status.state != "running" else ""
            if ended and name == names[-1] and ended != self._sent[key].state:
                self._end(key, folder, ended)
            if ended == "done" and name == names[-1]:
                self._finished.add(key)

    def _send_rows(self, key: str, path: Path) -> bool:
        """Send the next complete lines of a file of rows; whether there were any.

        An error of the tracker leaves what was sent before it noted, so that no row is sent twice.
        """
        before, noted = self._sent[key], time.monotonic()
        try:
            with path.open("rb") as file:
                file.seek(before.offset)
                lines = file.readlines(_CHUNK_BYTES)  # to the end of a line, however long it is
                when = os.fstat(file.fileno()).st_mtime
        except OSError:
            return False
        try:
            for line in (line for line in lines if line.endswith(b"\n")):  # a worker may be writing the last one
                row, sent = _row(line), self._sent[key]
                if plain := numbers(row):
                    self._mirror(key).log(plain, step_of(row, sent.rows), when)
                sent = self._sent[key]  # with the tracker's name of a new run
                self._sent[key] = replace(sent, offset=sent.offset + len(line), rows=sent.rows + bool(row))
                self.sent += 1
                if time.monotonic() > noted + _POLL_SECONDS:  # this process may be killed
                    self._note(self._sent[key])
                    noted = time.monotonic()
        finally:
            if self._sent[key] != before:
                self._note(self._sent[key])
        return self._sent[key].offset > before.offset

    def _end(self, key: str, folder: TrialFolder, state: str) -> None:
        result = result_if_any(folder.result) if state == "done" else None
        self._mirror(key).end(numbers(result.metrics if result else {}), state)
        del self._open[key]
        self._note(replace(self._sent[key], state=state))

    def _mirror(self, key: str) -> Mirror:
        """The tracker's run of a trial, begun or continued if it is not open."""
        if key not in self._open:
            label, axes = self._trials[key]
            config = flat(read_object(self._results.trial(key).trial).get("config", {}))
            settings = {**{name: value for name, value in config.items() if value is not None}, **axes}
            trial = MirroredTrial(self._study, label, key, settings, self._folder, self._sent[key].known_as)
            self._open[key] = TARGETS[self._target](trial)
            self._sent[key] = replace(self._sent[key], known_as=self._open[key].known_as)
        return self._open[key]

    def _note(self, sent: Sent) -> None:
        self._sent[sent.key] = sent
        self._ledger.write(json.dumps(asdict(sent)) + "\n")
        self._ledger.flush()


def _row(line: bytes) -> dict[str, Any]:
    with contextlib.suppress(Damaged):
        row = parse(line)
        return row if isinstance(row, dict) else {}
    return {}


def copy(task: Mapping[str, Any], ended: Callable[[float], bool]) -> None:
    """Copy rows until `ended`, which waits for some seconds, says that the run is over; then send the rest.

    Raises OSError if another process copies the same study into the same tracker all the time.
    """
    results = Results(Path(task["results"]))
    path = results.root / "mirrors" / task["target"] / f"{task['study']}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    failures, over = 0, False
    with path.open("a", encoding="utf-8") as ledger:
        while not _locked(ledger):
            if ended(_POLL_SECONDS):
                raise OSError("another process sends the rows of this study already")
        copier = Copier(task["target"], results, task["study"], task["trials"], ledger)
        while True:
            began, pause, sent = time.monotonic(), _POLL_SECONDS, copier.sent
            try:
                copier.look()
                failures = 0
                if over:
                    copier.close()
                    return
            except Exception:
                failures = 1 if copier.sent > sent else failures + 1
                if failures == _MOST_FAILURES:
                    raise
                pause = _WAIT_SECONDS * 2**failures
            over = over or ended(max(pause, 10 * (time.monotonic() - began)))  # a pass over 10,000 trials takes a while
            if over and failures:  # `ended` no longer waits, and the run waits for this process, though not for long
                time.sleep(pause / 2)


def _locked(file: TextIO) -> bool:
    with contextlib.suppress(ImportError):  # Windows has no such locks
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def main(arguments: Sequence[str] = ()) -> int:
    """Copy what the first line of standard input says, until that is closed; returns the exit code.

    The last line of standard output says why it failed.
    """
    task = json.loads(sys.stdin.buffer.readline())
    descriptor = sys.stdin.fileno()

    def ended(seconds: float) -> bool:
        return bool(select.select([descriptor], [], [], seconds)[0])

    try:
        copy(task, ended)
    except BaseException as error:
        if not isinstance(error, Exception):
            raise
        message = " ".join(str(error).split())
        print(f"\n{type(error).__name__}: {message}" if message else f"\n{type(error).__name__}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # a library's threads must not keep it
