import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ablate.commands.run import cancel
from ablate.errors import UserError
from ablate.records.attempt import AttemptWriter
from ablate.records.coordination import cancel_requested, claim, clear_cancel, request_cancel, watch_for_cancel
from ablate.records.files import Results, write_json
from ablate.run.slurm.ledger import Ledger
from tests.records.by_hand import save_record

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
    save_record(results, "mine", plan)
    return results


def cancelled(results: Results) -> set[str]:
    return {path.parent.name for path in results.trials.glob("*/cancel")}


def test_cancelling_a_study_spares_finished_trials(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    cancel(["studies/mine.toml"], results=results.root)
    assert cancelled(results) == {RUNNING, NEW}
    assert capsys.readouterr().out.splitlines() == [
        "1 trial will stop at the next step",
        "1 trial will not start until you use ablate run or ablate retry",
        "1 trial already done",
    ]


def test_a_condition_may_use_the_axes_of_the_study(results: Results) -> None:
    cancel(["mine"], where="first = 'blur' OR top1 > 0", results=results.root)
    assert cancelled(results) == {NEW}


def test_a_condition_without_a_study_applies_to_all_trials(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    cancel(where="state = 'running' AND seed >= 0", json=True, results=results.root)
    assert json.loads(capsys.readouterr().out) == {"running": [RUNNING], "waiting": [], "done": [], "jobs": []}


def test_single_trials_are_named_by_key_or_by_cell(results: Results) -> None:
    cancel([RUNNING[:6], "mine:first=blur"], results=results.root)
    assert cancelled(results) == {RUNNING, NEW}


@pytest.mark.parametrize(
    ("names", "where", "told"),
    [
        ([], None, "no trial given"),
        (["mine"], "frist = 'crop'", "--where frist = 'crop': Binder Error.*\n  help: columns of mine are: study, "),
        ([], "state = ", "--where state = : Parser Error.*\n  help: columns of trials are: key, "),
        ([RUNNING], "true", "--where needs a study, and 'aaaa1111' is not one"),
        (["mien"], None, "no trial matches 'mien'; did you mean 'mine'?"),
    ],
)
def test_an_invalid_selection_is_one_message_and_cancels_nothing(
    results: Results, names: list[str], where: str | None, told: str
) -> None:
    with pytest.raises(UserError, match=told.replace("?", r"\?")):
        cancel(names, where=where, results=results.root)
    assert cancelled(results) == set()


def test_a_cancel_request_records_user_and_time_and_can_be_withdrawn(tmp_path: Path) -> None:
    folder = Results(tmp_path).trial("k")
    assert not cancel_requested(folder)
    clear_cancel(folder)
    request_cancel(folder)
    assert cancel_requested(folder)
    assert set(json.loads(folder.cancel.read_text())) == {"time", "by"}
    clear_cancel(folder)
    assert not cancel_requested(folder)


def test_the_cancel_file_is_checked_at_most_twice_per_second(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_whatever_has_the_place_of_a_lock_is_moved_aside_and_nothing_waits(tmp_path: Path, kind: str) -> None:
    folder = Results(tmp_path).trial("k")
    folder.path.mkdir(parents=True)
    {"fifo": os.mkfifo, "folder": os.mkdir, "link": lambda path: path.symlink_to(tmp_path / "far")}[kind](folder.claim)
    with claim(folder) as held:
        assert held == "ours"
        assert folder.claim.is_file()
    assert not (tmp_path / "far").exists()
    assert len(list(folder.path.iterdir())) == (2 if kind == "folder" else 1)


def test_a_fifo_in_place_of_the_lock_of_submissions_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "slurm").mkdir()
    os.mkfifo(tmp_path / "slurm/.lock")
    with Ledger(Results(tmp_path)).lock():
        assert (tmp_path / "slurm/.lock").is_file()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nothing"), Path.touch])
def test_whatever_stands_in_the_place_of_a_request_is_withdrawn(
    results: Results, make: Callable[[Path], object]
) -> None:
    folder = results.trial(NEW)
    make(folder.cancel)
    clear_cancel(folder)
    assert not os.path.lexists(folder.cancel)
    assert not cancel_requested(folder)
    clear_cancel(folder)
