import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from ablate.simclr.checkpoint import Checkpoints


def state(number: int) -> dict[str, Any]:
    return {"done": number, "weights": torch.full((3,), float(number))}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_last_two_checkpoints_are_kept_and_the_newest_is_read(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path / "new", "me")
    for step in (5, 10, 100):
        store.save(state(step), step)
    assert [name[:14] for name in names(tmp_path / "new")] == ["step-000000010", "step-000000100"]
    newest = store.newest()
    assert newest is not None
    assert newest["done"] == 100
    assert torch.equal(newest["weights"], torch.full((3,), 100.0))


def test_a_folder_without_checkpoints_has_none(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path / "missing", "me")
    assert store.newest() is None
    assert store.final() is None


def test_a_checkpoint_carries_its_own_hash_and_loads_with_weights_only(tmp_path: Path) -> None:
    path = Checkpoints(tmp_path, "me").save(state(7), 7)
    assert path.stem.split("-")[-1] == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert torch.load(path, weights_only=True)["done"] == 7


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before_it_with_a_word(tmp_path: Path, damage: str) -> None:
    said: list[str] = []
    store = Checkpoints(tmp_path, "me", said.append)
    store.save(state(1), 1)
    path = store.save(state(2), 2)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes({"cut": content[:-10], "flip": content, "empty": b""}[damage])
    found = store.newest()
    assert found is not None
    assert found["done"] == 1
    assert said == [f"checkpoint {path} is damaged; going on from the one before it"]
    assert not path.exists()


def test_the_end_takes_the_place_of_what_led_to_it(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path, "me")
    store.save(state(1), 1)
    store.finish(state(2))
    assert len(names(tmp_path)) == 1
    final = store.final()
    assert final is not None
    assert final["done"] == 2
    assert store.newest() is None


def test_a_disk_that_fills_leaves_the_checkpoint_before_and_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Checkpoints(tmp_path, "me")
    store.save(state(1), 1)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        store.save(state(2), 2)
    assert Path(caught.value.filename).name.startswith("step-000000002")
    assert [name[:14] for name in names(tmp_path)] == ["step-000000001"]


def test_what_is_saved_after_later_steps_were_damaged_is_kept(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path, "me", lambda message: None)
    for step in (90, 100):
        store.save(state(step), step).write_bytes(b"")
    assert store.newest() is None
    store.save(state(10), 10)
    newest = store.newest()
    assert newest is not None
    assert newest["done"] == 10


@pytest.mark.parametrize("kind", ["newest", "final"])
def test_a_state_of_other_settings_is_never_used(tmp_path: Path, kind: str) -> None:
    other = Checkpoints(tmp_path, "other")
    other.save(state(1), 1) if kind == "newest" else other.finish(state(1))
    with pytest.raises(ValueError, match="belongs to other settings; use another folder, or delete it"):
        getattr(Checkpoints(tmp_path, "me"), kind)()


def test_a_folder_is_trained_in_by_one_process_at_a_time(tmp_path: Path) -> None:
    said: list[str] = []
    first, second = Checkpoints(tmp_path, "me"), Checkpoints(tmp_path, "me", said.append)
    with first.alone(lambda: False) as alone:
        assert alone
        with second.alone(lambda: bool(said)) as also:
            assert not also  # it waited, and was told to stop
    assert said == [f"waiting for another process that trains in {tmp_path}"]
    with second.alone(lambda: True) as alone:
        assert alone
