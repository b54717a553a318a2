import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from ablate.errors import UserError
from ablate.records.attempt import STALE_SECONDS, AttemptWriter, read_state
from ablate.records.files import Results, write_json
from ablate.records.series import series_of
from ablate.records.signatures import signatures
from ablate.records.store import _rebuild, done_before, open_store
from ablate.run.history import recorded_states
from tests.records import by_hand
from tests.records.by_hand import save_record


def add_trial(results: Results, key: str, top1: float | None = None, seed: int = 0) -> None:
    """A trial's record; done when `top1` is given."""
    folder = results.trial(key)
    write_json(folder.trial, {"key": key, "pretrain_key": f"p{key}", "config": {"seed": seed}})
    writer = AttemptWriter(folder.new_attempt("local"))
    writer.event("started", host="elsewhere", pid=1)
    writer.metrics({"phase": "pretrain", "epoch": 1, "loss": 2.5, "learning_rate": 0.1})
    if top1 is not None:
        metrics = {"top1": top1, "loss": 2.5}
        write_json(folder.result, {"key": key, "attempt": writer.path.name, "seconds": 3.0, "metrics": metrics})
        writer.event("ended", state="done")
    writer.close()


def add_plan(results: Results, keys: list[str], design: str = "d", profile: str = "embedded") -> None:
    trials = [{"key": key, "seed": 0, "axes": {"first": key, "size": 1}, "case": None} for key in keys]
    axes = [{"name": "first", "values": ["a", "b", "c"]}, {"name": "size", "values": [1]}]
    save_record(results, "mine", {"profile": profile, "design": design, "axes": axes, "cases": [], "trials": trials})


def rows(results: Results, sql: str) -> list[tuple[object, ...]]:
    with open_store(results) as store:
        return store.execute(sql).fetchall()


def test_a_study_has_a_view_with_a_column_for_each_axis(tmp_path: Path) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=61.5)
    add_plan(results, ["b", "a"])
    assert rows(results, "SELECT study, profile, first, size, seed, key, state, top1 FROM mine") == [
        ("mine", "embedded", "a", 1, 0, "a", "done", 61.5),
        ("mine", "embedded", "b", 1, 0, "b", "new", None),
    ]


def test_every_number_of_every_line_of_metrics_is_a_row(tmp_path: Path) -> None:
    results = Results(tmp_path)
    add_trial(results, "a")
    assert rows(results, "SELECT key, attempt, phase, epoch, name, value FROM metrics ORDER BY name") == [
        ("a", "001-local", "pretrain", 1, "learning_rate", 0.1),
        ("a", "001-local", "pretrain", 1, "loss", 2.5),
    ]


def test_curves_of_done_trials_are_read_when_they_are_first_needed_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=61.5)
    add_trial(results, "b", top1=62.5)
    add_trial(results, "c")
    read: list[str] = []

    def counted(path: str) -> object:
        read.append(Path(path).parents[2].name)
        return series_of(path)

    monkeypatch.setattr("ablate.records.update.series_of", counted)
    with open_store(results, curves=False) as store:
        assert store.execute("SELECT key, state FROM trials WHERE state = 'done' ORDER BY key").fetchall() == [
            ("a", "done"), ("b", "done"),
        ]  # fmt: skip
        assert store.execute("SELECT DISTINCT key FROM metrics").fetchall() == [("c",)]
    every = "SELECT key, name, value FROM metrics ORDER BY ALL"
    found = rows(results, every)
    assert [(key, name) for key, name, _ in found] == [
        (key, name) for key in "abc" for name in ("learning_rate", "loss")
    ]
    assert sorted(set(read)) == ["a", "b", "c"]
    add_trial(results, "b", top1=63.5)  # again, with a second attempt
    with open_store(results, curves=False) as store:
        assert store.execute("SELECT DISTINCT key FROM metrics ORDER BY key").fetchall() == [("a",), ("c",)]
    read.clear()
    assert len(rows(results, every)) == 8
    assert "a" not in read
    read.clear()
    assert len(rows(results, every)) == 8
    assert set(read) <= {"c"}  # the running trial


