"""Telling somebody that a study has ended: a command, or a web address."""

import json
import os
import subprocess
import urllib.request
from pathlib import Path

from ablate.run.slurm.ledger import Submission

_SECONDS = 60


def notify(target: str, submission: Submission, failed: int, page: Path) -> None:
    """Run a command with ABLATE_* variables, or send the same as JSON to an https address; prints where that fails.

    failed: trials that are not done and will not be tried again.
    """
    about = {
        "study": submission.study,
        "profile": submission.profile,
        "trials": str(len(submission.keys)),
        "failed": str(failed),
        "page": str(page.absolute()),
    }
    try:
        if target.startswith("https://"):
            text = f"{submission.study} [{submission.profile}] has ended; {failed} trials failed"
            body = json.dumps({"text": text, **about}).encode()
            request = urllib.request.Request(target, body, {"Content-Type": "application/json"})
            urllib.request.urlopen(request, timeout=_SECONDS).close()
        else:
            variables = {f"ABLATE_{name.upper()}": value for name, value in about.items()}
            subprocess.run(target, shell=True, check=True, timeout=_SECONDS, env={**os.environ, **variables})
    except (OSError, subprocess.SubprocessError) as error:
        print(f"on_finish = {target!r}: {error}")
