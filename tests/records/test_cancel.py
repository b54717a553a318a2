import json
from pathlib import Path

import pytest

from ablate.commands.cancel import cancel
from ablate.errors import UserError
from ablate.records.attempt import AttemptWriter
from ablate.records.cancel import cancel_requested, clear_cancel, request_cancel, watch_for_cancel
from ablate.records.files import Results, write_json
from ablate.records.plans import save_plan

RUNNING, DONE, NEW = "aaaa1111", "bbbb2222", "cccc3333"


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """A study of three trials: one runs, one is done, one is new."""
    results = Results(tmp_path)
    keys = {"crop": RUNNING, "color": DONE, "blur": NEW}
    for key in keys.values():
        write_json(results.trial(key).trial, {"key": key, "pretrain_key": key, "config": {"seed": 0}})
    writer = AttemptWriter(results.trial(RUNNING).new_attempt("local"))
    writer.event("started", host="another-host", pid=1)
    writer.close()
    write_json(results.trial(DONE).result, {"key": DONE, "attempt": "001-local", "top1": 50.0, "seconds": 1.0})
    trials = [{"key": key, "seed": 0, "axes": {"first": name}, "case": None} for name, key in keys.items()]
    axes = [{"name": "first", "setting": "augment.transforms.0", "values": list(keys), "label": "first"}]
    plan = {"profile": "embedded", "design": "d", "axes": axes, "cases": [], "trials": trials}
    save_plan(results, "mine", plan)
    return results


def cancelled(results: Results) -> set[str]:
    return {path.parent.name for path in results.trials.glob("*/cancel")}


def test_a_study_is_cancelled_but_for_what_is_done(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    cancel(["studies/mine.toml"], results=results.root)
    assert cancelled(results) == {RUNNING, NEW}
    assert capsys.readouterr().out.splitlines() == [
        "1 trial asked to end at the next step",
        "1 trial will not start, until ablate run or ablate retry asks for it again",
        "1 trial already done",
    ]


def test_a_condition_is_one_over_the_studys_axes(results: Results) -> None:
    cancel(["mine"], where="first = 'blur' OR top1 > 0", results=results.root)
    assert cancelled(results) == {NEW}


def test_a_condition_without_a_study_is_one_over_all_trials(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    cancel(where="state = 'running' -- only these", json=True, results=results.root)
    assert json.loads(capsys.readouterr().out) == {"running": [RUNNING], "waiting": [], "done": [], "jobs": []}


def test_single_trials_are_named_by_key_or_by_cell(results: Results) -> None:
    cancel([RUNNING[:6], "mine:first=blur"], results=results.root)
    assert cancelled(results) == {RUNNING, NEW}


@pytest.mark.parametrize(
    ("names", "where", "told"),
    [
        ([], None, "no trial is named"),
        (["mine"], "frist = 'crop'", "--where frist = 'crop': Binder Error.*\n  help: columns of mine are: study, "),
        ([], "state = ", "--where state = : Parser Error.*\n  help: columns of trials are: key, "),
        ([RUNNING], "true", "--where goes with studies, and 'aaaa1111' is none"),
        (["mien"], None, "'mien' names no trial; did you mean 'mine'?"),
    ],
)
def test_a_mistake_is_one_message_and_cancels_nothing(
    results: Results, names: list[str], where: str | None, told: str
) -> None:
    with pytest.raises(UserError, match=told.replace("?", r"\?")):
        cancel(names, where=where, results=results.root)
    assert cancelled(results) == set()


def test_a_request_says_who_asked_and_when_and_can_be_taken_back(tmp_path: Path) -> None:
    folder = Results(tmp_path).trial("k")
    assert not cancel_requested(folder)
    clear_cancel(folder)
    request_cancel(folder)
    assert cancel_requested(folder)
    assert set(json.loads(folder.cancel.read_text())) == {"time", "by"}
    clear_cancel(folder)
    assert not cancel_requested(folder)


def test_the_file_is_looked_for_twice_a_second_however_often_a_trainer_asks(tmp_path: Path) -> None:
    folder, now = Results(tmp_path).trial("k"), [0.0]
    cancelled = watch_for_cancel(folder, lambda: now[0])
    assert not cancelled()
    request_cancel(folder)
    now[0] = 0.4
    assert not cancelled()
    now[0] = 0.6
    assert cancelled()
    clear_cancel(folder)
    assert cancelled()
