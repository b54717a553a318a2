"""Where and with what an attempt ran: versions, host, processor, git commit."""

import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

_PACKAGES = ("ablate-study", "torch", "torchvision", "numpy", "pillow")


def provenance() -> dict[str, Any]:
    """The surroundings of this process, as plain values for env.json."""
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in _PACKAGES},
        **_git(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


@functools.cache
def _git() -> dict[str, Any]:
    """The commit of the checkout that ablate runs from, and whether its files differ from it."""
    folder = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        run = subprocess.run(("git", *arguments), cwd=folder, capture_output=True, text=True, check=True, timeout=10)
        return run.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain", "--", "."))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "modified": None}
