"""What a page was made of, written into the page: which records, by their digests, and which code."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ablate.judge.study import Judged
    from ablate.report.measured import Measured


def manifest(measured: Measured, judged: Judged, records: str, refresh: int | None, pictures: bool) -> dict[str, Any]:
    """The study, its plan file's number, the versions that drew the page, and the digest of each trial's result.json.

    records: the folder of the trials, as seen from the page. refresh: see `html`.
    pictures: whether the page has them.
    """
    text = judged.text
    return {
        "study": measured.plan["study"],
        "profile": measured.profile,
        "plan": measured.plan["number"],
        "study_file": hashlib.sha256(text.encode()).hexdigest() if text is not None else None,
        "made_by": {name: version(name) for name in ("ablate-study", "altair", "vl-convert-python")},
        "records": records,
        "refresh": refresh,
        "pictures": pictures,
        "trials": {trial.key: [trial.attempt, trial.record] for trial in measured.trials if trial.record},
    }
