"""Which trials a worker takes along, and a run whose trials are pretrained as one network."""

from pathlib import Path
from typing import Any

import pytest

from ablate.records.coordination import request_cancel
from ablate.records.files import Results, write_json
from ablate.records.reading import read_json_lines, read_result
from ablate.run.attempt import function_and_config, run_trial
from ablate.run.companions import Companions, companions_of
from ablate.run.pool import Pool
from ablate.simclr import fusion
from ablate.simclr.config import Config
from ablate.simclr.trainer import train
from tests.run.toy import Settings, ask
from tests.simclr.conftest import Listener, one_thread, small_config

__all__ = ["one_thread"]

TRAINER = "ablate.simclr.trainer:train"


def ask_simclr(results: Results, *configs: Config) -> list[str]:
    """Write a trial.json of the default trainer for each of some settings; returns their keys."""
    keys = [f"{number:03d}def" for number in range(len(configs))]
    for key, config in zip(keys, configs, strict=True):
        spec = {"key": key, "pretrain_key": f"pre-{key}", "trainer": TRAINER}
        write_json(results.trial(key).trial, {**spec, "config": config.model_dump(mode="json")})
    return keys


def seeds(count: int, **changes: Any) -> list[Config]:
    return [small_config(seed=seed, **({"fuse_trials": 4} | changes)) for seed in range(count)]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path)


def test_a_worker_takes_along_as_many_as_the_setting_says_and_each_of_them_once(results: Results) -> None:
    keys = ask_simclr(results, *seeds(10))
    companions = Companions(results, workers=1)
    assert companions.of(keys[0], keys[1:]) == keys[1:4]
    assert companions.of(keys[1], keys[2:]) == []  # it was pretrained already
    assert companions.of(keys[4], keys[5:]) == keys[5:8]
    assert companions.of(keys[8], keys[9:]) == keys[9:]


def test_workers_share_the_trials_that_have_the_same_in_common(results: Results) -> None:
    keys = ask_simclr(results, *seeds(6, fuse_trials=16), *seeds(2, fuse_trials=16, batch_size=8))
    companions = Companions(results, workers=3)
    assert companions.of(keys[0], keys[1:]) == keys[1:2]
    assert companions.of(keys[2], keys[3:]) == keys[3:4]
    assert companions.of(keys[6], keys[7:]) == []  # one for each worker


def test_trials_without_the_setting_of_other_trainers_or_damaged_take_none_along(results: Results) -> None:
    plain, custom = ask_simclr(results, *seeds(3, fuse_trials=1)), ask(results, Settings(), Settings())
    companions = Companions(results, workers=1)
    assert companions.of(plain[0], [*plain[1:], *custom]) == []
    assert companions.of(custom[0], custom[1:]) == []
    first, second, third, fourth = ask_simclr(results, *seeds(4))
    results.trial(second).trial.write_text("{")
    results.trial(third).trial.unlink()
    assert Companions(results, workers=1).of(first, [second, third, fourth]) == [fourth]


def config_of(spec: dict[str, Any]) -> Any:
    return function_and_config(spec)[1]


def test_a_trainer_receives_companions_that_need_a_training(results: Results) -> None:
    own, done, cancelled, damaged, waiting = keys = ask_simclr(results, *seeds(5))
    write_json(results.trial(done).result, {"key": done, "metrics": {}})
    request_cancel(results.trial(cancelled))
    results.trial(damaged).trial.write_text("[]")
    (found,) = companions_of(results, results.trial(own), keys[1:], config_of)
    assert found == (waiting, seeds(5)[4], results.pretrained(f"pre-{waiting}"))


def test_after_a_failure_a_trial_takes_none_along(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them may have been the cause."""
    own, other = ask_simclr(results, *seeds(2, epochs=10))
    given: list[int] = []

    def fuse(run: Any, offered: Any, *_: Any) -> None:
        given.append(len(offered))
        raise RuntimeError("boom")

    monkeypatch.setattr("ablate.simclr.pretrain.fuse", fuse)
    for _ in range(2):
        outcome = run_trial(results, own, "test", capture_output=False, companions=[other])
        assert outcome["message"].endswith("boom")
    assert given == [1, 0]


def test_companions_are_not_given_to_another_worker_meanwhile_and_find_their_pretraining_done(
    results: Results,
) -> None:
    """In processes, where the measurement decides; at so few steps it may go either way."""
    keys = ask_simclr(results, *seeds(3, epochs=12, precision="float64"))  # 54 steps
    with Pool(results, 1, 1, "cpu") as pool:
        outcomes = dict(pool.run({key: f"pre-{key}" for key in keys}, tick=lambda: None))
    assert [outcomes[key]["state"] for key in keys] == ["done"] * 3
    (attempt,) = results.trial(keys[0]).attempt_folders()
    said = [event["message"] for event in read_json_lines(attempt / "events.jsonl") if event["event"] == "said"]
    assert any("a step of 3 trials takes" in message for message in said)
    for key, config in zip(keys, seeds(3, epochs=12, precision="float64", fuse_trials=1), strict=True):
        (attempt,) = results.trial(key).attempt_folders()
        rows = [row for row in read_json_lines(attempt / "metrics.jsonl") if row["phase"] == "pretrain"]
        assert [row["epoch"] for row in rows] == list(range(1, 13))
        alone = train(config, Listener())
        assert read_result(results.trial(key).result).metrics["loss"] == pytest.approx(alone["loss"], rel=1e-6)


def test_the_whole_trial_of_a_companion_ends_as_alone(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "is_worthwhile", lambda together, members, alone: members > 1)
    keys = ask_simclr(results, *seeds(3, epochs=12, precision="float64"))
    for key in keys:
        run_trial(results, key, "test", capture_output=False, companions=keys[1:] if key == keys[0] else ())
    for key, config in zip(keys, seeds(3, epochs=12, precision="float64", fuse_trials=1), strict=True):
        record, alone = read_result(results.trial(key).result), train(config, Listener())
        assert record.metrics["fused_trials"] == 3
        for name in ("top1", "loss", "online_top1"):
            assert record.metrics[name] == pytest.approx(alone[name], rel=1e-6)
