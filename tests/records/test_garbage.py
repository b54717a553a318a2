import json
import os
import platform
import shutil
import time
from pathlib import Path

import pytest

from ablate.errors import AblateError, UserError
from ablate.records import garbage
from ablate.records.attempt import AttemptStatus, trial_status
from ablate.records.coordination import claim
from ablate.records.files import Results, TrialFolder, write_json
from ablate.records.garbage import Garbage, find_garbage, left_alone, remove
from ablate.records.store import open_store
from tests.records.by_hand import key_of, make_old, write_plan, write_trial

WANTED, OTHER, ABANDONED = key_of(1), key_of(2), key_of(3)


def pretraining_of(key: str) -> str:
    return f"{key[:4]}".ljust(64, "e")


P1, P2, P3 = map(pretraining_of, (WANTED, OTHER, ABANDONED))
CODE, OLD_CODE, YOUNG_CODE = (digit * 16 for digit in "cdf")
PICTURE = f"{key_of(7)}.json"


def kinds(found: list[Garbage]) -> list[tuple[str, str]]:
    return [(item.kind, item.path.name) for item in found]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Two studies' trials and one of a design that was given up, all two days old."""
    results = Results(tmp_path / "results")
    for key in (WANTED, OTHER, ABANDONED):
        write_trial(results, key, pretrain_key=pretraining_of(key))
        write_json(results.pretrained(pretraining_of(key)) / "final-1.pt", {})
    write_plan(results, {WANTED: {"size": 1}, ABANDONED: {"size": 2}}, design="old")
    write_plan(results, {WANTED: {"size": 1}}, design="new")
    write_plan(results, {OTHER: {"size": 1}}, study="second", profile="small")
    make_old(results.root)
    return results


def test_a_result_of_an_earlier_design_stays_unless_abandoned_ones_are_included(results: Results) -> None:
    assert find_garbage(results, time.time(), recent=True) == []
    assert kinds(find_garbage(results, time.time(), abandoned=True))[0] == ("trial", ABANDONED)


def test_an_unfinished_trial_of_an_earlier_design_is_garbage(results: Results) -> None:
    results.trial(ABANDONED).result.unlink()
    write_trial(results, ABANDONED, state="failed", pretrain_key=P3)
    make_old(results.root)
    found = find_garbage(results, time.time())
    assert [item.why for item in found] == ["only in earlier study versions, and not done", "not used by any trial"]


def test_a_finished_trial_in_no_plan_is_garbage(results: Results) -> None:
    write_trial(results, key_of(9))
    make_old(results.root)
    found = find_garbage(results, time.time())
    assert [(item.kind, item.path.name, item.why) for item in found] == [
        ("trial", key_of(9), "in no study's plan"),
    ]


def test_a_trial_that_shares_the_pretraining_of_a_kept_trial_is_kept(results: Results) -> None:
    write_trial(results, ABANDONED, pretrain_key=P1)
    make_old(results.root)
    assert kinds(find_garbage(results, time.time(), abandoned=True)) == [("pretraining", P3)]


def test_a_trial_of_an_abandoned_design_is_removed_with_its_pretraining_only(results: Results) -> None:
    found = find_garbage(results, time.time(), abandoned=True)
    assert kinds(found) == [("trial", ABANDONED), ("pretraining", P3)]
    assert [item.path for item in remove(found)] == [item.path for item in found]
    assert sorted(path.name for path in results.trials.iterdir()) == [WANTED, OTHER]
    assert sorted(path.name for path in (results.root / "pretrained").iterdir()) == [P1, P2]
    with open_store(results) as store:
        assert store.execute("SELECT key FROM trials ORDER BY key").fetchall() == [(WANTED,), (OTHER,)]


def test_nothing_is_removed_twice_and_nothing_is_left_behind(results: Results) -> None:
    found = find_garbage(results, time.time(), abandoned=True)
    assert len(list(remove(found))) == 2
    assert list(remove(found)) == []
    assert find_garbage(results, time.time() + 10 * 86_400, abandoned=True) == []


def test_a_running_trial_stays_and_so_does_a_recent_one_by_default(results: Results) -> None:
    write_trial(results, ABANDONED, pretrain_key=P3)
    running = key_of(4)
    write_trial(results, running, state="running")
    assert find_garbage(results, time.time(), abandoned=True) == []
    found = find_garbage(results, time.time(), recent=True, abandoned=True)
    assert kinds(found) == [("trial", ABANDONED), ("pretraining", P3)]


