import json
import os
import shutil
import time
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.records import garbage
from ablate.records.attempt import AttemptStatus, trial_status
from ablate.records.claim import claim
from ablate.records.files import Results, TrialFolder, write_json
from ablate.records.garbage import Garbage, find_garbage, remove
from ablate.records.store import open_store
from tests.records.by_hand import key_of, make_old, write_plan, write_trial

WANTED, OTHER, ABANDONED = key_of(1), key_of(2), key_of(3)


def kinds(found: list[Garbage]) -> list[tuple[str, str]]:
    return [(item.kind, item.path.name) for item in found]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Two studies' trials and one of a design that was given up, all two days old."""
    results = Results(tmp_path / "results")
    for key in (WANTED, OTHER, ABANDONED):
        write_trial(results, key, pretrain_key=f"p{key[:4]}")
        write_json(results.pretrained(f"p{key[:4]}") / "final-1.pt", {})
    write_plan(results, {WANTED: {"size": 1}, ABANDONED: {"size": 2}}, design="old")
    write_plan(results, {WANTED: {"size": 1}}, design="new")
    write_plan(results, {OTHER: {"size": 1}}, study="second", profile="small")
    make_old(results.root)
    return results


def test_a_result_of_an_older_design_stays_unless_abandoned_ones_are_asked_for(results: Results) -> None:
    assert find_garbage(results, time.time(), young=True) == []
    assert kinds(find_garbage(results, time.time(), abandoned=True))[0] == ("trial", ABANDONED)


def test_a_trial_of_an_older_design_that_never_finished_goes(results: Results) -> None:
    results.trial(ABANDONED).result.unlink()
    write_trial(results, ABANDONED, state="failed", pretrain_key="p0003")
    make_old(results.root)
    found = find_garbage(results, time.time())
    assert [item.why for item in found] == ["in no study's newest design, and not done", "no trial uses it"]


def test_a_trial_in_no_plan_goes_though_it_is_done(results: Results) -> None:
    write_trial(results, key_of(9))
    make_old(results.root)
    found = find_garbage(results, time.time())
    assert [(item.kind, item.path.name, item.why) for item in found] == [
        ("trial", key_of(9), "in no plan of any study"),
    ]


def test_a_trial_that_shares_the_pretraining_of_one_that_stays_stays_too(results: Results) -> None:
    write_trial(results, ABANDONED, pretrain_key="p0001")
    make_old(results.root)
    assert kinds(find_garbage(results, time.time(), abandoned=True)) == [("pretraining", "p0003")]


def test_a_trial_of_an_abandoned_design_goes_with_its_pretraining_and_no_other(results: Results) -> None:
    found = find_garbage(results, time.time(), abandoned=True)
    assert kinds(found) == [("trial", ABANDONED), ("pretraining", "p0003")]
    assert [item.path for item in remove(found)] == [item.path for item in found]
    assert sorted(path.name for path in results.trials.iterdir()) == [WANTED, OTHER]
    assert sorted(path.name for path in (results.root / "pretrained").iterdir()) == ["p0001", "p0002"]
    with open_store(results) as store:
        assert store.execute("SELECT key FROM trials ORDER BY key").fetchall() == [(WANTED,), (OTHER,)]


def test_nothing_is_removed_twice_and_nothing_is_left_behind(results: Results) -> None:
    found = find_garbage(results, time.time(), abandoned=True)
    assert len(list(remove(found))) == 2
    assert list(remove(found)) == []
    assert find_garbage(results, time.time() + 10 * 86_400, abandoned=True) == []


def test_a_running_trial_stays_and_so_does_a_young_one_unless_that_is_meant(results: Results) -> None:
    write_trial(results, ABANDONED, pretrain_key="p0003")
    running = key_of(4)
    write_trial(results, running, state="running")
    assert find_garbage(results, time.time(), abandoned=True) == []
    found = find_garbage(results, time.time(), young=True, abandoned=True)
    assert kinds(found) == [("trial", ABANDONED), ("pretraining", "p0003")]


def test_a_trial_that_somebody_took_meanwhile_stays_with_its_pretraining(results: Results) -> None:
    found = find_garbage(results, time.time(), abandoned=True)
    assert len(found) == 2
    with claim(results.trial(ABANDONED)):
        assert list(remove(found)) == []
    assert results.trial(ABANDONED).result.exists()
    assert results.pretrained("p0003").is_dir()


