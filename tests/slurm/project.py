"""A project whose study trains within milliseconds, and its records."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.slurm.cluster import PATIENCE, Cluster, wait_until

_STUDY = """
name = "small"
title = "A small study"
question = "What is x?"
trainer = "small:train"

[axes]
x = {{ setting = "x", values = {values} }}

[base]
{base}
"""
_PROFILE = """
title = "Small"
description = "No network, no data."
base = {}
"""


_COMMAND = """
name = "small"
title = "A small study"
question = "How does it end?"
command = ["sh", "end.sh", "{{end}}", "{{checkpoints}}"]
metric = "top1"

[axes]
end = {ends}
"""


class Project:
    """A folder with one study, `small`, and the `ablate` command in it."""

    def __init__(self, folder: Path, values: Sequence[int], base: str = "", cluster: str = "") -> None:
        self.folder = folder
        (folder / "studies" / "profiles").mkdir(parents=True)
        (folder / "studies" / "small.toml").write_text(_STUDY.format(values=list(values), base=base))
        (folder / "studies" / "profiles" / "embedded.toml").write_text(_PROFILE)
        (folder / "small.py").write_text((Path(__file__).parent / "small.py").read_text())
        (folder / "ablate.toml").write_text(f"[cluster.test]\n{cluster}\n")

    @classmethod
    def of_command(cls, folder: Path, ends: Sequence[str], script: str, cluster: str = "") -> "Project":
        """A project whose trainer is a script of the shell, which gets a word that says how to end, and a folder."""
        project = cls(folder, [], cluster=cluster)
        (folder / "studies" / "small.toml").write_text(_COMMAND.format(ends=json.dumps(list(ends))))
        (folder / "end.sh").write_text(script)
        return project

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start an `ablate` command."""
        command = [sys.executable, "-m", "ablate", *arguments]
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
        return subprocess.Popen(command, cwd=self.folder, **given)

    def ablate(self, *arguments: str, code: int = 0) -> str:
        """What an `ablate` command prints."""
        process = self.start(*arguments)
        printed, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == code, printed
        return printed

    def results(self) -> dict[str, Any]:
        """Trial key -> top-1."""
        paths = (self.folder / "results" / "trials").glob("*/result.json")
        return {path.parent.name: json.loads(path.read_text())["metrics"]["top1"] for path in paths}

    def submissions(self) -> list[dict[str, Any]]:
        """All submissions, oldest first."""
        paths = sorted((self.folder / "results" / "slurm").glob("*/submission.json"))
        return [json.loads(path.read_text()) for path in paths]

    def jobs(self) -> dict[str, str]:
        """Array name -> job id, of all submissions."""
        paths = (self.folder / "results" / "slurm").glob("*/jobs.json")
        return {name: job for path in paths for name, job in json.loads(path.read_text()).items() if name != "follow"}

    def ends(self) -> list[tuple[str, str | None]]:
        """State and cause of each attempt that ended, trial by trial."""
        found = []
        for path in sorted((self.folder / "results" / "trials").glob("*/attempts/*/events.jsonl")):
            for line in path.read_text().splitlines():
                event = json.loads(line) if line else {}
                if event.get("event") == "ended":
                    found.append((event["state"], event.get("cause")))
        return found

    @property
    def has_ended(self) -> bool:
        """Whether all submissions have ended, with what became of their trials."""
        slurm = self.folder / "results" / "slurm"
        return all((slurm / each["id"] / "ended").exists() for each in self.submissions())

    @property
    def page(self) -> Path:
        """The study's page."""
        return self.folder / "reports" / "small.html"

    @property
    def diary(self) -> list[str]:
        """The lines that attempts wrote into the diary."""
        path = self.folder / "diary"
        return path.read_text().splitlines() if path.exists() else []


def check_that_nobody_waits(results: Path, cluster: Cluster) -> None:
    """Every trial is done, cancelled by its user or given up with a cause, all submissions have ended, no job is left.

    results: a folder of records. Submissions of which sbatch accepted nothing were told to the user at once.
    """
    slurm, trials = results / "slurm", results / "trials"
    submissions = [json.loads(path.read_text()) for path in slurm.glob("*/submission.json")]
    submissions = [each for each in submissions if (slurm / each["id"] / "jobs.json").exists()]
    if not submissions:
        return
    wait_until(lambda: not cluster.jobs(), "an empty queue")
    ends = [json.loads((slurm / each["id"] / "ended").read_text() or "{}") for each in submissions]
    told = {key for end in ends for key, why in end.get("given_up", {}).items() if why}
    told |= {path.parent.name for name in ("result.json", "cancel") for path in trials.glob(f"*/{name}")}
    of_jobs = {key for each in submissions for array in each["arrays"] for share in array["shares"]
               for key in share["keys"]}  # fmt: skip
    left = {key for each in submissions for key in each["left"]}
    assert of_jobs | left <= told


def with_path(*first: Path) -> dict[str, str]:
    """An environment whose PATH begins with these folders."""
    return {**os.environ, "PATH": ":".join([*map(str, first), os.environ["PATH"]])}
