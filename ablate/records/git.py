"""What git knows of a folder: its commit, and how its files differ from it. Without git, nothing, and no error."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 20


@dataclass(frozen=True)
class GitState:
    """Where a package or a module stands; None where git does not know it."""

    commit: str | None
    modified: bool | None
    """Whether a file differs from the commit, or is not in it."""


def git_state(path: Path) -> GitState:
    """The commit of the checkout that holds a folder or file, and whether that was changed since."""
    try:
        if _git(path, "check-ignore", "--quiet", "--", path.name, right=(0, 1), code=True) == "0":
            return GitState(None, None)  # for example an installed package, in an environment inside some checkout
        commit = _git(path, "rev-parse", "HEAD").strip()
        return GitState(commit, bool(_git(path, "status", "--porcelain", "--untracked-files=all", "--", path.name)))
    except (OSError, subprocess.SubprocessError):
        return GitState(None, None)


def git_diff(path: Path) -> str:
    """How a folder or file differs from its commit, as a patch; Python files that git does not know are in it."""
    try:
        known = _git(path, "diff", "--no-color", "--no-ext-diff", "HEAD", "--", path.name)
        others = _git(path, "ls-files", "-z", "--others", "--exclude-standard", "--", path.name).split("\0")
        new = [
            _git(path, "diff", "--no-color", "--no-ext-diff", "--no-index", "--", os.devnull, name, right=(0, 1))
            for name in others
            if name.endswith(".py")
        ]
    except (OSError, subprocess.SubprocessError):
        return ""
    return known + "".join(new)


def _git(path: Path, *arguments: str, right: tuple[int, ...] = (0,), code: bool = False) -> str:
    """What git says in the folder that holds `path`, or its exit code; raises where that is none of `right`."""
    run = subprocess.run(
        ("git", *arguments),
        cwd=path.parent,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},  # a look must not be in the way of somebody's commit
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=_SECONDS,
    )
    if run.returncode not in right:
        raise subprocess.SubprocessError(run.stderr)
    return str(run.returncode) if code else run.stdout
