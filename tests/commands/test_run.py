from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ablate.commands.run import _finish
from ablate.errors import TrialsFailed, UserError
from ablate.records.files import Results
from ablate.report import page
from tests.records.by_hand import key_of, write_trial

KEY = key_of(1)
FAILED = {"state": "failed", "cause": "exception", "message": "boom"}


def finished(results: Results, outcome: dict[str, Any], metric: str = "error") -> Any:
    """A run of one trial that came to its end."""
    from ablate.run.command import FinishedRun

    trial = SimpleNamespace(key=KEY, label="size=1 seed=0")
    plan: Any = SimpleNamespace(
        loaded=SimpleNamespace(study=SimpleNamespace(name="mine", metric=metric)),
        profile="embedded",
        expansion=SimpleNamespace(trials=(trial,)),
        distinct={KEY: trial},
        counts=Counter(),
    )
    return FinishedRun(plan, {KEY: outcome}, results)


@pytest.mark.parametrize("error", [UserError("the paper's table has no column"), OSError("disk"), ValueError("bug")])
def test_failures_are_told_though_the_page_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> Path:
        raise error

    monkeypatch.setattr(page, "write_report", fail)
    with pytest.raises(TrialsFailed) as told:
        _finish(finished(Results(tmp_path), FAILED), tmp_path)
    assert "1 x exception: boom" in str(told.value)
    assert str(error) in str(told.value)
    with pytest.raises(type(error)):
        _finish(finished(Results(tmp_path), {"state": "done"}), tmp_path)


def test_a_run_whose_trials_lack_the_metric_ends_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(page, "write_report", lambda *_: Path("mine.html"))
    write_trial(Results(tmp_path), KEY, numbers={"error": 0.5})
    _finish(finished(Results(tmp_path), {"state": "done"}, "eror"), tmp_path)
    told = "1 trial is done, and it did not return 'eror'; it returned error; did you mean 'error'?"
    assert capsys.readouterr().out.splitlines() == ["page: mine.html", f"warning: {told}"]
    _finish(finished(Results(tmp_path), {"state": "done"}), tmp_path)
    assert capsys.readouterr().out.splitlines() == ["page: mine.html"]