def test_curves_are_read_although_another_process_puts_a_store_without_them_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=61.5)
    open_store(results, curves=False).close()
    of_other = tmp_path / "of_other"
    rebuild, left = _rebuild, [1]

    def overtaken(*arguments: Any) -> None:
        rebuild(*arguments)
        if left:
            shutil.copy2(of_other, tmp_path / "copy")
            (tmp_path / "copy").replace(results.database)
            left.pop()

    monkeypatch.setattr("ablate.records.store._rebuild", overtaken)
    for times, on_disk in ((1, True), (2, False)):
        results.database.unlink()
        left.clear()
        open_store(results, curves=False).close()
        shutil.copy2(results.database, of_other)
        left += [1] * times
        with open_store(results) as store:
            assert store.execute("SELECT count(*) FROM metrics").fetchall() == [(2,)]
            assert (len(store.execute("FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()) == 1) is on_disk


def test_curves_are_read_although_this_process_has_the_store_without_them_open(tmp_path: Path) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=61.5)
    with open_store(results, curves=False) as without:
        assert rows(results, "SELECT count(*) FROM metrics") == [(2,)]
        assert without.execute("SELECT count(*) FROM metrics").fetchall() == [(0,)]
    assert rows(results, "SELECT count(*) FROM metrics") == [(2,)]


def test_a_result_that_comes_later_is_seen_and_nothing_is_counted_twice(tmp_path: Path) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=50.0)
    add_trial(results, "b")
    assert rows(results, "SELECT state FROM trials ORDER BY key") == [("done",), ("running",)]
    add_trial(results, "b", top1=60.0)
    assert rows(results, "SELECT key, (numbers ->> 'top1')::DOUBLE FROM trials ORDER BY key") == [
        ("a", 50.0),
        ("b", 60.0),
    ]
    assert rows(results, "SELECT count(*) FROM attempts") == [(3,)]
    assert rows(results, "SELECT count(*) FROM metrics") == [(6,)]


def test_a_trial_that_was_deleted_is_gone_from_the_store(tmp_path: Path) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=50.0)
    open_store(results).close()
    results.trial("a").path.rename(tmp_path / "away")
    assert rows(results, "SELECT count(*) FROM trials") == [(0,)]


def test_nothing_is_written_when_nothing_has_changed(tmp_path: Path) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=50.0)
    open_store(results).close()
    before = results.database.stat()
    open_store(results).close()
    assert results.database.stat().st_ino == before.st_ino


def test_a_running_trial_without_heartbeat_is_noticed_although_no_file_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path)
    add_trial(results, "a")
    assert rows(results, "SELECT state FROM trials") == [("running",)]
    later = time.time() + STALE_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert rows(results, "SELECT state FROM trials") == [("interrupted",)]


@pytest.mark.parametrize("damage", ["", "not a database"])
def test_a_damaged_store_is_built_again(tmp_path: Path, damage: str) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=50.0)
    results.database.write_text(damage)
    assert rows(results, "SELECT (numbers ->> 'top1')::DOUBLE FROM trials") == [(50.0,)]


def test_a_store_of_another_version_is_built_again(tmp_path: Path) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=50.0)
    with duckdb.connect(str(results.database)) as other:
        other.execute("CREATE TABLE store AS SELECT 0 AS version")
    assert rows(results, "SELECT (numbers ->> 'top1')::DOUBLE FROM trials") == [(50.0,)]


def test_a_damaged_record_is_named_and_leaves_the_others_readable(tmp_path: Path) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=50.0)
    add_trial(results, "b", top1=60.0)
    results.trial("b").trial.write_text("{")
    assert rows(results, "SELECT key, state FROM trials ORDER BY key") == [("a", "done"), ("b", "damaged")]


def test_a_reader_keeps_its_view_while_the_store_is_brought_up_to_date(tmp_path: Path) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=50.0)
    with open_store(results) as reader:
        add_trial(results, "b", top1=60.0)
        other = "import sys, pathlib\nfrom ablate.records.files import Results\n"
        other += "from ablate.records.store import open_store\n"
        other += "open_store(Results(pathlib.Path(sys.argv[1])))"
        subprocess.run([sys.executable, "-c", other, str(tmp_path)], check=True)
        assert reader.execute("SELECT count(*) FROM trials").fetchall() == [(1,)]
    assert rows(results, "SELECT count(*) FROM trials") == [(2,)]


