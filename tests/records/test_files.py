import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ablate.records.files import Results, write_json


def test_attempts_that_start_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    folder = Results(tmp_path).trial("k")
    with ThreadPoolExecutor(16) as pool:
        paths = list(pool.map(lambda worker: folder.new_attempt(f"w{worker}"), range(64)))
    assert sorted(path.name[:3] for path in paths) == [f"{number:03d}" for number in range(1, 65)]


def test_attempts_are_listed_oldest_first_beyond_the_thousandth(tmp_path: Path) -> None:
    folder = Results(tmp_path).trial("k")
    for name in ("1000-local", "002-local", "999-local"):
        (folder.attempts / name).mkdir(parents=True)
    assert [path.name for path in folder.attempt_folders()] == ["002-local", "999-local", "1000-local"]
    assert folder.new_attempt("local").name == "1001-local"


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


def test_a_number_that_is_none_is_never_written_as_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
