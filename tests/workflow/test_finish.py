from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ablate.errors import TrialsFailed, UserError
from ablate.records.files import Results
from ablate.report import formats
from ablate.workflow.pages import finish
from ablate.workflow.run import FinishedRun
from tests.records.by_hand import key_of, write_trial

KEY = key_of(1)
FAILED = {"state": "failed", "cause": "exception", "message": "boom"}


def finished(results: Results, outcome: dict[str, Any], metric: str = "error") -> Any:
    """A run of one trial that came to its end."""
    trial = SimpleNamespace(key=KEY, label="size=1 seed=0")
    plan: Any = SimpleNamespace(
        loaded=SimpleNamespace(study=SimpleNamespace(name="mine", metric=metric)),
        profile="embedded",
        expansion=SimpleNamespace(trials=(trial,)),
        distinct={KEY: trial},
        asked=(KEY,),
        states={KEY: "new"},
        counts=Counter(),
    )
    return FinishedRun(plan, {KEY: outcome}, results)


@pytest.mark.parametrize("error", [UserError("the paper's table has no column"), OSError("disk"), ValueError("bug")])
def test_failures_are_told_though_the_page_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> Path:
        raise error

    monkeypatch.setattr(formats, "write_report", fail)
    with pytest.raises(TrialsFailed) as told:
        finish(finished(Results(tmp_path), FAILED), tmp_path)
    assert "1 x exception: boom" in str(told.value)
    assert str(error) in str(told.value)
    write_trial(Results(tmp_path), KEY, numbers={"error": 0.5})
    with pytest.raises(type(error)):
        finish(finished(Results(tmp_path), {"state": "done"}), tmp_path)


def test_a_run_whose_trials_lack_the_metric_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(formats, "write_report", lambda *_: Path("mine.html"))
    write_trial(Results(tmp_path), KEY, numbers={"error": 0.5})
    with pytest.raises(TrialsFailed) as failed:
        finish(finished(Results(tmp_path), {"state": "done"}, "eror"), tmp_path)
    told = "1 trial finished but did not return 'eror'; it returned error; did you mean 'error'?"
    assert str(failed.value) == f"error: {told}\n  help: ablate why {KEY[:12]} says what to do"
    assert capsys.readouterr().out.splitlines() == ["page: mine.html"]
    finish(finished(Results(tmp_path), {"state": "done"}), tmp_path)
    assert capsys.readouterr().out.splitlines() == ["page: mine.html"]


@pytest.mark.parametrize("value", [None, "0.5", True])
def test_one_trial_whose_metric_is_no_number_fails_a_run_though_others_have_it(tmp_path: Path, value: object) -> None:
    results, other = Results(tmp_path), key_of(2)
    run = finished(results, {"state": "done"})
    run.plan.asked = (KEY, other)
    write_trial(results, other, numbers={"error": 0.5})
    write_trial(results, KEY, numbers={"error": value, "loss": 1.0})
    with pytest.raises(TrialsFailed, match="1 trial finished but did not return 'error' as a number; it returned loss"):
        run.raise_failures()


@pytest.mark.parametrize(
    ("state", "cause", "why"),
    [
        ("running", None, "running in another process"),
        ("interrupted", "cancelled", "cancelled"),
        ("interrupted", "lost", "interrupted"),
        (None, None, "not started"),
        ("damaged", None, "damaged"),
    ],
)
def test_a_run_never_ends_well_while_a_trial_has_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str | None, cause: str | None, why: str
) -> None:
    monkeypatch.setattr(formats, "write_report", lambda *_: Path("mine.html"))
    if state is not None:
        write_trial(Results(tmp_path), KEY, state="done" if state == "damaged" else state, cause=cause)
    if state == "damaged":
        Results(tmp_path).trial(KEY).result.write_text("{}")
    with pytest.raises(TrialsFailed, match=f"error: 1 trial without a result: 1 {why}") as told:
        finish(finished(Results(tmp_path), {"state": "running", "message": "another process is running it"}), None)
    assert "ablate status mine shows them" in str(told.value)


def test_the_page_lacks_only_the_trials_that_another_process_has_not_finished_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(formats, "write_report", lambda *_: Path("mine.html"))
    met = {"state": "running", "message": "another process is running it"}  # when this run came to the trial
    write_trial(Results(tmp_path), KEY, state="running")
    with pytest.raises(TrialsFailed, match="1 running in another process"):
        finish(finished(Results(tmp_path), met), tmp_path)
    assert "the page lacks 1 trial that another process is still training" in capsys.readouterr().out
    write_trial(Results(tmp_path), KEY, numbers={"error": 0.5})
    finish(finished(Results(tmp_path), met), tmp_path)
    assert capsys.readouterr().out.splitlines() == ["page: mine.html"]
