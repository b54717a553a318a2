"""The kinds of faults. Each is a function of a scenario and a random generator, and returns what it did, in words."""

import errno
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.chaos import preload
from tests.chaos.damage import DAMAGES, files_of_records, trial_of
from tests.chaos.scenario import STUDY, Reference, Scenario, descendants, kill, limited
from tests.chaos.stale import see_late

Fault = Callable[[Scenario, Random, float], str]
"""Called with the scenario, randomness, and where among the faults of its kind this one stands, from 0 to 1."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault."""

    what: str
    """As the table says it."""
    share: int
    """How many of 600 faults are of this kind."""
    strike: Fault
    one_trial: bool = False
    """Whether one trial is enough."""
    start_with: Callable[[Reference, Random], Path | None] = lambda reference, random: None


POOL = ("--workers", "2")


def _how(random: Random) -> tuple[str, ...]:
    return random.choice([("--workers", "1"), POOL, POOL])


def _moment(scenario: Scenario, random: Random) -> int:
    """A number of operations that write; four of five while trials are trained, the others before that."""
    first, last = scenario.reference.operations_of_pool
    return random.randrange(first, last) if random.random() < 0.8 else random.randrange(first + 1)


def _within(scenario: Scenario, random: Random, training: bool = False) -> tuple[int, str]:
    """Start a run, and wait until a random one of its operations that write, or one of those of its training."""
    process = scenario.run(*_how(random))
    count = random.randrange(*scenario.reference.operations_of_pool) if training else _moment(scenario, random)
    scenario.outcome.struck = scenario.after_operations(process, count, random.choice([0, random.random() * 0.05]))
    return process, f"after {count} write operations"


def _kill_worker(scenario: Scenario, random: Random, place: float) -> str:
    process, when = _within(scenario, random, training=True)
    if below := descendants(process):
        kill([random.choice(below)])
    else:
        scenario.outcome.struck = False
    scenario.wait(process)
    return when


def _kill_dispatcher(scenario: Scenario, random: Random, place: float) -> str:
    process, when = _within(scenario, random)
    kill([process])
    scenario.wait(process)
    return when


def _kill_all(scenario: Scenario, random: Random, place: float) -> str:
    process, when = _within(scenario, random)
    kill([process, *descendants(process)])
    scenario.wait(process)
    return when


def _kill_while_workers_start(scenario: Scenario, random: Random, place: float) -> str:
    """The workers are stopped before they can look for their parent, which is killed then."""
    process = scenario.run(*POOL)
    until = time.monotonic() + 30
    while not (below := descendants(process)) and time.monotonic() < until:
        time.sleep(0.0005)
    time.sleep(random.random() * 0.1)
    kill(below, signal.SIGSTOP)
    kill([process])
    scenario.wait(process)
    time.sleep(0.2)
    kill(below, signal.SIGCONT)
    return f"{len(below)} workers stopped"


def _operation(scenario: Scenario, place: float) -> int:
    return 1 + int(place * scenario.reference.operations)


def _at_operation(mode: int, error: int) -> Fault:
    def strike(scenario: Scenario, random: Random, place: float) -> str:
        scenario.control.arm(mode, _operation(scenario, place), error)
        scenario.wait(scenario.run("--inline"))
        scenario.outcome.struck = scenario.control.fired > 0
        scenario.control.disarm()
        return f"operation {scenario.control.target} of {scenario.reference.operations}"

    return strike


def _kill_at_operation_of_pool(scenario: Scenario, random: Random, place: float) -> str:
    """Whichever process makes the operation is killed."""
    scenario.control.arm(preload.KILL, 1 + _moment(scenario, random))
    scenario.wait(scenario.run(*POOL))
    scenario.outcome.struck = scenario.control.fired > 0
    scenario.control.disarm()
    return f"operation {scenario.control.target} of {scenario.reference.operations_of_pool[1]}"


