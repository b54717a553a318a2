from pathlib import Path

import pytest

from ablate.records.address import find_trial
from ablate.records.compare import Difference, compare, flat
from ablate.records.detail import Detail, read_detail
from ablate.records.files import Results
from ablate.records.store import open_store
from tests.records.by_hand import key_of, write_plan, write_trial

A, B = key_of(1), key_of(2)


def detail(results: Results, key: str) -> Detail:
    with open_store(results) as store:
        return read_detail(store, find_trial(store, key))


def test_the_curve_takes_each_epoch_from_the_newest_attempt_that_reached_it(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_trial(results, A, state="interrupted", losses=(9.0, 8.0, 7.0))
    write_trial(results, A, losses=(3.0, 2.0))
    curve = detail(results, A).curve
    assert (curve.at, curve.along, curve.losses, curve.of) == ((1, 2, 3), "epoch", (3.0, 2.0, 7.0), A)


def test_a_loss_that_was_nan_keeps_its_place_in_the_curve(tmp_path: Path) -> None:
    write_trial(Results(tmp_path), A, losses=(3.0, float("nan")))
    assert detail(Results(tmp_path), A).curve.losses == (3.0, None)


def test_a_trial_that_shares_a_pretraining_shows_the_curve_of_the_one_that_trained(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_trial(results, A, pretrain_key="shared")
    write_trial(results, B, pretrain_key="shared", losses=())
    curve = detail(results, B).curve
    assert (curve.losses, curve.of) == ((2.0, 1.0), A)


def test_a_planned_trial_that_never_started_is_new(tmp_path: Path) -> None:
    write_plan(Results(tmp_path), {A: {"size": 1}})
    found = detail(Results(tmp_path), A)
    assert (found.state, found.attempts, found.cells[0].label) == ("new", (), "size=1 seed=0")


def test_the_environment_is_that_of_the_finishing_attempt(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_trial(results, A, state="failed", environment={"host": "old"})
    write_trial(results, A, environment={"host": "new"})
    found = detail(results, A)
    assert found.environment == {"host": "new"}
    assert [attempt.environment["host"] for attempt in found.attempts] == ["old", "new"]


def test_comparing_two_trials_lists_differing_settings_and_environment_and_every_number(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for key, size, torch, top1 in ((A, 1, "2.11", 40.0), (B, 2, "2.12", 60.0)):
        config = {"seed": 0, "data": {"size": size, "name": "textures"}}
        environment = {"host": "same", "command": [key], "packages": {"torch": torch, "numpy": "2"}}
        write_trial(results, key, config=config, environment=environment, numbers={"top1": top1}, pretrain_key="p")
    comparison = compare(detail(results, A), detail(results, B))
    assert comparison.settings == (Difference("data.size", 1, 2),)
    assert comparison.environments == (Difference("packages.torch", "2.11", "2.12"),)
    assert comparison.numbers == (Difference("top1", 40.0, 60.0),)
    assert comparison.same_pretraining


def test_a_setting_that_only_one_trial_has_differs(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_trial(results, A, config={"loss": {"margin": 1.0}})
    write_trial(results, B, config={"loss": {"temperature": 0.1}})
    comparison = compare(detail(results, A), detail(results, B))
    assert comparison.settings == (Difference("loss.margin", 1.0, None), Difference("loss.temperature", None, 0.1))
    assert not comparison.same_pretraining


@pytest.mark.parametrize(("settings", "named"), [({"a": {"b": 1, "c": {}}}, {"a.b": 1, "a.c": {}}), ({}, {})])
def test_nested_settings_have_dotted_names(settings: dict[str, object], named: dict[str, object]) -> None:
    assert flat(settings) == named


def test_a_done_trial_says_that_it_lacks_the_metric_of_a_study(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_trial(results, A, numbers={"error": 0.5})
    write_plan(results, {A: {"size": 1}}, metric="error")
    assert detail(results, A).cause is None
    write_plan(results, {A: {"size": 1}}, study="changed", metric="loss")
    found = detail(results, A)
    assert (found.state, found.cause) == ("done", "metric")
    assert found.message == "1 trial finished but did not return 'loss'; it returned error"
