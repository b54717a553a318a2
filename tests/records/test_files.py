import errno
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ablate.records.files import Results, TrialFolder, write_json
from ablate.records.plans import load_plans
from tests.records.by_hand import key_of, write_plan


def test_attempts_that_start_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    folder = Results(tmp_path).trial("k")
    with ThreadPoolExecutor(16) as pool:
        paths = list(pool.map(lambda worker: folder.new_attempt(f"w{worker}"), range(64)))
    assert sorted(path.name[:3] for path in paths) == [f"{number:03d}" for number in range(1, 65)]


def test_a_number_is_given_once_although_its_reservation_is_gone_and_a_listing_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Results(tmp_path).trial("k")
    folder.new_attempt("first")
    folder.free_numbers()
    assert [path.name for path in folder.attempts.iterdir()] == ["001-first"]
    true_listing, stale = TrialFolder.attempt_folders, iter([[]])
    monkeypatch.setattr(TrialFolder, "attempt_folders", lambda self: next(stale, true_listing(self)))
    assert folder.new_attempt("second").name == "002-second"


def test_the_number_of_an_attempt_whose_folder_is_not_made_yet_stays_reserved(tmp_path: Path) -> None:
    folder = Results(tmp_path).trial("k")
    folder.new_attempt("first")
    (folder.attempts / ".002").touch()
    folder.free_numbers()
    assert folder.new_attempt("third").name == "003-third"


def test_attempts_are_listed_oldest_first_beyond_the_thousandth(tmp_path: Path) -> None:
    folder = Results(tmp_path).trial("k")
    for name in ("1000-local", "002-local", "999-local"):
        (folder.attempts / name).mkdir(parents=True)
    assert [path.name for path in folder.attempt_folders()] == ["002-local", "999-local", "1000-local"]
    assert folder.new_attempt("local").name == "1001-local"


@pytest.mark.parametrize("stray", ["999999999", "999999", "1000001", "1000000000", "9" * 20, "9" * 200])
def test_a_stray_number_never_leads_to_one_that_is_not_read(tmp_path: Path, stray: str) -> None:
    results = Results(tmp_path)
    folder = results.trial("k")
    (folder.attempts / f"{stray}-x").mkdir(parents=True)
    made = [folder.new_attempt("local") for _ in range(3)]
    assert folder.attempt_folders()[-3:] == made
    results.plans("mine").mkdir(parents=True)
    (results.plans("mine") / f"plan-{stray}.json").touch()
    for size in range(3):
        write_plan(results, {key_of(number): {"size": number} for number in range(size + 1)})
        assert len(load_plans(results, "mine")[-1].trials) == size + 1


def test_a_file_is_the_old_one_whole_when_writing_the_new_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"top1": 1})

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"top1": 2})
    assert json.loads(path.read_text()) == {"top1": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_nan_is_never_written_as_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})


def test_a_file_that_stands_is_written_although_its_folder_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def of_files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", of_files_only)
    write_json(tmp_path / "result.json", {"key": "k"})
    assert json.loads((tmp_path / "result.json").read_text()) == {"key": "k"}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
