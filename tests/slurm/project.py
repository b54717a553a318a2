"""A project whose study trains in no time, and what its records say."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


class Project:
    """A folder with one study, `small`, and the `ablate` command in it."""

    def __init__(self, folder: Path, values: Sequence[int], base: str = "", cluster: str = "") -> None:
        self.folder = folder
        (folder / "studies" / "profiles").mkdir(parents=True)
        (folder / "studies" / "small.toml").write_text(_STUDY.format(values=list(values), base=base))
        (folder / "studies" / "profiles" / "embedded.toml").write_text(_PROFILE)
        (folder / "small.py").write_text((Path(__file__).parent / "small.py").read_text())
        (folder / "ablate.toml").write_text(f"[cluster.test]\n{cluster}\n")

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Begin an `ablate` command."""
        command = [sys.executable, "-m", "ablate", *arguments]
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
        return subprocess.Popen(command, cwd=self.folder, **given)

    def ablate(self, *arguments: str, code: int = 0) -> str:
        """What an `ablate` command prints."""
        process = self.start(*arguments)
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == code, printed
        return printed

    def results(self) -> dict[str, Any]:
        """Trial key -> top-1."""
        paths = (self.folder / "results" / "trials").glob("*/result.json")
        return {path.parent.name: json.loads(path.read_text())["top1"] for path in paths}

    def submissions(self) -> list[dict[str, Any]]:
        """What was submitted, oldest first."""
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
    def page(self) -> Path:
        """The study's."""
        return self.folder / "reports" / "small.html"

    @property
    def diary(self) -> list[str]:
        """The lines that attempts wrote into it."""
        path = self.folder / "diary"
        return path.read_text().splitlines() if path.exists() else []


def with_path(*first: Path) -> dict[str, str]:
    """An environment whose PATH begins with these folders."""
    return {**os.environ, "PATH": ":".join([*map(str, first), os.environ["PATH"]])}
