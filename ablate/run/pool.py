"""A pool of worker processes on this machine: trials in, outcomes out; workers that die are replaced."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path

from ablate.errors import AblateError, visible
from ablate.records.attempt import State, end_attempt_of_dead_process, is_done
from ablate.records.code import checked
from ablate.records.files import Results
from ablate.run.causes import GPU_ERROR, STOPS, Outcome, interruption
from ablate.run.companions import Companions
from ablate.run.fresh import STOP_SECONDS
from ablate.run.machine import memory_of
from ablate.run.mps import MAY_BE_OF_ANOTHER, MultiProcessService
from ablate.run.worker import SILENT_SECONDS, Task, Worker, start_worker

_TICK_SECONDS = 0.25
_MOST_STARTS = 3
"""A trial whose worker dies this many times before the trial starts has failed."""
_MOST_FAILED_STARTS = 3
"""After this many workers in a row have died while they started, none is started any more."""


class Pool:
    """Trains trials by their keys, `size` at once; use as a context manager.

    code: the folder from which workers import ablate and the trainer; by default where this process does.
    place: the first part of attempts' names. shared: the workers share the cores and GPUs of one job, and each keeps to
    its part. memory: what each of several trials at once may use, in MiB; one that uses more is killed. fresh: each
    trial has a process of its own; without it, a worker trains one trial after another.
    """

    def __init__(
        self,
        results: Results,
        size: int,
        threads: int,
        device: str,
        code: Path | None = None,
        place: str = "local",
        shared: bool = False,
        memory: int | None = None,
        fresh: bool = True,
    ) -> None:
        self._results, self._memory = results, memory if size > 1 else None
        root = results.root.absolute()  # a trainer may change the folder
        self._mps = MultiProcessService(device, size)
        if self._mps.note:
            print(visible(self._mps.note), file=sys.stderr)
        task = Task(root, 0, threads, self._mps.device, place, size, shared, fresh)
        self._starts: Counter[str] = Counter()
        self._companions = Companions(results)
        self._code = code
        self.workers = [self._start(replace(task, index=index)) for index in range(size)]

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self.stop()
        except KeyboardInterrupt:  # the second one: the user does not wait
            for worker in self.workers:
                worker.kill()
                worker.process.kill()
            raise
        finally:
            self._mps.end()

    def run(self, pretrainings: Mapping[str, str], tick: Callable[[], None]) -> Iterator[tuple[str, Outcome]]:
        """Yield each key with its outcome as trials end; `tick` is called a few times per second.

        pretrainings: trial key -> pretrain key, in the order in which to start. Of trials with the same pretraining,
        one runs at a time; the others then find the pretraining done, as do its companions. A worker that dies is
        replaced, and its trial fails with the cause `killed`; a trial that had not started is given to another worker.
        So is one that an error of another trial may have hit, as both were under MPS.
        """
        waiting = list(pretrainings)
        while waiting or any(worker.key for worker in self.workers):
            for worker in self.workers:
                busy = {pretrainings[key] for each in self.workers for key in each.keys}
                free = next((key for key in waiting if pretrainings[key] not in busy), None)
                if worker.key is None and not worker.leaving and free is not None:
                    waiting.remove(free)
                    idle = sum(each.key is None for each in self.workers)
                    others = _others(waiting, {*busy, pretrainings[free]}, pretrainings)
                    self._give(worker, free, self._companions.of(free, others, idle))
            for worker in self._with_news(_TICK_SECONDS):
                key = worker.key
                try:
                    outcome = worker.receive()
                except EOFError:
                    outcome = self._after_death(worker)
                    if key is not None and outcome is None:
                        waiting.insert(0, key)
                self._notice_error(worker, outcome or {})
                if outcome is not None and key is not None:
                    if outcome["state"] == "interrupted" and outcome.get("cause") == GPU_ERROR:
                        waiting.insert(0, key)
                    else:
                        yield key, outcome
            self._kill_over_memory()
            tick()

    def stop(self, cause: str = "stopped") -> list[tuple[str, Outcome]]:
        """Ask all workers to stop at the next step, kill those that do not, and return how their trials ended.

        cause: a key of `ablate.run.causes.STOPS`.
        """
        for worker in self.workers:
            worker.process.send_signal(STOPS[cause])
        outcomes = []
        began = time.monotonic()
        while self.workers:
            for worker in self.workers:
                late = time.monotonic() - began - (STOP_SECONDS if worker.key else SILENT_SECONDS)
                if late > 0 and worker.key:
                    worker.kill()
                if late > (SILENT_SECONDS if worker.key else 0):
                    worker.process.kill()
            for worker in self._with_news(_TICK_SECONDS):
                key = worker.key
                try:
                    outcome = worker.receive()
                except EOFError:
                    outcome = self._record_death(worker, "interrupted", *self._too_slow(worker, cause))
                    self._let_go(worker)
                if outcome is not None and key is not None:
                    outcomes.append((key, outcome))
        return outcomes

    def _start(self, task: Task, failed_starts: int = 0) -> Worker:
        if self._code:
            code = checked(self._code)  # each time: days may lie between the first worker and the one that replaces it
            self._code = code.folder
            for note in code.notes:
                print(visible(note), file=sys.stderr)
        return start_worker(task, self._code, failed_starts)

    def _give(self, worker: Worker, key: str, companions: list[str]) -> None:
        self._starts[key] += 1
        worker.give(key, self._mps.environment, companions)

    def _with_news(self, seconds: float) -> list[Worker]:
        """The workers that sent something or died."""
        news = set(map(id, wait([worker.connection for worker in self.workers], timeout=seconds)))
        return [worker for worker in self.workers if id(worker.connection) in news or worker.process.poll() is not None]

    def _kill_over_memory(self) -> None:
        for worker in self.workers if self._memory else ():
            under_way = worker.key and worker.attempt and not worker.over_memory
            used = memory_of(worker.pid or worker.process.pid) if under_way else 0
            if used > (self._memory or used):
                worker.over_memory = f"it used {used} MiB, more than its share of the job's memory ({self._memory} MiB)"
                worker.kill()

    def _after_death(self, worker: Worker) -> Outcome | None:
        """Replace a worker that died; the outcome of its trial, or None if that had not started.

        Raises AblateError if the last worker died during its start, as those before it in its place did.
        """
        how, outcome = worker.death(), None
        if worker.ready:
            killed = ("killed", f"its process died ({how})")
            cause, message = ("out_of_memory", worker.over_memory) if worker.over_memory else killed
            if worker.key is not None and not worker.runs_again:
                self._leave_mps(worker, restart=worker.attempt is not None)
                if worker.under_mps and not worker.over_memory:
                    worker.runs_again = f"{message}; {MAY_BE_OF_ANOTHER}"
            if worker.runs_again:
                outcome = self._record_death(worker, "interrupted", GPU_ERROR, worker.runs_again)
            else:
                outcome = self._record_death(worker, "failed", cause, message)
        elif worker.key is not None:
            self._starts[worker.key] -= 1
        failed_starts = 0 if worker.ready else worker.failed_starts + 1
        if failed_starts == _MOST_FAILED_STARTS and len(self.workers) == 1:
            lines = (f"error: a worker process died while it started ({how})", *worker.last_lines())
            raise AblateError("\n  ".join(lines))
        if self._let_go(worker) and failed_starts < _MOST_FAILED_STARTS:
            self.workers.append(self._start(worker.task, failed_starts))
        return outcome

    def _notice_error(self, worker: Worker, outcome: Outcome) -> None:
        """Leave MPS if the trial of a worker has just met an error of the GPU, or lost a process."""
        if worker.lost and not worker.runs_again:
            self._leave_mps(worker, restart=worker.attempt is not None)
        elif "by_signal" in outcome or outcome.get("cause") == GPU_ERROR:
            self._leave_mps(worker, restart="by_signal" in outcome)

    def _leave_mps(self, hit: Worker, restart: bool) -> None:
        """After an error under MPS, let trials that begin from now on run without it; each then has its own errors.

        restart: whether a process was lost with work under way. What the others compute is then undefined (NVIDIA's
        documentation): their trials begin again at their last checkpoints.
        """
        if not hit.under_mps:
            return
        if self._mps.leave():
            print("Trials go on without NVIDIA MPS: those that an error may have hit run again.", file=sys.stderr)
        for worker in self.workers if restart else ():
            if worker is not hit and worker.under_mps and (worker.key is not None or not worker.task.fresh):
                worker.runs_again = "a trial beside it under MPS was lost, after which this one's work is undefined"
                worker.kill()

    def _let_go(self, worker: Worker) -> bool:
        """Forget a worker that died; False if it was only the process of its trial, and the worker lives on."""
        if worker.died:
            worker.key = worker.died = None
            return False
        worker.close()
        self.workers.remove(worker)
        return True

    def _too_slow(self, worker: Worker, cause: str) -> tuple[str, str]:
        """Cause and message for the trial of a worker that did not stop in time."""
        message = f"it did not stop within {STOP_SECONDS:.0f} s ({worker.death()})"
        if worker.key is None or worker.attempt is None:
            return cause, message
        cause, then = interruption(self._results, worker.key, worker.attempt, cause)
        return cause, f"{message}; {then}"

    def _record_death(self, worker: Worker, state: State, cause: str, message: str) -> Outcome | None:
        """Write the end of a dead worker's attempt, which it could not write; None if it had not started one."""
        if worker.key is None:
            return None
        folder = self._results.trial(worker.key)
        if worker.attempt is None:
            if self._starts[worker.key] < _MOST_STARTS:
                return None
            often = f"{message} before the trial started ({_MOST_STARTS} times)"
            return {"state": state, "cause": cause, "message": often}
        if is_done(folder):
            return {"state": "done", "attempt": worker.attempt}
        if why := end_attempt_of_dead_process(folder.attempts / worker.attempt, state, cause, message):
            message += f"; its record could not be written: {why}"
        return {"state": state, "cause": cause, "message": message, "attempt": worker.attempt}


def _others(waiting: list[str], busy: set[str], pretrainings: Mapping[str, str]) -> Iterator[str]:
    """One waiting trial of each pretraining that is not busy."""
    for key in waiting:
        if pretrainings[key] not in busy:
            busy.add(pretrainings[key])
            yield key
