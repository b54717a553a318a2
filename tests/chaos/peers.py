"""`python -m tests.chaos peers`: the same kills of 200 short trials by ablate and by other tools, side by side.

Each tool trains the same function as its documentation shows it, in two processes (Hydra: four jobs at a time). All
its processes are killed with SIGKILL after a random number of trials, the same numbers for each; then the same command
is started again. In the end the command runs undisturbed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from tests.bench.common import facts
from tests.chaos.scenario import descendants, kill

TOOLS = Path(__file__).parent / "tools"
ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / "build" / "peers"
PACKAGES = ("optuna==5.0.0", "mlflow-skinny==3.17.2", "hydra-core==1.3.8", "hydra-submitit-launcher==1.2.0")
NAMES = {
    "ablate": "ablate run, two workers",
    "optuna": "Optuna, GridSampler, journal file",
    "mlflow": "MLflow, file store, a loop over cells without a finished run",
    "hydra": "Hydra, submitit's local executor",
}
_LONGEST_SECONDS = 1800.0


def main(arguments: Sequence[str]) -> int:
    """Measure the tools, print, and write their rows of results/peers.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos peers", description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tools", nargs="*", choices=list(NAMES), default=list(NAMES))
    parser.add_argument("--python", type=Path, help="with the packages; by default they are installed into build/peers")
    options = parser.parse_args(arguments)
    python = options.python or _installed()
    path = Path(__file__).parent / "results" / "peers.json"
    path.parent.mkdir(exist_ok=True)
    random, most = Random(options.seed), options.trials // options.kills
    schedule = [(random.randrange(1, most), random.random() * 0.3) for _ in range(options.kills)]
    for tool in options.tools:
        with tempfile.TemporaryDirectory() as folder:
            interpreter = Path(sys.executable) if tool == "ablate" else python
            row = measured(tool, interpreter, Path(folder), options.trials, schedule)
        print(tool, json.dumps(row), flush=True)
        figures = json.loads(path.read_text()) if path.exists() else {"tools": {}}
        command = f"python -m tests.chaos peers --seed {options.seed}"
        figures |= {"command": command, **facts(), "packages of peers": PACKAGES}
        figures["tools"][tool] = row
        path.write_text(json.dumps(figures, indent=1) + "\n")
    print(table(json.loads(path.read_text())))
    return 0


def _installed() -> Path:
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def measured(
    tool: str, python: Path, folder: Path, count: int, schedule: Sequence[tuple[int, float]]
) -> dict[str, Any]:
    """Kill and restart by the schedule, run to the end, and read what the tool then has."""
    ledger = folder / "ledger"
    ledger.touch()
    told = folder / "told.txt"
    environment = {
        **os.environ,
        "CHAOS_LEDGER": str(ledger),
        "CHAOS_COUNT": str(count),
        "PYTHONPATH": f"{TOOLS}{os.pathsep}{ROOT}",
    }

    def command(what: str) -> list[str]:
        return [str(python), str(TOOLS / f"with_{tool}.py"), what, str(count)]

    def start() -> "subprocess.Popen[bytes]":
        with told.open("ab") as output:
            return subprocess.Popen(command("run"), cwd=folder, env=environment, stdout=output, stderr=output)

    struck, began = 0, time.monotonic()
    for trials, seconds in schedule:
        before, process = len(ledger.read_text().split()), start()
        while process.poll() is None and len(ledger.read_text().split()) < before + trials:
            time.sleep(0.005)
        time.sleep(seconds)
        struck += process.poll() is None
        everything = [process.pid, *descendants(process.pid)]
        kill(everything, signal.SIGSTOP)
        kill([*everything, *descendants(process.pid)])
        process.wait()
    process = start()
    code = process.wait(_LONGEST_SECONDS)
    read = subprocess.run(command("read"), cwd=folder, env=environment, capture_output=True, text=True)
    if read.returncode:
        raise RuntimeError(f"{tool} cannot be read: {read.stderr}\n{told.read_text()[-2000:]}")
    found = json.loads(read.stdout)
    trained = Counter(map(int, ledger.read_text().split()))
    return {
        "trials": count,
        "kills": struck,
        "lost": count - len(found["right"]),
        "trained again": sum(times - 1 for times in trained.values()),
        "unreadable": found["unreadable"],
        "left as running": found["left_running"],
        "last exit code": code,
        "seconds": round(time.monotonic() - began),
    }


def table(figures: Mapping[str, Any]) -> str:
    """The figures in Markdown."""
    names = ("trials", "kills", "lost", "trained again", "unreadable", "left as running", "last exit code")
    lines = [f"| tool | {' | '.join(names)} |", f"|{'---|' * (1 + len(names))}"]
    for tool, row in sorted(figures["tools"].items(), key=lambda item: list(NAMES).index(item[0])):
        lines.append(
            f"| {NAMES[tool]} | {' | '.join('-' if row[name] is None else str(row[name]) for name in names)} |"
        )
    packages = ", ".join(figures["packages of peers"])
    told = f"`{figures['command']}`: {packages}; {figures['date']}, {figures['cores']} cores."
    return "\n".join([*lines, "", told])
