"""Which trials a worker takes along, and a run whose trials are pretrained as one network."""

from collections.abc import Iterator
from functools import partial
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


def test_a_worker_takes_along_as_many_as_the_setting_says(results: Results) -> None:
    keys = ask_simclr(results, *seeds(10))
    assert Companions(results).of(keys[0], keys[1:], idle=1) == keys[1:4]
    assert Companions(results).of(keys[8], keys[9:], idle=1) == keys[9:]


def test_idle_workers_share_the_trials_that_have_the_same_in_common(results: Results) -> None:
    keys = ask_simclr(results, *seeds(6, fuse_trials=16), *seeds(2, fuse_trials=16, batch_size=8))
    companions = Companions(results)
    assert companions.of(keys[0], keys[1:], idle=3) == keys[1:2]
    assert companions.of(keys[2], keys[3:], idle=2) == keys[3:4]
    assert companions.of(keys[4], keys[5:], idle=1) == keys[5:6]
    assert companions.of(keys[6], keys[7:], idle=3) == []  # one for each worker


def test_what_is_pretrained_already_neither_takes_along_nor_is_taken(results: Results) -> None:
    keys = ask_simclr(results, *seeds(4))
    for key in (keys[0], keys[2]):
        folder = results.pretrained(f"pre-{key}")
        folder.mkdir(parents=True)
        (folder / "final-0123456789abcdef.pt").touch()
    assert Companions(results).of(keys[0], keys[1:], idle=1) == []
    assert Companions(results).of(keys[1], keys[2:], idle=1) == keys[3:]


def test_trials_without_the_setting_of_other_trainers_or_damaged_take_none_along(results: Results) -> None:
    plain, custom = ask_simclr(results, *seeds(3, fuse_trials=1)), ask(results, Settings(), Settings())
    companions = Companions(results)
    assert companions.of(plain[0], [*plain[1:], *custom], idle=1) == []
    assert companions.of(custom[0], custom[1:], idle=1) == []
    first, second, third, fourth = ask_simclr(results, *seeds(4))
    results.trial(second).trial.write_text("{")
    results.trial(third).trial.unlink()
    assert Companions(results).of(first, [second, third, fourth], idle=1) == [fourth]


def config_of(spec: dict[str, Any]) -> Any:
    return function_and_config(spec)[1]


def test_a_trainer_receives_companions_that_need_a_training(results: Results) -> None:
    own, done, cancelled, damaged, failed, waiting = keys = ask_simclr(results, *seeds(6))
    write_json(results.trial(done).result, {"key": done, "metrics": {}})
    request_cancel(results.trial(cancelled))
    results.trial(damaged).trial.write_text("[]")
    run_trial(results, failed, "test", device="nowhere", capture_output=False)
    (found,) = companions_of(results, results.trial(own), keys[1:], config_of)
    assert found == (waiting, seeds(6)[5], results.pretrained(f"pre-{waiting}"))


def test_after_a_failure_a_trial_takes_none_along(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them may have been the cause."""
    own, other = ask_simclr(results, *seeds(2, epochs=10))
    given: list[int] = []

    def fuse(group: Any, offered: Any) -> None:
        given.append(len(offered))
        raise RuntimeError("boom")

    monkeypatch.setattr(fusion, "_DEVICE", "cpu")
    monkeypatch.setattr("ablate.simclr.pretrain.fuse", fuse)
    for _ in range(2):
        outcome = run_trial(results, own, "test", capture_output=False, companions=[other])
        assert outcome["message"].endswith("boom")
    assert given == [1, 0]


def test_companions_are_not_given_to_another_worker_until_they_are_released(
    results: Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of two workers, the second has to wait for what the first has taken along, and no longer."""
    steps = [
        Settings(seed=0, does="release", seconds=1.0, marker=tmp_path / "marker"),
        Settings(seed=1),
        Settings(seed=2),
    ]
    keys = ask(results, *steps)
    given: list[tuple[list[str], int]] = []

    def of(self: Companions, key: str, offered: Iterator[str], idle: int) -> list[str]:
        found = list(offered)
        given.append((found, idle))
        return found if key == keys[0] else []

    monkeypatch.setattr(Companions, "of", of)
    with Pool(results, 2, 1, "cpu") as pool:
        same = {keys[0]: "a", keys[1]: "b", keys[2]: "b"}  # of the same pretraining, one is offered
        assert [outcome["state"] for _, outcome in pool.run(same, tick=lambda: None)] == ["done"] * 3
    assert given[0] == ([keys[1]], 2)
    first, *others = (events_of(results, key) for key in keys)
    released = first["said"]["time"]
    assert all(each["started"]["time"] >= released for each in others)
    assert min(each["started"]["time"] for each in others) < first["ended"]["time"]


def events_of(results: Results, key: str) -> dict[str, Any]:
    (attempt,) = results.trial(key).attempt_folders()
    return {event["event"]: event for event in read_json_lines(attempt / "events.jsonl")}


def test_the_whole_trial_of_a_companion_ends_as_alone(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "_DEVICE", "cpu")
    monkeypatch.setattr(fusion, "most_that_fit", lambda *_: 100)
    monkeypatch.setattr(fusion, "is_worthwhile", lambda together, members, alone: True)
    released: list[str] = []
    keys = ask_simclr(results, *seeds(3, epochs=12, precision="float64"))
    for key in keys:
        companions = keys[1:] if key == keys[0] else ()
        release = partial(released.append, key)
        run_trial(results, key, "test", capture_output=False, companions=companions, release=release)
    assert released == keys
    for key, config in zip(keys, seeds(3, epochs=12, precision="float64", fuse_trials=1), strict=True):
        record, alone = read_result(results.trial(key).result), train(config, Listener())
        assert record.metrics["fused_trials"] == 3
        share = record.metrics["pretrain_seconds"] + record.metrics["evaluate_seconds"]
        assert record.seconds == pytest.approx(share, abs=1e-3)  # not those of its attempt
        for name in ("top1", "loss", "online_top1"):
            assert record.metrics[name] == pytest.approx(alone[name], rel=1e-6)
        (attempt,) = results.trial(key).attempt_folders()
        rows = [row for row in read_json_lines(attempt / "metrics.jsonl") if row["phase"] == "pretrain"]
        assert [row["epoch"] for row in rows] == list(range(1, 13))
