from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.status import Status, read_status
from ablate.records.store import open_store
from tests.records.by_hand import key_of, write_plan, write_plan_of, write_trial

KEYS = [key_of(number) for number in range(1, 9)]


def status(results: Results, study: str | None = None, profile: str | None = None) -> Status:
    with open_store(results) as store:
        return read_status(store, results, study, profile)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """A study with trials in every state, and another at two profiles."""
    results = Results(tmp_path)
    for key, state in zip(KEYS, ("done", "running", "failed", "failed", "failed", "interrupted"), strict=False):
        cause = "data" if key == KEYS[4] else "diverged" if state == "failed" else None
        write_trial(results, key, state=state, cause=cause, message=f"of {key[:4]}")
    write_plan(results, {key: {"size": size} for size, key in enumerate(KEYS)})
    write_plan(results, {KEYS[0]: {"size": 1}}, study="second")
    write_plan(results, {KEYS[7]: {"size": 1}}, study="second", profile="small")
    results.trial(KEYS[6]).path.write_text("a file where a trial's folder belongs")
    return results


def test_every_study_is_counted_by_state_at_each_profile(results: Results) -> None:
    counts = {(each.study, each.profile): each.counts for each in status(results).standings}
    states = ("done", "running", "queued", "failed", "interrupted", "damaged", "new")
    assert counts == {
        ("mine", "embedded"): dict(zip(states, (1, 1, 0, 3, 1, 1, 1), strict=True)),
        ("second", "embedded"): dict(zip(states, (1, 0, 0, 0, 0, 0, 0), strict=True)),
        ("second", "small"): dict(zip(states, (0, 0, 0, 0, 0, 0, 1), strict=True)),
    }


def test_a_running_trial_shows_its_epoch_its_loss_and_its_last_heartbeat(results: Results) -> None:
    (running,) = status(results, "mine").standings[0].running
    assert (running.key, running.label, running.attempt) == (KEYS[1], "size=1 seed=0", "001-local")
    assert (running.epoch, running.epochs, running.loss) == (2, 2, 1.0)
    assert (running.host, running.device) == ("elsewhere", "cpu")
    assert running.beat is not None
    assert 0 <= running.beat < 30


def test_a_second_attempt_shows_its_own_epoch_and_not_that_of_the_first(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_trial(results, KEYS[0], state="failed", losses=(3.0, 2.0, 1.0))
    write_trial(results, KEYS[0], state="running", losses=(2.9,))
    write_plan(results, {KEYS[0]: {"size": 1}})
    (running,) = status(results).standings[0].running
    assert (running.attempt, running.epoch, running.loss) == ("002-local", 1, 2.9)


def test_failures_are_grouped_by_cause_with_one_of_each(results: Results) -> None:
    found = status(results, "mine").standings[0].failures
    assert [(each.state, each.cause, each.count, each.key, each.label) for each in found] == [
        ("damaged", "damaged", 1, KEYS[6], "size=6 seed=0"),
        ("failed", "diverged", 2, KEYS[2], "size=2 seed=0"),
        ("failed", "data", 1, KEYS[4], "size=4 seed=0"),
        ("interrupted", "interrupted", 1, KEYS[5], "size=5 seed=0"),
    ]
    assert found[1].message == f"of {KEYS[2][:4]}"


def test_two_cells_that_are_one_trial_count_once(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_trial(results, KEYS[0], state="running")
    cells = [{"key": KEYS[0], "seed": 0, "axes": {"size": size}, "case": None} for size in (1, 2)]
    write_plan_of(results, cells)
    (standing,) = status(results).standings
    assert (standing.trials, len(standing.running)) == (1, 1)


def test_trials_of_an_abandoned_design_are_counted_apart(results: Results) -> None:
    write_trial(results, key_of(99))
    assert status(results).elsewhere == {"done": 1}
    assert status(results, "mine").elsewhere == {}


def test_the_status_can_be_limited_to_a_study_or_a_profile(results: Results) -> None:
    assert [each.profile for each in status(results, "second").standings] == ["embedded", "small"]
    assert [each.study for each in status(results, profile="small").standings] == ["second"]
    with pytest.raises(UserError, match="no records of a study 'mien'; did you mean 'mine'"):
        status(results, "mien")
    with pytest.raises(UserError, match="no records of a profile 'small'\n  help: profiles with records are: embedded"):
        status(results, "mine", "small")


def test_a_done_trial_without_the_metric_of_its_study_is_listed_with_a_cause(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_trial(results, KEYS[0], numbers={"error": 0.5})
    write_trial(results, KEYS[1], numbers={"error": "0.5"})
    write_plan(results, {key: {"size": size} for size, key in enumerate(KEYS[:2])}, metric="error")
    (standing,) = status(results).standings
    assert standing.counts["done"] == 2
    (found,) = standing.failures
    assert (found.state, found.cause, found.count, found.key) == ("done", "metric", 1, KEYS[1])
    assert found.message == "finished without error"
