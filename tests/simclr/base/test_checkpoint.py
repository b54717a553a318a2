import contextlib
import errno
import hashlib
import io
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from ablate.simclr.base.checkpoint import Checkpoints


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


class Evil:
    """Its pickle makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_checkpoint_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    said: list[str] = []
    store = Checkpoints(tmp_path, "me", said.append)
    path = store.save({"done": 1, "weights": Evil(tmp_path / "made")}, 1)
    assert store.newest() is None
    assert said[0].startswith(f"{path} cannot be read, since torch cannot load it: Weights only load failed.")
    assert not (tmp_path / "made").exists()


def in_place_of(path: Path, what: str) -> None:
    """Put something else in the place of a checkpoint."""
    content = path.read_bytes()
    path.unlink()
    if what == "a folder":
        (path / "inner").mkdir(parents=True)
    elif what == "a pipe":
        os.mkfifo(path)
    elif what == "a socket":
        with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    elif what == "of another program":
        path.with_name(f"{path.name[:14]}-{hashlib.sha256(b'hello').hexdigest()[:16]}.pt").write_bytes(b"hello")
    elif what == "a list":
        buffer = io.BytesIO()
        torch.save([1], buffer)
        digits = hashlib.sha256(buffer.getvalue()).hexdigest()[:16]
        path.with_name(f"{path.name[:14]}-{digits}.pt").write_bytes(buffer.getvalue())
    elif what == "on a bad sector":
        path.write_bytes(content)
    else:
        path.symlink_to({"a link to nothing": "nothing", "a link to itself": path.name, "a device": "/dev/zero"}[what])


UNREADABLE = (
    "a folder", "a pipe", "a socket", "a link to nothing", "a link to itself", "a device", "of another program",
    "a list", "on a bad sector",
)  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_as_a_checkpoint_is_kept_aside_and_the_one_before_it_is_read(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    store = Checkpoints(tmp_path, "me", said.append)
    store.save(state(1), 1)
    path = store.save(state(2), 2)
    in_place_of(path, what)
    whole, failed = Path.read_bytes, list[Path]()

    def read_bytes(each: Path) -> bytes:
        if what == "on a bad sector" and not failed:
            failed.append(each)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return whole(each)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    found = store.newest()
    assert found is not None
    assert found["done"] == 1
    assert len(said) == 1
    assert " cannot be read, since " in said[0]
    (aside,) = tmp_path.glob("damaged-1-step-*")
    assert said[0].endswith(f"now named {aside.name}")
    assert store.save(state(2), 2) == path  # its name, which is that of its content, is free again
    newest = store.newest()
    assert newest is not None
    assert newest["done"] == 2


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", ["a folder", "a pipe", "a link to nothing"])
def test_what_is_not_a_checkpoint_hinders_neither_the_next_one_nor_the_end(tmp_path: Path, what: str) -> None:
    store = Checkpoints(tmp_path, "me", lambda message: None)
    in_place_of(store.finish(state(0)), what)
    assert store.final() is None
    in_place_of(store.save(state(1), 1), what)  # never read: newer ones are whole
    for step in (2, 3, 4):
        store.save(state(step), step)
    store.finish(state(5))
    final = store.final()
    assert final is not None
    assert final["done"] == 5
    assert [name[:15] for name in names(tmp_path)][:2] == ["damaged-1-final", "damaged-1-step-"]
    assert len(names(tmp_path)) == 3


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", ["a folder", "a pipe", "a link to another file"])
def test_the_lock_is_a_file_and_its_folder_a_folder(tmp_path: Path, what: str) -> None:
    folder, other = tmp_path / "mine", tmp_path / "other"
    other.write_text("kept")
    folder.symlink_to("nothing") if what == "a folder" else folder.write_text("not a folder")
    store = Checkpoints(folder, "me", lambda message: None, set_aside=True)
    with store.alone(lambda: False) as alone:
        assert alone
    (folder / ".lock").unlink()
    if what == "a folder":
        (folder / ".lock").mkdir()
    elif what == "a pipe":
        os.mkfifo(folder / ".lock")
    else:
        (folder / ".lock").symlink_to(other)
    with store.alone(lambda: False) as alone:
        assert alone
    assert names(folder) == [".lock", "damaged-1-.lock"]
    assert other.read_text() == "kept"


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


@pytest.mark.parametrize("kind", ["newest", "final"])
def test_a_state_of_other_settings_is_set_aside_in_a_folder_of_this_training_alone(tmp_path: Path, kind: str) -> None:
    other = Checkpoints(tmp_path, "other")
    path = other.save(state(1), 1) if kind == "newest" else other.finish(state(1))
    content, said = path.read_bytes(), list[str]()
    ours = Checkpoints(tmp_path, "me", said.append, set_aside=True)
    assert getattr(ours, kind)() is None
    assert [each.name for each in tmp_path.iterdir()] == [f"other-{path.name}"]
    assert (tmp_path / f"other-{path.name}").read_bytes() == content
    assert said == [f"checkpoint {path} belongs to other settings; it is not used, and now named other-{path.name}"]
    assert getattr(ours, kind)() is None


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