def test_a_store_that_cannot_be_written_is_answered_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    results = Results(tmp_path)
    add_trial(results, "a", top1=50.0)
    open_store(results).close()
    add_trial(results, "b", top1=60.0)
    before = results.database.read_bytes()
    monkeypatch.setattr(shutil, "copyfile", no_space)
    assert rows(results, "SELECT key, (numbers ->> 'top1')::DOUBLE FROM trials ORDER BY key") == [
        ("a", 50.0),
        ("b", 60.0),
    ]
    assert results.database.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_store_made_of_no_records_takes_the_first_one_and_is_kept(tmp_path: Path) -> None:
    results = Results(tmp_path)
    assert rows(results, "SELECT count(*) FROM trials") == [(0,)]
    empty = results.database.stat().st_ino
    add_trial(results, "a", top1=50.0)
    assert rows(results, "SELECT key FROM trials") == [("a",)]
    assert results.database.stat().st_ino != empty


def test_a_plan_that_a_crash_left_empty_does_not_stop_the_next(tmp_path: Path) -> None:
    results = Results(tmp_path)
    add_plan(results, ["a"])
    (results.plans("mine") / "plan-2.json").touch()
    add_plan(results, ["b"])
    assert rows(results, "SELECT key FROM mine") == [("a",), ("b",)]


def test_a_study_contains_only_the_current_design_of_each_profile(tmp_path: Path) -> None:
    results = Results(tmp_path)
    add_plan(results, ["a", "b"], design="old")
    add_plan(results, ["c"], design="new")
    add_plan(results, ["a"], design="old", profile="small")
    assert rows(results, "SELECT profile, key FROM mine") == [("embedded", "c"), ("small", "a")]


