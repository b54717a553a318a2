import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablate.errors import AblateError
from ablate.records.attempt import environment_of, trial_status
from ablate.records.code import snapshot
from ablate.records.files import Results, write_json
from ablate.run.causes import Outcome
from ablate.run.pool import Pool
from tests.run.toy import Settings, ask

TRAINER = """
from pydantic import BaseModel

class Settings(BaseModel):
    seed: int = 0

def train(config: Settings, context):
    return {{"version": {version}}}
"""


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path)


@pytest.fixture
def pool(results: Results) -> Iterator[Pool]:
    with Pool(results, 1, 1, "cpu") as pool:
        yield pool


def outcomes(pool: Pool, keys: list[str]) -> dict[str, Outcome]:
    return dict(pool.run({key: f"pre-{key}" for key in keys}, tick=lambda: None))


def attempts(results: Results, key: str) -> list[str]:
    return [path.name for path in results.trial(key).attempt_folders()]


def test_trials_are_trained_one_after_another_and_what_they_print_lies_in_their_attempts(
    pool: Pool, results: Results
) -> None:
    keys = ask(results, Settings(), Settings(does="raise"), Settings())
    assert [outcome["state"] for outcome in outcomes(pool, keys).values()] == ["done", "failed", "done"]
    (attempt,) = results.trial(keys[1]).attempt_folders()
    assert "RuntimeError: boom" in (attempt / "stderr").read_text()


def test_a_worker_that_dies_idle_is_replaced_and_costs_no_trial(pool: Pool, results: Results) -> None:
    first, second = ask(results, Settings(), Settings(seed=1))
    assert outcomes(pool, [first])[first]["state"] == "done"
    os.kill(pool.workers[0].process.pid, signal.SIGKILL)
    time.sleep(0.2)
    assert outcomes(pool, [second])[second]["state"] == "done"
    assert attempts(results, second) == ["001-local"]


def test_a_worker_that_dies_in_a_trial_fails_that_attempt_alone(pool: Pool, results: Results) -> None:
    keys = ask(results, Settings(does="die"), Settings())
    found = outcomes(pool, keys)
    message = "its process died (signal SIGKILL)"
    assert found[keys[0]] == {"state": "failed", "cause": "killed", "message": message, "attempt": "001-local"}
    assert found[keys[1]]["state"] == "done"
    assert trial_status(results.trial(keys[0]), time.time()).cause == "killed"


def test_a_trial_that_cannot_be_read_is_not_told_as_killed(pool: Pool, results: Results) -> None:
    keys = ask(results, Settings(), Settings())
    results.trial(keys[0]).trial.unlink()
    found = outcomes(pool, keys)
    assert (found[keys[0]]["state"], found[keys[0]]["cause"]) == ("failed", "record")
    assert found[keys[1]]["state"] == "done"


def test_a_trial_whose_workers_die_before_they_begin_it_has_failed_after_the_third(
    pool: Pool, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = ask(results, Settings())
    results.trial(key).trial.unlink()
    os.mkfifo(results.trial(key).trial)  # a worker hangs where it reads this
    give = Pool._give

    def give_and_kill(pool: Pool, worker: object, key: str, companions: list[str]) -> None:
        give(pool, worker, key, companions)  # type: ignore[arg-type]
        worker.ready = True  # type: ignore[attr-defined]
        worker.process.kill()  # type: ignore[attr-defined]

    monkeypatch.setattr(Pool, "_give", give_and_kill)
    outcome = outcomes(pool, [key])[key]
    assert outcome["cause"] == "killed"
    assert outcome["message"] == "its process died (signal SIGKILL) before the trial started (3 times)"
    assert attempts(results, key) == []


def test_a_worker_that_dies_while_it_starts_ends_the_run_with_what_it_printed(results: Results, tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "ablate").mkdir(parents=True)
    (code / "ablate/__init__.py").write_text("raise RuntimeError('a broken installation')")
    with (
        Pool(results, 1, 1, "cpu", code) as pool,
        pytest.raises(AblateError, match=r"died while it started \(exit code 1\)\n(.*\n)*.*a broken installation"),
    ):
        outcomes(pool, ask(results, Settings()))


def test_stopping_the_pool_interrupts_what_runs_and_leaves_the_rest_new(pool: Pool, results: Results) -> None:
    keys = ask(results, Settings(), Settings(does="wait", seconds=30), Settings())
    ended = []
    running = pool.run({key: key for key in keys}, tick=lambda: stop_in(keys[1]))

    def stop_in(key: str) -> None:
        if any(
            "started" in (attempt / "events.jsonl").read_text() for attempt in results.trial(key).attempts.glob("0*")
        ):
            ended.extend(pool.stop())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(running)
    ((key, outcome),) = ended
    assert (key, outcome["state"], outcome["cause"]) == (keys[1], "interrupted", "stopped")
    assert attempts(results, keys[2]) == []


def test_a_worker_that_does_not_stop_is_ended_and_its_attempt_says_so(
    pool: Pool, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.run.pool.STOP_SECONDS", 0.5)
    (key,) = ask(results, Settings(does="sleep", seconds=30))
    ended = []

    def stop() -> None:
        if pool.workers[0].attempt is not None:
            ended.extend(pool.stop())

    assert list(pool.run({key: key}, tick=stop)) == []
    assert (
        ended[0][1]["message"]
        == "it did not stop within 0 s (signal SIGKILL); the next attempt resumes from the last checkpoint"
    )
    assert trial_status(results.trial(key), time.time()).cause == "stopped"


def test_workers_run_the_code_of_the_snapshot_whatever_lies_in_the_folder_later(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "mine_of_this_test.py"
    source.write_text(TRAINER.format(version=1))
    monkeypatch.syspath_prepend(tmp_path)
    keys = ["first", "second"]
    for key in keys:
        spec = {"key": key, "pretrain_key": key, "trainer": "mine_of_this_test:train", "config": {}}
        write_json(results.trial(key).trial, spec)
    code = snapshot(results, [source])
    with Pool(results, 1, 1, "cpu", code.folder) as pool:
        source.write_text(TRAINER.format(version=2))
        assert outcomes(pool, ["first"])["first"]["state"] == "done"
        os.kill(pool.workers[0].process.pid, signal.SIGKILL)
        assert outcomes(pool, ["second"])["second"]["state"] == "done"
    for key in keys:
        assert json.loads(results.trial(key).result.read_text())["metrics"]["version"] == 1
        assert environment_of(results.trial(key).attempts / "001-local")["code"] == code.digest


def test_an_end_that_cannot_be_recorded_is_told_and_ends_no_other_trial(
    pool: Pool, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*anything: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ablate.records.attempt.add_event", full)
    keys = ask(results, Settings(does="die"), Settings())
    found = outcomes(pool, keys)
    assert [found[key]["state"] for key in keys] == ["failed", "done"]
    assert str(found[keys[0]]["message"]).endswith("; its record could not be written: No space left on device")
