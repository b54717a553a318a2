"""Mirrors: copies of a run's rows in TensorBoard, W&B, MLflow or trackio, made by a process for each.

A mirror that fails, blocks or is missing costs no trial: it is reported once, and the rows stay in the records.
"""

import contextlib
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console

from ablate.errors import UserError, nearest, visible
from ablate.records.files import Results
from ablate.run.cluster_file import trackers
from ablate.run.mirror_targets import TARGETS
from ablate.run.options import RunOptions
from ablate.study.expansion.trial import Trial

NONE = "none"
"""`--log none` disables what ablate.toml names."""
GRACE_SECONDS = 30.0
"""How long a run waits at its end for the last rows to be sent."""
_LAST_BYTES = 4000
Say = Callable[[str], None]


def checked(names: Sequence[str]) -> tuple[str, ...]:
    """The trackers of `--log`, each once. Raises UserError for an unknown one."""
    for name in names:
        if name not in TARGETS and name != NONE:
            help = f"trackers are: {', '.join(TARGETS)}; {NONE} disables those of ablate.toml"
            raise UserError(f"--log {name}: there is no such tracker{nearest(name, [*TARGETS, NONE])}", help=help)
    return tuple(dict.fromkeys(name for name in names if name != NONE))


def trackers_of(how: RunOptions) -> tuple[str, ...]:
    """The trackers of a run: its own, or those of ablate.toml. Raises UserError for an unknown one."""
    return trackers(Path.cwd()) if how.log is None else checked(how.log)


def teller(console: Console) -> Say:
    """Prints a sentence of a mirror, whose text may come from a library, as it is."""
    return lambda text: console.print(text, soft_wrap=True, markup=False)


@dataclass
class _Running:
    """The process of one mirror."""

    name: str
    process: "subprocess.Popen[bytes]"
    output: IO[bytes]
    """A file with what it printed."""

    def failure(self) -> str:
        """The last line that it printed."""
        self.output.seek(0)
        lines = self.output.read()[-_LAST_BYTES:].decode(errors="replace").split("\n")
        return visible(next((line for line in reversed(lines) if line.strip()), "it gave no reason"), 200)


@contextlib.contextmanager
def mirrored(
    names: Sequence[str],
    trials: Sequence[Trial],
    results: Results,
    study: str,
    say: Say,
    patient: bool = False,
    asked: str | None = None,
) -> Iterator[None]:
    """Within, the rows of some trials are copied into trackers as they are recorded.

    names: of trackers. say: tells the user a sentence. patient: the last rows may take any time, and not only
    GRACE_SECONDS. asked: the name by which commands take the study, if it is another one. No error of a mirror is
    raised.
    """
    running: list[_Running] = []
    for name in names if trials else ():
        try:
            if importlib.util.find_spec(name) is None:
                say(f"mirror {name}: not installed, so nothing is sent there (pip install {name})")
            else:
                running.append(_start(name, trials, results, study))
        except (OSError, ValueError, ImportError) as error:
            say(f"mirror {name}: it could not be started: {visible(str(error), 200)}")
    try:
        yield
    finally:
        _end(running, asked or study, say, None if patient else GRACE_SECONDS)


def _start(name: str, trials: Sequence[Trial], results: Results, study: str) -> _Running:
    """Start the process of a mirror. It ignores Ctrl-C, and its own end is that of its standard input."""
    folder = results.root.absolute() / "mirrors"
    folder.mkdir(parents=True, exist_ok=True)
    about = {trial.key: (trial.label, {**trial.cell.axes, **_case(trial), "seed": trial.seed}) for trial in trials}
    task = {"target": name, "results": str(results.root.absolute()), "study": study, "trials": about}
    output = (folder / f"{name}.log").open("w+b")
    code = "import sys, runpy; sys.path[:] = sys.argv.pop().split('\\n'); sys.argv[1:] = []; "
    code += "runpy.run_module('ablate.run.mirror_process', run_name='__main__')"
    path = "\n".join(str(Path(entry).absolute()) for entry in sys.path)
    process = subprocess.Popen(
        (sys.executable, "-P", "-c", code, path),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    assert process.stdin
    with contextlib.suppress(BrokenPipeError):  # it ended; the run reports why at its end
        process.stdin.write(json.dumps(task).encode() + b"\n")
        process.stdin.flush()
    return _Running(name, process, output)


def _case(trial: Trial) -> dict[str, str]:
    return {"case": trial.cell.case} if trial.cell.case else {}


def _end(running: Sequence[_Running], study: str, say: Say, grace: float | None) -> None:
    """Let the processes send the rest, for a limited time, and tell which ones did not."""
    until = time.monotonic() + (grace or 0.0)
    for mirror in running:
        assert mirror.process.stdin
        with contextlib.suppress(OSError):
            mirror.process.stdin.close()
    for mirror in running:
        again = f"(no trial is affected; `ablate mirror {study} --to {mirror.name}` sends the rest)"
        try:
            left = None if grace is None else max(0.1, until - time.monotonic())
            if mirror.process.wait(left):
                say(f"mirror {mirror.name}: {mirror.failure()} {again}")
        except subprocess.TimeoutExpired:
            say(f"mirror {mirror.name}: it did not take all rows within {grace:.0f} s {again}")
        finally:  # also after Ctrl-C: the user does not wait
            mirror.process.kill()
            mirror.process.wait()
            mirror.output.close()