def test_nobody_can_take_a_trial_while_its_folder_is_renamed(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    (item, _) = find_garbage(results, time.time(), abandoned=True)
    taken: list[str] = []

    def rename(path: Path, target: Path) -> None:
        with claim(results.trial(path.name)) as whose:
            taken.append(whose)
        os.rename(path, target)  # noqa: PTH104

    monkeypatch.setattr(Path, "rename", rename)
    assert list(remove([item])) == [item]
    assert taken == ["theirs"]


def test_files_that_vanish_while_one_looks_stop_nothing(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    leftover = results.trial(WANTED).path / ".result.json.4711-0123abcd"
    leftover.write_text("half")
    make_old(results.root)
    expected = kinds(find_garbage(results, time.time(), abandoned=True))
    vanishing = {".result.json.4711-0123abcd", "heartbeat", "final-1.pt"}
    lstat = Path.lstat

    def gone(path: Path) -> os.stat_result:
        if path.name in vanishing:
            raise FileNotFoundError(path)
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", gone)
    found = find_garbage(results, time.time(), abandoned=True)
    assert kinds(found) == [item for item in expected if item[0] != "leftover"]
    assert len(list(remove(found))) == 2


def test_a_trial_that_vanishes_while_one_looks_is_no_garbage(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    def vanish(folder: TrialFolder, now: float) -> AttemptStatus:
        found = trial_status(folder, now)
        shutil.rmtree(folder.path)
        return found

    monkeypatch.setattr(garbage, "trial_status", vanish)
    found = find_garbage(results, time.time(), abandoned=True)
    assert "trial" not in dict(kinds(found))


def test_checkpoints_of_ended_pretrainings_go_only_when_asked_for(results: Results) -> None:
    write_trial(results, key_of(5), state="failed", pretrain_key="p0002")
    write_plan(results, {key_of(5): {"size": 3}}, study="third")
    found = find_garbage(results, time.time(), checkpoints=True, abandoned=True)
    assert kinds(found) == [("trial", ABANDONED), ("checkpoints", "p0001"), ("pretraining", "p0003")]


def test_code_stays_while_an_attempt_that_remains_ran_it(results: Results) -> None:
    write_trial(results, WANTED, environment={"code": "c0de"})
    for digest in ("c0de", "0ld", "y0ung"):
        write_json(results.code / digest / "code.json", {})
    make_old(results.root)
    write_json(results.code / "y0ung" / "code.json", {})
    found = find_garbage(results, time.time(), young=True)
    assert [name for kind, name in kinds(found) if kind == "code"] == ["0ld"]


def test_pictures_go_when_no_page_has_used_them_for_a_month_or_when_that_is_meant(results: Results) -> None:
    write_json(results.pictures / "0a.json", {})
    make_old(results.pictures, days=29)
    assert find_garbage(results, time.time()) == []
    assert kinds(find_garbage(results, time.time(), young=True)) == [("picture", "0a.json")]
    make_old(results.pictures, days=31)
    (found,) = find_garbage(results, time.time())
    assert [item.path for item in remove([found])] == [results.pictures / "0a.json"]
    assert not found.path.exists()


def test_temporary_files_and_folders_older_than_a_day_go_wherever_they_lie(results: Results) -> None:
    leftovers = [
        results.root / ".ablate.duckdb.12-0123abcd",
        results.trial(WANTED).path / ".result.json.4711-0123abcd",
        results.pretrained("p0001") / ".step-000000001-0.pt.4711.part",
    ]
    for path in leftovers:
        path.write_text("half")
    folder = results.code / ".c0de.7-0123abcd"
    write_json(folder / "code.json", {})
    make_old(results.root)
    young = results.root / ".ablate.duckdb.13-0123abcd"
    kept = results.trial(WANTED).path / ".claim"
    young.touch(), kept.touch()
    found = find_garbage(results, time.time())
    assert {item.path for item in found if item.kind == "leftover"} == {*leftovers, folder}
    list(remove(found))
    assert [path.exists() for path in (*leftovers, folder, young, kept)] == [False] * 4 + [True] * 2


def test_the_size_of_a_folder_is_that_of_its_files_and_not_of_what_links_point_to(results: Results) -> None:
    (results.trial(ABANDONED).path / "link").symlink_to(results.root)
    before = sum(path.lstat().st_size for path in results.trial(ABANDONED).path.rglob("*") if not path.is_dir())
    found = find_garbage(results, time.time(), young=True, abandoned=True)
    (item,) = [item for item in found if item.kind == "trial"]
    assert item.size == before
    list(remove([item]))
    assert results.trial(WANTED).result.exists()


def test_without_any_plan_no_trial_is_taken_for_garbage(tmp_path: Path) -> None:
    write_trial(Results(tmp_path), WANTED)
    with pytest.raises(UserError, match="holds no plan, so that every trial would go"):
        find_garbage(Results(tmp_path), time.time())


def test_a_plan_that_cannot_be_read_stops_everything(results: Results) -> None:
    (results.plans("mine") / "plan-3.json").write_text('{"profile"')
    with pytest.raises(UserError, match="cannot be read"):
        find_garbage(results, time.time())


def test_a_damaged_trial_keeps_every_pretraining(results: Results) -> None:
    results.trial(WANTED).trial.write_text("{")
    assert kinds(find_garbage(results, time.time(), abandoned=True)) == [("trial", ABANDONED)]
    assert json.loads((results.pretrained("p0003") / "final-1.pt").read_text()) == {}


def test_what_jobs_may_have_to_train_stays_with_its_code_and_what_ended_jobs_left_goes(results: Results) -> None:
    results.trial(ABANDONED).result.unlink()
    write_trial(results, ABANDONED, state="failed", pretrain_key="p0003")
    (results.code / "c0de").mkdir(parents=True)
    arrays = [{"shares": [{"keys": [ABANDONED]}]}]
    folder = results.root / "slurm" / "one"
    write_json(folder / "submission.json", {"code": str(results.code / "c0de"), "arrays": arrays})
    make_old(results.root)
    assert find_garbage(results, time.time()) == []
    (folder / "ended").touch()
    make_old(results.root)
    found = kinds(find_garbage(results, time.time()))
    assert found == [("trial", ABANDONED), ("pretraining", "p0003"), ("code", "c0de"), ("jobs", "one")]