def test_a_missing_results_folder_is_an_error_and_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no results folder"):
        open_store(Results(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_plan_that_says_the_same_as_the_newest_is_not_written_again(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for keys in (["a"], ["a"], ["b"], ["a"]):
        add_plan(results, keys)
    names = sorted(path.name for path in results.plans("mine").iterdir())
    assert names == ["plan-1.json", "plan-2.json", "plan-3.json"]
    assert json.loads((results.plans("mine") / "plan-3.json").read_text())["trials"][0]["key"] == "a"


def test_the_value_of_a_study_is_the_number_that_its_plan_names_at_each_profile(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for key, numbers in (("a", {"top1": 1.0, "knn_top1": 2.0}), ("b", {"top1": 3.0}), ("c", {"knn_top1": "none"})):
        by_hand.write_trial(results, key, numbers=numbers)
    by_hand.write_plan(results, {"a": {"size": 1}, "c": {"size": 2}}, metric="knn_top1")
    by_hand.write_plan(results, {"b": {"size": 1}}, profile="small")
    assert rows(results, "SELECT key, value, top1 FROM mine") == [("a", 2.0, 1.0), ("c", None, None), ("b", 3.0, 3.0)]


@pytest.mark.parametrize("metric", ['er"ror', "it's", "a/b~c", "knn.top1", "$.top1"])
def test_the_metric_of_a_study_may_have_any_name(tmp_path: Path, metric: str) -> None:
    results = Results(tmp_path)
    by_hand.write_trial(results, "a", numbers={metric: 2.0, "top1": 1.0})
    by_hand.write_plan(results, {"a": {"size": 1}}, study='one\'s "own"', metric=metric)
    assert rows(results, """SELECT value FROM "one's ""own\"\"" """) == [(2.0,)]


def test_axes_with_names_of_store_columns_change_neither_order_nor_numbers(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for key, error in (("a", 1.0), ("b", 2.0)):
        by_hand.write_trial(results, key, numbers={"error": error})
    names = ("position", "metric", "axes", "numbers", "trials", "cells", "top2")
    cells = {"a": dict.fromkeys(names, 20), "b": dict.fromkeys(names, 10)}
    by_hand.write_plan(results, cells, metric="error")
    assert rows(results, "SELECT position, metric, axes, numbers, value FROM mine") == [
        (20, 20, 20, 20, 1.0),
        (10, 10, 10, 10, 2.0),
    ]


def test_two_cells_that_share_a_trial_are_both_in_the_view(tmp_path: Path) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=61.5)
    cells = [{"key": "a", "seed": 0, "axes": {"size": size}, "case": None} for size in (1, 2)]
    by_hand.write_plan_of(results, cells)
    assert rows(results, "SELECT size, key, top1 FROM mine") == [(1, "a", 61.5), (2, "a", 61.5)]


def test_an_axis_that_a_cell_lacks_is_null(tmp_path: Path) -> None:
    results = Results(tmp_path)
    by_hand.write_plan(results, {"a": {"loss": "x", "temperature": 0.1}, "b": {"loss": "y"}})
    assert rows(results, "SELECT loss, temperature FROM mine ORDER BY key") == [("x", 0.1), ("y", None)]


def test_an_attempt_has_its_host_device_and_code(tmp_path: Path) -> None:
    results = Results(tmp_path)
    by_hand.write_trial(results, "a", environment={"host": "h", "device": "NVIDIA H100", "code": "c0de"})
    by_hand.write_trial(results, "a", environment={"host": "h", "device": None})
    by_hand.write_trial(results, "a")
    assert rows(results, "SELECT host, device, code FROM attempts ORDER BY number") == [
        ("h", "NVIDIA H100", "c0de"),
        ("h", "cpu", None),
        ("elsewhere", "cpu", None),
    ]


def test_a_trial_has_its_trainer_and_recipe_version(tmp_path: Path) -> None:
    by_hand.write_trial(Results(tmp_path), "a")
    assert rows(Results(tmp_path), "SELECT trainer, recipe_version FROM trials") == [("a:b", 3)]


def test_numbers_of_another_trainer_may_be_of_any_type(tmp_path: Path) -> None:
    by_hand.write_trial(Results(tmp_path), "a", numbers={"top1": "high", "loss": None, "images": 5, "x": [1]})
    by_hand.write_plan(Results(tmp_path), {"a": {}})
    found = rows(Results(tmp_path), "SELECT state, value, top1, images, x FROM mine")
    assert found == [("done", None, None, 5, "[1]")]


def test_the_leftover_of_an_interrupted_removal_is_not_a_trial(tmp_path: Path) -> None:
    add_trial(Results(tmp_path), "a", top1=50.0)
    (tmp_path / "trials" / ".b.12-0123abcd").mkdir()
    assert rows(Results(tmp_path), "SELECT key FROM trials") == [("a",)]


@pytest.mark.parametrize("environment", ['{"host"', "[1]", ""])
def test_a_trial_with_an_unreadable_environment_still_has_its_result(tmp_path: Path, environment: str) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=50.0)
    (results.trial("a").attempt_folders()[0] / "env.json").write_text(environment)
    assert rows(results, "SELECT state, (numbers ->> 'top1')::DOUBLE FROM trials") == [("done", 50.0)]
    assert rows(results, "SELECT host, environment FROM attempts") == [("elsewhere", None)]


def test_a_seed_outside_the_range_of_a_column_leaves_other_trials_readable(tmp_path: Path) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=50.0)
    add_trial(results, "b", top1=60.0, seed=2**64)
    assert rows(results, "SELECT key, seed, (numbers ->> 'top1')::DOUBLE FROM trials ORDER BY key") == [
        ("a", 0, 50.0),
        ("b", None, 60.0),
    ]


def test_the_store_is_synced_before_it_takes_the_place_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", 50.0)
    synced: list[int] = []
    at_rename: list[int] = []
    fsync, replace = os.fsync, Path.replace

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        at_rename.extend(synced)
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", renamed)
    open_store(results).close()
    assert results.database.stat().st_ino in at_rename
    assert synced[-1] == tmp_path.stat().st_ino


def test_a_trial_is_known_to_be_done_only_while_its_result_has_not_changed(tmp_path: Path) -> None:
    results, keys = Results(tmp_path), list("abcdefg")
    assert done_before(results, keys, "top1") == set()
    for key in keys[:-1]:
        add_trial(results, key, 50.0 if key != "f" else None)
    open_store(results).close()
    assert done_before(results, keys, "top1") == set("abcde")
    metrics = results.trial("a").attempts / "001-local/metrics.jsonl"
    os.utime(metrics, ns=(1, 1))
    write_json(results.trial("b").trial, {"key": "b", "pretrain_key": "pb", "config": {}})
    results.trial("c").result.unlink()
    results.trial("d").new_attempt("local")
    assert done_before(results, keys, "top1") == {"a", "d", "e"}  # another attempt makes no result undone
    assert [read_state(results.trial(key), 0.0).status.state for key in "ade"] == ["done"] * 3
    results.database.touch()  # by something else than ablate
    assert done_before(results, keys, "top1") == set()


def test_a_large_plan_believes_no_changed_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(tmp_path)
    for key in "abc":
        add_trial(results, key, 50.0)
    open_store(results).close()
    results.trial("b").result.write_text("{}")
    monkeypatch.setattr("ablate.run.history._MANY", 3)
    read: list[str] = []
    monkeypatch.setattr(
        "ablate.run.history.read_state", lambda folder, now: read.append(folder.path.name) or read_state(folder, now)
    )
    trials: Any = {key: SimpleNamespace(label=key) for key in ("a", "b", "c", "new")}
    found = recorded_states(trials, results, "top1")
    assert found.states == {"a": "done", "b": "damaged", "c": "done", "new": "new"}
    assert found.remarks == ("the record of b (b) is damaged: result.json has no metrics; a run trains it again",)
    assert read == ["b", "new"]


def test_a_plan_says_which_trials_lack_the_metric_also_if_the_store_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path)
    for key in "ab":
        add_trial(results, key, 50.0)
    write_json(results.trial("b").result, {"key": "b", "attempt": "001-local", "metrics": {"top1": "50", "loss": 2.5}})
    open_store(results).close()
    trials: Any = {key: SimpleNamespace(label=key) for key in "ab"}
    for many in (3, 2):
        monkeypatch.setattr("ablate.run.history._MANY", many)
        found = recorded_states(trials, results, "top1")
        assert found.states == {"a": "done", "b": "done"}
        assert found.remarks == ("1 trial finished but did not return 'top1' as a number; it returned loss",)


def settle(folder: Path, seconds: float = 60.0) -> None:
    """Give a folder an earlier time, as if it had not changed for long."""
    before = time.time() - seconds
    os.utime(folder, (before, before))


def changed(results: Results, known: dict[str, str]) -> bool:
    """Whether the trial's signature differs from the one before."""
    return signatures(results, known) != known


@pytest.mark.parametrize("extra", ["002-local", "1 2", "-", "note", "a b c"])
@pytest.mark.parametrize("settled", [True, False])
def test_whatever_changes_in_a_done_trial_changes_its_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str, settled: bool
) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=61.5)
    attempts = results.trial("a").attempts
    (attempts / extra).mkdir()
    if settled:
        settle(attempts)
    known = signatures(results)
    monkeypatch.setattr(time, "time_ns", lambda: 1 << 62)
    assert not changed(results, known), "of nothing but the age of a folder"
    monkeypatch.undo()
    for name in ("metrics.jsonl", "events.jsonl"):
        (attempts / extra / name).write_text("{}\n")
        assert changed(results, known), "of a file that is new"
        known = signatures(results)
        (attempts / extra / name).write_text("{ }\n")
        assert changed(results, known), "of a file that was edited in place"
        known = signatures(results)
    (attempts / "003-local").mkdir()
    (attempts / "003-local" / "events.jsonl").touch()
    assert changed(results, known)
    known = signatures(results)
    shutil.rmtree(attempts / extra)
    assert changed(results, known)


def test_attempts_of_a_folder_that_has_just_changed_are_listed_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path)
    add_trial(results, "a", top1=61.5)
    attempts = results.trial("a").attempts
    at = attempts.stat().st_mtime_ns
    monkeypatch.setattr(time, "time_ns", lambda: at + 10**9)
    known = signatures(results)
    assert not changed(results, known)
    (attempts / "002-local").mkdir()
    (attempts / "002-local" / "events.jsonl").touch()
    os.utime(attempts, ns=(at, at))  # as on a file system with coarse times
    assert changed(results, known)