def test_a_trial_that_has_started_since_stays_with_its_pretraining(results: Results) -> None:
    found = find_garbage(results, time.time(), abandoned=True)
    assert len(found) == 2
    with claim(results.trial(ABANDONED)):
        assert list(remove(found)) == []
    assert results.trial(ABANDONED).result.exists()
    assert results.pretrained(P3).is_dir()


def test_no_process_can_claim_a_trial_while_its_folder_is_renamed(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    (item, _) = find_garbage(results, time.time(), abandoned=True)
    taken: list[str] = []

    def rename(path: Path, target: Path) -> None:
        with claim(results.trial(path.name)) as whose:
            taken.append(whose)
        os.rename(path, target)  # noqa: PTH104

    monkeypatch.setattr(Path, "rename", rename)
    assert list(remove([item])) == [item]
    assert taken == ["theirs"]


def test_files_that_disappear_during_the_search_raise_no_error(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    leftover = results.trial(WANTED).path / ".result.json.4194999-0123abcd"
    leftover.write_text("half")
    make_old(results.root)
    expected = kinds(find_garbage(results, time.time(), abandoned=True))
    vanishing = {".result.json.4194999-0123abcd", "heartbeat", "final-1.pt"}
    lstat = Path.lstat

    def gone(path: Path) -> os.stat_result:
        if path.name in vanishing:
            raise FileNotFoundError(path)
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", gone)
    found = find_garbage(results, time.time(), abandoned=True)
    assert kinds(found) == [item for item in expected if item[0] != "leftover"]
    assert len(list(remove(found))) == 2


def test_a_trial_that_disappears_during_the_search_is_not_garbage(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(folder: TrialFolder, now: float) -> AttemptStatus:
        found = trial_status(folder, now)
        shutil.rmtree(folder.path)
        return found

    monkeypatch.setattr(garbage, "trial_status", vanish)
    found = find_garbage(results, time.time(), abandoned=True)
    assert "trial" not in dict(kinds(found))


def test_checkpoints_of_finished_pretrainings_are_removed_only_on_request(results: Results) -> None:
    write_trial(results, key_of(5), state="failed", pretrain_key=P2)
    write_plan(results, {key_of(5): {"size": 3}}, study="third")
    found = find_garbage(results, time.time(), checkpoints=True, abandoned=True)
    assert kinds(found) == [("trial", ABANDONED), ("checkpoints", P1), ("pretraining", P3)]


def test_code_stays_while_a_kept_attempt_used_it(results: Results) -> None:
    write_trial(results, WANTED, environment={"code": CODE})
    for digest in (CODE, OLD_CODE, YOUNG_CODE):
        write_json(results.code / digest / "code.json", {})
    make_old(results.root)
    write_json(results.code / YOUNG_CODE / "code.json", {})
    found = find_garbage(results, time.time(), recent=True)
    assert [name for kind, name in kinds(found) if kind == "code"] == [OLD_CODE]


def test_pictures_are_removed_after_a_month_without_use_or_on_request(results: Results) -> None:
    write_json(results.pictures / PICTURE, {})
    make_old(results.pictures, days=29)
    assert find_garbage(results, time.time()) == []
    (recent,) = find_garbage(results, time.time(), recent=True)
    assert (recent.path.name, recent.why) == (PICTURE, "drawn again when needed")
    make_old(results.pictures, days=31)
    (found,) = find_garbage(results, time.time())
    assert [item.path for item in remove([found])] == [results.pictures / PICTURE]
    assert not found.path.exists()


def test_temporary_files_and_folders_older_than_a_day_are_removed_anywhere(results: Results) -> None:
    leftovers = [
        results.root / ".ablate.duckdb.4194999-0123abcd",
        results.trial(WANTED).path / ".result.json.4194999-0123abcd",
        results.pretrained(P1) / ".step-000000001-0.pt.4194999.part",
    ]
    for path in leftovers:
        path.write_text("half")
    folder = results.code / ".c0de.4194999-0123abcd"
    write_json(folder / "code.json", {})
    make_old(results.root)
    young = results.root / ".ablate.duckdb.13-0123abcd"
    kept = results.trial(WANTED).path / ".claim"
    young.touch(), kept.touch()
    found = find_garbage(results, time.time())
    assert {item.path for item in found if item.kind == "leftover"} == {*leftovers, folder}
    list(remove(found))
    assert [path.exists() for path in (*leftovers, folder, young, kept)] == [False] * 4 + [True] * 2


def test_what_a_killed_attempt_leaves_is_removed_once_no_attempt_runs_there(results: Results) -> None:
    running, dead = key_of(6), key_of(7)
    for key in (running, dead):
        write_plan(results, {key: {"size": 1}}, study=f"of {key[:4]}")
        attempt = write_trial(results, key, state="running", host=platform.node())
        (attempt / ".reserve").touch()
        set_pid(attempt, os.getpid() if key == running else 2**22 + 1)
    make_old(results.root)
    (results.trial(running).attempts / "001-local/heartbeat").touch()
    found = [item.path for item in find_garbage(results, time.time()) if item.kind == "leftover"]
    assert found == [results.trial(dead).attempts / "001-local/.reserve"]


def set_pid(attempt: Path, pid: int) -> None:
    events = attempt / "events.jsonl"
    events.write_text(events.read_text().replace('"pid": 1,', f'"pid": {pid},'))


@pytest.mark.parametrize(
    "name",
    [
        *(".ablate.duckdb.{pid}-0123abcd", ".ablate.duckdb.{pid}-0123abcd.wal", "trials/.0001.{pid}-0123abcd"),
        *("studies/mine/.plan-3.json.{pid}-0123abcd", "published/.mine.parquet.{pid}-0123abcd"),
        *("code/.c0de.{pid}-0123abcd", "pretrained/.step-1.pt.{pid}.part"),
    ],
)
def test_what_a_process_writes_stays_while_a_process_has_its_id_but_not_for_ever(results: Results, name: str) -> None:
    own, gone = (results.root / name.format(pid=pid) for pid in (os.getpid(), 2**22 + 1))
    own.parent.mkdir(exist_ok=True)
    own.touch(), gone.touch()
    assert find_garbage(results, time.time()) == []
    make_old(results.root)
    assert [item.path for item in find_garbage(results, time.time())] == [gone]
    make_old(results.root, days=32)
    assert {item.path for item in find_garbage(results, time.time())} == {own, gone}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder outside, which looks like a trial; all of its times are old."""
    write_trial(Results(tmp_path / "other"), key_of(8), state="failed")
    write_json(tmp_path / "other/trials/ended", {})
    make_old(tmp_path / "other")
    return tmp_path / "other/trials"


def stand(folder: Path) -> dict[str, tuple[int, int]]:
    """Path -> times of everything in a folder."""
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize("target", ["folder", "file", "nowhere"])
def test_links_in_place_of_records_are_removed_themselves_and_never_followed(
    results: Results, elsewhere: Path, target: str
) -> None:
    before = stand(elsewhere)
    aim = {"folder": elsewhere / key_of(8), "file": elsewhere / "ended", "nowhere": elsewhere / "none"}[target]
    unneeded = [
        results.trials / key_of(9),
        results.pretrained(pretraining_of(key_of(6))),
        results.code / OLD_CODE,
        results.pictures / PICTURE,
        results.root / "studies/mine/.plan-1.json.4194999-0123abcd",
    ]
    needed = [results.pretrained(P2)]
    within = [
        results.trial(ABANDONED).path / ".claim",
        results.trial(ABANDONED).attempts / "002-local",
        results.pretrained(P3) / "link",
    ]
    shutil.rmtree(needed[0])
    (results.trial(ABANDONED).path / ".claim").unlink(missing_ok=True)
    for link in (*unneeded, *needed, *within):
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(aim)
        os.utime(link, (1, 1), follow_symlinks=False)
    then = time.time() - 2 * 86_400
    for path in results.root.rglob("*"):
        os.utime(path, (then, then), follow_symlinks=False)
    os.utime(results.pictures / PICTURE, (1, 1), follow_symlinks=False)
    found = find_garbage(results, time.time(), abandoned=True)
    removed = {item.path for item in remove(found)}
    assert removed == {*unneeded, results.trial(ABANDONED).path, results.pretrained(P3)}
    assert not any(os.path.lexists(path) for path in removed)
    assert all(path.is_symlink() for path in needed)
    assert stand(elsewhere) == before
    assert all(item.why.endswith("; a link, whose target stays") for item in found if item.path in unneeded)


def test_a_planned_trial_behind_a_link_stays_and_keeps_its_pretraining(results: Results, tmp_path: Path) -> None:
    moved = results.trial(ABANDONED).path.rename(tmp_path / "moved")
    results.trial(ABANDONED).path.symlink_to(moved)
    make_old(results.root)
    assert find_garbage(results, time.time()) == []
    moved.rename(tmp_path / "moved again")
    assert find_garbage(results, time.time()) == []


@pytest.mark.parametrize("part", ["trials", "pretrained", "code", "slurm", "pictures"])
def test_nothing_is_removed_from_a_part_that_is_a_link(results: Results, tmp_path: Path, part: str) -> None:
    for path in (results.code / OLD_CODE / "code.json", results.root / "slurm/one/ended", results.pictures / PICTURE):
        write_json(path, {})
    make_old(results.root, days=40)
    moved = (results.root / part).rename(tmp_path / "moved")
    (results.root / part).symlink_to(moved)
    before = stand(moved)
    kinds_of = {"trials": "trial", "pretrained": "pretraining", "code": "code", "slurm": "jobs", "pictures": "picture"}
    found = find_garbage(results, time.time(), abandoned=True, checkpoints=True)
    expected = {"trial", "pretraining", "checkpoints", "code", "jobs", "picture"} - {kinds_of[part]}
    if part == "trials":
        expected -= {"pretraining"}  # its trial stays
    assert {item.kind for item in found} == expected - ({"checkpoints"} if part == "pretrained" else set())
    list(remove(found))
    assert stand(moved) == before
    assert left_alone(results) == [results.root / part]


def test_an_item_that_cannot_be_removed_is_named_and_the_others_go(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_garbage(results, time.time(), abandoned=True)
    rename = Path.rename

    def denied(path: Path, target: Path) -> Path:
        if path.name == ABANDONED:
            raise PermissionError(13, "Permission denied", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(AblateError, match=f"could not be removed: .*{ABANDONED}: Permission denied") as caught:
        list(remove(found))
    assert caught.value.exit_code == 1
    assert not results.pretrained(P3).exists()


def test_what_could_be_removed_only_in_part_is_named_by_its_new_place(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", denied)
    with pytest.raises(AblateError) as caught:
        list(remove(find_garbage(results, time.time(), abandoned=True)[:1]))
    (left,) = results.trials.glob(".*")
    assert f"{left}: Permission denied" in str(caught.value)


def test_what_another_process_has_just_removed_is_neither_made_again_nor_counted(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_garbage(results, time.time(), abandoned=True)
    assert len(list(remove(found))) == 2
    monkeypatch.setattr(os.path, "lexists", lambda path: True)  # it was there a moment ago
    assert list(remove(found)) == []
    assert not results.trial(ABANDONED).path.exists()


def test_the_size_of_a_folder_excludes_the_targets_of_links(results: Results) -> None:
    (results.trial(ABANDONED).path / "link").symlink_to(results.root)
    before = sum(path.lstat().st_size for path in results.trial(ABANDONED).path.rglob("*") if not path.is_dir())
    found = find_garbage(results, time.time(), recent=True, abandoned=True)
    (item,) = [item for item in found if item.kind == "trial"]
    assert item.size == before
    list(remove([item]))
    assert results.trial(WANTED).result.exists()


def test_without_any_plan_no_trial_is_garbage(tmp_path: Path) -> None:
    write_trial(Results(tmp_path), WANTED)
    with pytest.raises(UserError, match="contains no plan, so every trial would be removed"):
        find_garbage(Results(tmp_path), time.time())


def test_a_plan_that_cannot_be_read_stops_everything(results: Results) -> None:
    (results.plans("mine") / "plan-3.json").write_text('{"profile"')
    with pytest.raises(UserError, match="cannot be read"):
        find_garbage(results, time.time())


@pytest.mark.parametrize("part", ["trials", "studies", "studies/second", "slurm", "slurm/one"])
def test_a_link_to_a_disk_that_is_not_mounted_stops_everything(results: Results, part: str) -> None:
    (results.root / "slurm/one").mkdir(parents=True)
    (results.root / part).rename(results.root.parent / "unmounted")
    (results.root / part).symlink_to("nowhere")
    with pytest.raises(UserError, match=f"{part} cannot be read .*nothing was removed"):
        find_garbage(results, time.time(), recent=True, abandoned=True)


def test_a_link_to_a_file_beside_plans_or_jobs_stops_nothing_and_one_in_place_of_them_everything(
    results: Results, elsewhere: Path
) -> None:
    results.submissions.mkdir()
    links = [results.root / "studies/note.md", results.submissions / "latest.log"]
    for link in links:
        link.symlink_to(elsewhere / "ended")
    assert ("trial", ABANDONED) in kinds(find_garbage(results, time.time(), abandoned=True))
    assert all(link.is_symlink() for link in links)
    shutil.rmtree(results.submissions)
    results.submissions.symlink_to(elsewhere / "ended")
    with pytest.raises(UserError, match="slurm cannot be read"):
        find_garbage(results, time.time(), abandoned=True)


def test_what_has_another_name_than_ablate_gives_stays(results: Results) -> None:
    names = ("trials/notes/a", "code/mine/a.py", "pretrained/best/final-1.pt", "pictures/a.json", "notes/.x.1-0123abcd")
    for name in (*names, f"pretrained/{P1}.copy/final-1.pt", ".movie.2024.part"):
        (results.root / name).parent.mkdir(parents=True, exist_ok=True)
        (results.root / name).write_text("mine")
    make_old(results.root, days=40)
    assert find_garbage(results, time.time()) == []


def test_an_imported_trial_stays_even_in_no_plan(results: Results) -> None:
    attempt = write_trial(results, key_of(9))
    attempt.rename(attempt.with_name("001-import"))
    make_old(results.root)
    assert find_garbage(results, time.time()) == []


def test_a_damaged_trial_keeps_every_pretraining(results: Results) -> None:
    results.trial(WANTED).trial.write_text("{")
    assert kinds(find_garbage(results, time.time(), abandoned=True)) == [("trial", ABANDONED)]
    assert json.loads((results.pretrained(P3) / "final-1.pt").read_text()) == {}


def test_queued_trials_stay_with_their_code_and_files_of_ended_jobs_are_removed(results: Results) -> None:
    results.trial(ABANDONED).result.unlink()
    write_trial(results, ABANDONED, state="failed", pretrain_key=P3)
    (results.code / CODE).mkdir(parents=True)
    arrays = [{"shares": [{"keys": [ABANDONED]}]}]
    folder = results.root / "slurm" / "one"
    write_json(folder / "submission.json", {"code": str(results.code / CODE), "arrays": arrays})
    make_old(results.root)
    assert find_garbage(results, time.time()) == []
    (folder / "ended").touch()
    make_old(results.root)
    found = kinds(find_garbage(results, time.time()))
    assert found == [("trial", ABANDONED), ("pretraining", P3), ("code", CODE), ("jobs", "one")]


@pytest.mark.parametrize("text", ["{", "[]", '{"code": 1, "arrays": []}', '{"code": "c", "arrays": [{"shares": 3}]}'])
def test_a_damaged_submission_whose_jobs_may_run_stops_everything(results: Results, text: str) -> None:
    folder = results.root / "slurm/one"
    folder.mkdir(parents=True)
    assert find_garbage(results, time.time()) == []
    (folder / "submission.json").write_text(text)
    with pytest.raises(UserError, match=r"submission.json cannot be read"):
        find_garbage(results, time.time())
    (folder / "ended").touch()
    assert find_garbage(results, time.time()) == []


@pytest.mark.parametrize("odd", [[], {}, 1, None])
def test_an_odd_pretraining_of_a_trial_keeps_every_pretraining(results: Results, odd: object) -> None:
    path = results.trial(WANTED).trial
    write_json(path, json.loads(path.read_text()) | {"pretrain_key": odd})
    found = find_garbage(results, time.time(), recent=True, abandoned=True)
    assert kinds(found) == [("trial", ABANDONED)]


def test_checkpoints_of_a_trial_with_a_damaged_result_stay(results: Results) -> None:
    results.trial(OTHER).result.write_text("{")
    make_old(results.root)
    assert kinds(find_garbage(results, time.time(), checkpoints=True))[0] == ("checkpoints", P1)
    assert ("checkpoints", P2) not in kinds(find_garbage(results, time.time(), checkpoints=True))