def _small_disk(scenario: Scenario, random: Random, place: float) -> str:
    size = 40 + int(place * 3000)
    try:
        with limited(scenario.results, f"{size}k") as remount:
            scenario.wait(scenario.run(*_how(random)))
            remount("size=64m")
            scenario.finish()
            return f"a disk of {size} KiB"
    except PermissionError:
        process = scenario.run(*_how(random), before=lambda: _limit_files(size * 1024 // 20))
        scenario.wait(process)
        scenario.finish()
        return f"files of at most {size // 20} KiB (no disk can be mounted here)"


def _limit_files(size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _read_only(scenario: Scenario, random: Random, place: float) -> str:
    try:
        with limited(scenario.results, "64m") as remount:
            process, when = _within(scenario, random)
            for _ in range(200):  # a file that is open for writing keeps a file system from becoming read-only
                if not os.system(f"mount -o remount,ro {scenario.results} 2>/dev/null"):
                    break
                time.sleep(0.01)
            else:
                scenario.outcome.struck = False
            scenario.wait(process)
            scenario.wait(scenario.run(*_how(random)))
            remount("rw")
            scenario.finish()
            return when
    except PermissionError:
        return _at_operation(preload.FROM, errno.EROFS)(scenario, random, place)


def _clock(scenario: Scenario, random: Random, place: float) -> str:
    hours = random.choice([-72.0, -2.0, -0.02, 0.02, 2.0, 72.0])
    process, when = _within(scenario, random)
    scenario.control.clock = hours * 3600
    further = [scenario.start("gc"), scenario.run(*_how(random))] if random.random() < 0.5 else []
    if random.random() < 0.5:
        kill([process, *descendants(process)])
    scenario.wait(process, *further)
    return f"{when}, moved by {hours:g} hours"


def _store_damaged(scenario: Scenario, random: Random, place: float) -> str:
    path = scenario.results / "ablate.duckdb"
    names = [
        "removed",
        "emptied",
        "truncated",
        "garbled",
        "zeros",
        "a folder",
        "a pipe",
        "a link to nothing",
        "flipped",
    ]
    how = names[int(place * len(names) * 3) % len(names)]
    if how == "flipped":
        with path.open("r+b") as file:
            file.seek(random.randrange(path.stat().st_size))
            file.write(bytes([random.randrange(256)]))
    else:
        DAMAGES[how](path, random)
    scenario.wait(scenario.start("status"))
    scenario.wait(scenario.start("query", "SELECT count(*) FROM trials"))
    scenario.wait(scenario.run("--inline"))
    return how


def _store_held(scenario: Scenario, random: Random, place: float) -> str:
    import duckdb

    path = scenario.results / "ablate.duckdb"
    if not (holder := os.fork()):
        connection = duckdb.connect(str(path))
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE held (x INT)")
        time.sleep(120)
        os._exit(0)
    time.sleep(0.3)
    scenario.wait(scenario.start("status"))
    scenario.wait(scenario.run("--inline"))
    kill([holder])
    os.waitpid(holder, 0)
    return "by a process with an open transaction"


def _record_damaged(scenario: Scenario, random: Random, place: float) -> str:
    paths = files_of_records(scenario.results)
    kinds: dict[str, list[Path]] = {}
    for path in paths:
        kinds.setdefault(path.name.partition("-")[0], []).append(path)
    path = random.choice(kinds[random.choice(sorted(kinds))])
    how = sorted(DAMAGES)[int(place * 3 * len(DAMAGES)) % len(DAMAGES)]
    DAMAGES[how](path, random)
    if (key := trial_of(path, scenario.results)) and path.name in ("result.json", "trial.json"):
        scenario.damaged.add(key)
    scenario.wait(scenario.start("status"))
    scenario.wait(scenario.start("query", "SELECT count(*) FROM trials"))
    scenario.wait(scenario.run("--inline"))
    return f"{path.relative_to(scenario.results)} {how}"


def _two_at_once(scenario: Scenario, random: Random, place: float) -> str:
    processes = [scenario.run(*_how(random))]
    scenario.after_operations(processes[0], _moment(scenario, random))
    processes.append(scenario.run(*random.choice([("--inline",), POOL])))
    if killed := random.random() < 0.5:
        scenario.after_operations(processes[0], _moment(scenario, random))
        kill([processes[0], *descendants(processes[0])])
    scenario.wait(*processes)
    return f"one killed: {'yes' if killed else 'no'}"


def _six_at_once(scenario: Scenario, random: Random, place: float) -> str:
    study = scenario.project / "studies/tiny.toml"
    processes = [scenario.run("--workers", "1"), scenario.run("--inline"), scenario.run("--inline")]
    scenario.after_operations(processes[0], random.randrange(100))
    processes.append(scenario.start("gc"))
    study.write_text(STUDY.replace("0.5, 1.0", "0.5, 1.0, 2.0"))
    processes += [scenario.start("status"), scenario.start("gc")]
    processes.append(scenario.run("--inline"))
    study.write_text(STUDY)
    kill([random.choice(processes[:3])])
    scenario.wait(*processes)
    return "three runs, one of them killed; a run of an edited study; gc and status"


def _listings_late(scenario: Scenario, random: Random, place: float) -> str:
    first = scenario.run(*_how(random))
    seconds = random.choice([0.5, 2.0, 30.0])
    scenario.after_operations(first, _moment(scenario, random))
    second = scenario.run("--inline", before=lambda: see_late(scenario.results, seconds))
    if random.random() < 0.3:
        kill([first, *descendants(first)])
    scenario.wait(first, second)
    return f"one of two runs sees changes {seconds:g} s late"


def _signal(number: int, to_all: bool) -> Fault:
    def strike(scenario: Scenario, random: Random, place: float) -> str:
        process, when = _within(scenario, random)
        times = random.choice([1, 1, 2])
        for _ in range(times):
            kill([process, *(descendants(process) if to_all else ())], number)
            time.sleep(random.random() * 0.1)
        scenario.wait(process)
        return f"{when}, {times} times"

    return strike


def _stopped_for_a_while(scenario: Scenario, random: Random, place: float) -> str:
    """SIGSTOP; the clock goes on by two minutes, so that heartbeats are old; another run meanwhile; SIGCONT."""
    process, when = _within(scenario, random)
    stopped = [process, *descendants(process)] if random.random() < 0.5 else descendants(process)
    kill(stopped, signal.SIGSTOP)
    scenario.control.clock = random.choice([0.0, 120.0])
    other = scenario.run("--inline")
    scenario.after_operations(other, 10**6, random.random())
    time.sleep(0.3)
    kill(stopped, signal.SIGCONT)
    scenario.wait(process, other)
    return when


def _done(reference: Reference, random: Random) -> Path:
    return reference.done


def _done_or_stopped(reference: Reference, random: Random) -> Path:
    return random.choice([reference.done, reference.stopped])


ONCE, FROM, KILL = preload.ONCE, preload.FROM, preload.KILL
KINDS: dict[str, Kind] = {
    "kill-worker": Kind("kill -9 of a worker", 30, _kill_worker),
    "kill-dispatcher": Kind("kill -9 of the dispatcher", 30, _kill_dispatcher),
    "kill-all": Kind("kill -9 of all processes", 30, _kill_all),
    "kill-starting": Kind("kill -9 of the dispatcher while its workers start", 8, _kill_while_workers_start),
    "kill-at-write": Kind("kill -9 before a write operation", 110, _at_operation(KILL, 0), one_trial=True),
    "kill-at-write-pool": Kind("the same in a pool of workers", 20, _kill_at_operation_of_pool),
    "enospc": Kind("ENOSPC at a write operation", 60, _at_operation(ONCE, errno.ENOSPC), one_trial=True),
    "eio": Kind("EIO at a write operation", 60, _at_operation(ONCE, errno.EIO), one_trial=True),
    "edquot": Kind("EDQUOT at a write operation", 40, _at_operation(ONCE, errno.EDQUOT), one_trial=True),
    "full-from": Kind("ENOSPC from a write operation on", 30, _at_operation(FROM, errno.ENOSPC), one_trial=True),
    "eio-from": Kind("EIO from a write operation on", 15, _at_operation(FROM, errno.EIO), one_trial=True),
    "read-only-from": Kind("EROFS from a write operation on", 15, _at_operation(FROM, errno.EROFS), one_trial=True),
    "small-disk": Kind("a small disk", 12, _small_disk),
    "read-only": Kind("a disk remounted read-only", 6, _read_only),
    "clock": Kind("the clock moved, forward or back", 18, _clock),
    "store-damaged": Kind("the DuckDB file damaged", 18, _store_damaged, start_with=_done),
    "store-held": Kind("the DuckDB file held by another process", 4, _store_held, start_with=_done),
    "record-damaged": Kind("a record damaged", 39, _record_damaged, start_with=_done_or_stopped),
    "two-at-once": Kind("two processes at once", 10, _two_at_once),
    "six-at-once": Kind("six processes at once, with gc and an edited study", 5, _six_at_once),
    "late-listings": Kind("folders seen late by one of two processes", 12, _listings_late),
    "term": Kind("SIGTERM to the dispatcher", 8, _signal(signal.SIGTERM, to_all=False)),
    "hup": Kind("SIGHUP to all, as a closed terminal sends it", 6, _signal(signal.SIGHUP, to_all=True)),
    "ctrl-c": Kind("Ctrl-C, once or twice", 8, _signal(signal.SIGINT, to_all=True)),
    "stop-continue": Kind("SIGSTOP, another run meanwhile, SIGCONT", 6, _stopped_for_a_while),
}
"""Name of a kind, as --kinds takes it -> the kind."""
