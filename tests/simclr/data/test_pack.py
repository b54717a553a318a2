import errno
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablate.simclr.data import pack as packing
from ablate.simclr.data.listing import Index, look, read_index
from ablate.simclr.data.pack import pack, pack_items

SIZE = 16
SIDES = [(40, 30), (16, 16), (9, 50), (64, 48), (33, 17)]  # width, height


def noise(seed: int, width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def fill(root: Path, splits: dict[str, int]) -> Path:
    """An image folder of noise: two classes, so many images of each in every split."""
    for split, count in splits.items():
        for label, name in enumerate(("cat", "dog")):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                seed = 1000 * len(split) + 100 * label + number
                noise(seed, *SIDES[number % len(SIDES)]).save(root / split / name / f"{number:02}.png")
    return root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return fill(tmp_path / "source", {"train": 7, "test": 2})


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four images a shard."""
    monkeypatch.setattr(packing, "SHARD_BYTES", 4 * 3 * SIZE**2 + 5)


def stored(root: Path, split: str) -> np.ndarray:
    """The pixels of a split read byte by byte, without our reader."""
    content = b"".join(path.read_bytes() for path in sorted((root / split).glob("shard-*.bin")))
    return np.frombuffer(content, np.uint8).reshape(-1, 3, SIZE, SIZE)


def every_file(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.usefixtures("small_shards")
def test_every_image_is_stored_whole_as_pillow_squashes_it_by_class_then_file_name(
    source: Path, tmp_path: Path
) -> None:
    pack(source, tmp_path / "pack", SIZE)
    for split in ("train", "test"):
        paths = sorted((source / split).glob("*/*.png"))  # cat before dog, 00 before 01
        pictures = [Image.open(path) for path in paths]
        expected = [np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for picture in pictures]
        assert np.array_equal(stored(tmp_path / "pack", split), np.stack(expected).transpose(0, 3, 1, 2))
        labels = np.load(tmp_path / "pack" / split / "labels.npy")
        assert labels.dtype == np.int64
        assert labels.tolist() == [("cat", "dog").index(path.parent.name) for path in paths]
        shapes = np.load(tmp_path / "pack" / split / "shapes.npy")
        assert shapes.dtype == np.int32
        assert shapes.tolist() == [[picture.height, picture.width] for picture in pictures]
        names = json.loads((tmp_path / "pack" / split / "names.json").read_text())
        assert names == [path.relative_to(source).as_posix() for path in paths]


@pytest.mark.usefixtures("small_shards")
def test_the_index_names_every_shard_with_its_count_and_sha256(source: Path, tmp_path: Path) -> None:
    pack(source, tmp_path / "pack", SIZE)
    index = json.loads((tmp_path / "pack" / "index.json").read_text())
    assert (index["format"], index["size"], index["classes"]) == (1, SIZE, ["cat", "dog"])
    shards = index["splits"]["train"]["shards"]
    assert [shard["count"] for shard in shards] == [4, 4, 4, 2]
    for shard in shards:
        content = (tmp_path / "pack" / "train" / shard["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == shard["sha256"]
    fingerprint = index.pop("fingerprint")
    assert hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest() == fingerprint


def test_a_large_jpeg_is_decoded_at_a_fraction_and_looks_as_if_it_had_not_been(source: Path, tmp_path: Path) -> None:
    gradient = np.linspace(0, 255, 90 * 140 * 3).reshape(90, 140, 3).astype(np.uint8)
    Image.fromarray(gradient).save(source / "train" / "cat" / "00.jpg", quality=95)
    pack(source, tmp_path / "pack", SIZE)
    whole = Image.open(source / "train" / "cat" / "00.jpg").convert("RGB").resize((SIZE, SIZE), 3)
    first = stored(tmp_path / "pack", "train")[0].transpose(1, 2, 0)
    assert np.abs(first.astype(int) - np.asarray(whole)).max() <= 6
    assert np.load(tmp_path / "pack" / "train" / "shapes.npy")[0].tolist() == [90, 140]


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "I;16"])
def test_an_image_of_another_mode_is_stored_as_rgb(source: Path, tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.full((20, 20), 65535, np.uint16))
    else:
        picture = Image.new("RGB", (20, 20), (255, 255, 255)).convert(mode)
    picture.save(source / "train" / "cat" / "00.tif")
    pack(source, tmp_path / "pack", SIZE)
    assert (stored(tmp_path / "pack", "train")[1] == 255).all()  # 00.png comes before 00.tif


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "test"), {"train", "test"}),
        (("train", "val"), {"train", "test"}),
        (("train", "validation", "test"), {"train", "val", "test"}),
        (("train", "valid", "test"), {"train", "val", "test"}),
    ],
)
def test_a_validation_folder_is_the_test_split_only_where_there_is_no_test_folder(
    tmp_path: Path, folders: tuple[str, ...], splits: set[str]
) -> None:
    source = fill(tmp_path / "source", dict.fromkeys(folders, 2))
    assert set(pack(source, tmp_path / "pack", SIZE).splits) == splits
    last = sorted((source / folders[-1]).glob("*/*.png"))[-1]
    expected = Image.open(last).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    assert np.array_equal(stored(tmp_path / "pack", "test")[-1].transpose(1, 2, 0), np.asarray(expected))


def test_two_validation_folders_are_an_error(tmp_path: Path) -> None:
    source = fill(tmp_path / "source", {"train": 1, "val": 1, "valid": 1, "test": 1})
    with pytest.raises(ValueError, match="has val and valid; keep one"):
        pack(source, tmp_path / "pack", SIZE)


def test_splits_of_different_classes_are_an_error(source: Path, tmp_path: Path) -> None:
    (source / "test" / "dog").rename(source / "test" / "wolf")
    with pytest.raises(ValueError, match="differ in the classes dog, wolf"):
        pack(source, tmp_path / "pack", SIZE)


@pytest.mark.usefixtures("small_shards")
def test_a_pack_killed_between_shards_goes_on_to_the_same_bytes(source: Path, tmp_path: Path) -> None:
    pack(source, tmp_path / "whole", SIZE)
    code = f"""
        import os, signal, time
        from pathlib import Path
        from ablate.simclr.data import pack as packing, shard
        packing.SHARD_BYTES = {4 * 3 * SIZE**2}
        write, seen = shard.write_whole, []
        def write_then_die(path, content):
            if len(seen) >= 4:  # two shards and their records
                path.with_name(f".{{path.name}}.{{os.getpid()}}.part").write_bytes(bytes(content)[:100])
                os.kill(os.getpid(), signal.SIGKILL)
            sha256 = write(path, content)
            seen.append(path)
            return sha256
        shard.write_whole = write_then_die
        packing.pack(Path({str(source)!r}), Path({str(tmp_path / "cut")!r}), {SIZE}, workers=1)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert killed.returncode == -9
    cut = tmp_path / "cut"
    assert not (cut / "index.json").exists()
    kept = {record: record.with_suffix(".bin").stat().st_mtime_ns for record in (cut / "train").glob("*.json")}
    assert len(kept) >= 1
    pack(source, cut, SIZE)
    assert every_file(cut) == every_file(tmp_path / "whole")
    assert {record: record.with_suffix(".bin").stat().st_mtime_ns for record in kept} == kept


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("change", ["content", "name", "class", "pixels"])
def test_a_shard_of_an_earlier_run_is_made_again_when_its_images_changed(
    source: Path, tmp_path: Path, change: str
) -> None:
    root = tmp_path / "pack"
    pack(source, root, SIZE)
    (root / "index.json").unlink()  # as if it had been interrupted at the end
    if change == "content":
        noise(5, 21, 22).save(source / "train" / "cat" / "00.png")
    elif change == "name":
        (source / "train" / "cat" / "00.png").rename(source / "train" / "cat" / "99.png")
    elif change == "class":
        (source / "train" / "cat" / "06.png").rename(source / "train" / "dog" / "-1.png")
    else:
        (root / "train" / "shard-00001.bin").write_bytes(b"cut off")
    pack(source, root, SIZE)
    pack(source, tmp_path / "fresh", SIZE)
    assert every_file(root) == every_file(tmp_path / "fresh")


@pytest.mark.usefixtures("small_shards")
def test_shards_of_an_earlier_larger_source_do_not_stay(source: Path, tmp_path: Path) -> None:
    pack(source, tmp_path / "pack", SIZE)
    (tmp_path / "pack" / "index.json").unlink()
    for number in range(4):
        (source / "train" / "cat" / f"{number:02}.png").unlink()
    pack(source, tmp_path / "pack", SIZE)
    assert len(stored(tmp_path / "pack", "train")) == 10


def test_a_whole_pack_of_the_same_source_is_left_as_it_is(source: Path, tmp_path: Path) -> None:
    first = pack(source, tmp_path / "pack", SIZE)
    before = (tmp_path / "pack" / "index.json").stat().st_mtime_ns
    assert pack(source, tmp_path / "pack", SIZE) == first
    assert (tmp_path / "pack" / "index.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("other", ["size", "source"])
def test_packing_onto_another_pack_is_an_error_that_says_what_to_do(source: Path, tmp_path: Path, other: str) -> None:
    pack(source, tmp_path / "pack", SIZE)
    before = every_file(tmp_path / "pack")
    if other == "source":
        noise(3, 20, 20).save(source / "test" / "dog" / "more.png")
    with pytest.raises(ValueError, match=r"contains another pack .*choose another folder or delete it"):
        pack(source, tmp_path / "pack", 2 * SIZE if other == "size" else SIZE)
    assert every_file(tmp_path / "pack") == before


def test_an_image_folder_is_not_written_into(source: Path) -> None:
    before = every_file(source)
    with pytest.raises(ValueError, match="cannot hold a pack"):
        pack(source, source, SIZE)
    assert every_file(source) == before


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


@pytest.mark.usefixtures("small_shards")
def test_all_images_that_cannot_be_read_are_named_and_there_is_no_index(source: Path, tmp_path: Path) -> None:
    cut_short(source / "train" / "cat" / "00.png")
    (source / "train" / "dog" / "06.png").write_text("no image")
    (source / "test" / "cat" / "01.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"^3 images cannot be read:") as raised:
        pack(source, tmp_path / "pack", SIZE)
    for name in ("train/cat/00.png: ", "train/dog/06.png: not an image", "test/cat/01.png: not an image"):
        assert name in str(raised.value)
    assert "--skip-corrupt" in str(raised.value)
    assert not (tmp_path / "pack" / "index.json").exists()


def test_of_many_unreadable_images_twenty_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    source = fill(tmp_path / "source", {"train": 15, "test": 1})
    for path in (source / "train").glob("*/*.png"):
        path.write_text("no image")
    with pytest.raises(ValueError, match=r"^30 images cannot be read:") as raised:
        pack(source, tmp_path / "pack", SIZE)
    assert str(raised.value).count("train/") == 20
    assert "and 10 more" in str(raised.value)


@pytest.mark.usefixtures("small_shards")
def test_unreadable_images_are_left_out_and_listed_when_asked_for(source: Path, tmp_path: Path) -> None:
    bad = ["train/cat/01.png", "train/dog/05.png"]
    for name in bad:
        cut_short(source / name)
    index = pack(source, tmp_path / "pack", SIZE, skip_corrupt=True)
    assert list(index.splits["train"].skipped) == bad
    assert [shard.count for shard in index.splits["train"].shards] == [3, 4, 4, 1]
    for name in bad:
        (source / name).unlink()
    pack(source, tmp_path / "without", SIZE)
    assert np.array_equal(stored(tmp_path / "pack", "train"), stored(tmp_path / "without", "train"))
    for name in ("labels.npy", "shapes.npy", "names.json"):
        paths = [tmp_path / folder / "train" / name for folder in ("pack", "without")]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_split_of_which_nothing_can_be_read_is_an_error(source: Path, tmp_path: Path) -> None:
    for path in (source / "test").glob("*/*.png"):
        path.write_text("no image")
    with pytest.raises(ValueError, match="test: no image can be read"):
        pack(source, tmp_path / "pack", SIZE, skip_corrupt=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_opened_is_never_skipped_as_corrupt(source: Path, tmp_path: Path) -> None:
    (source / "train" / "cat" / "00.png").chmod(0)
    with pytest.raises(PermissionError):
        pack(source, tmp_path / "pack", SIZE, skip_corrupt=True)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A disk with room for so many bytes, of the files called *.part."""
    room = [10_000]
    opened = Path.open

    class Limited(io.FileIO):
        def write(self, content: bytes) -> int:  # type: ignore[override]
            if len(content) > room[0]:
                super().write(bytes(content)[: room[0]])
                raise OSError(errno.ENOSPC, "No space left on device")
            room[0] -= len(content)
            return super().write(content)

    def limited(path: Path, mode: str = "r", *arguments: object, **options: object) -> object:
        if path.suffix == ".part":
            return Limited(path, mode.replace("b", ""))
        return opened(path, mode, *arguments, **options)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(Path, "open", limited)
    return room


@pytest.mark.usefixtures("small_shards")
def test_a_full_disk_is_told_with_its_path_and_the_next_run_goes_on(
    source: Path, tmp_path: Path, full_disk: list[int]
) -> None:
    root = tmp_path / "pack"
    with pytest.raises(OSError, match="No space left") as raised:
        pack(source, root, SIZE)
    assert Path(raised.value.filename).parent == root / "train"
    assert not (root / "index.json").exists()
    assert list(root.rglob("*.part")) == []
    for record in (root / "train").glob("*.json"):  # what counts as whole is whole
        content = record.with_suffix(".bin").read_bytes()
        assert hashlib.sha256(content).hexdigest() == json.loads(record.read_text())["sha256"]
    full_disk[0] = 10**9
    pack(source, root, SIZE)
    pack(source, tmp_path / "fresh", SIZE)
    assert every_file(root) == every_file(tmp_path / "fresh")


@pytest.mark.usefixtures("small_shards")
def test_progress_counts_every_image_once_and_ends_at_the_total(source: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    pack(source, tmp_path / "pack", SIZE, workers=3, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 18) for done in range(1, 19)]


@pytest.mark.usefixtures("small_shards")
def test_the_pixels_do_not_depend_on_the_number_of_threads(source: Path, tmp_path: Path) -> None:
    pack(source, tmp_path / "one", SIZE, workers=1)
    pack(source, tmp_path / "eight", SIZE, workers=8)
    assert every_file(tmp_path / "one") == every_file(tmp_path / "eight")


def items(count: int) -> list[tuple[Image.Image, int]]:
    return [(noise(index, 12, 20), index % 3) for index in range(count)]


def test_pairs_of_image_and_label_are_packed_in_their_order(tmp_path: Path) -> None:
    index = pack_items({"train": items(9), "test": items(4)}, tmp_path, SIZE, "mine", ["a", "b", "c"], "mean_per_class")
    assert (index.name, index.metric, index.classes) == ("mine", "mean_per_class", ("a", "b", "c"))
    assert np.load(tmp_path / "train" / "labels.npy").tolist() == [index % 3 for index in range(9)]
    expected = [np.asarray(noise(index, 12, 20).resize((SIZE, SIZE), 3)).transpose(2, 0, 1) for index in range(9)]
    assert np.array_equal(stored(tmp_path, "train"), np.stack(expected))


def test_images_of_several_classes_have_a_number_for_each(tmp_path: Path) -> None:
    pairs = [(noise(index, 8, 8), (1, 0, -int(index == 1))) for index in range(3)]
    pack_items({"train": pairs, "test": pairs}, tmp_path, SIZE, "mine", ["a", "b", "c"], "map11")
    labels = np.load(tmp_path / "test" / "labels.npy")
    assert labels.dtype == np.int8
    assert labels.tolist() == [[1, 0, 0], [1, 0, -1], [1, 0, 0]]


def test_a_listing_of_a_pack_has_its_fingerprint_and_counts_and_needs_no_torch(source: Path, tmp_path: Path) -> None:
    index = pack(source, tmp_path / "pack", SIZE)
    listing = look(tmp_path / "pack")
    assert (listing.fingerprint, listing.train_images, listing.test_images) == (index.fingerprint, 14, 4)
    code = "import sys; from pathlib import Path; from ablate.simclr.data.listing import look; look(Path(sys.argv[1]));"
    code += "print({'torch', 'numpy'} & set(sys.modules))"
    command = [sys.executable, "-c", code, str(tmp_path / "pack")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_fingerprint_follows_the_pixels_and_the_labels_and_not_the_folder(source: Path, tmp_path: Path) -> None:
    first = pack(source, tmp_path / "a", SIZE).fingerprint
    shutil.copytree(source, tmp_path / "copy")
    assert pack(tmp_path / "copy", tmp_path / "b", SIZE).fingerprint == first
    (source / "train" / "cat" / "06.png").rename(source / "train" / "dog" / "-1.png")  # the same order of pixels
    relabelled = pack(source, tmp_path / "c", SIZE)
    assert np.array_equal(stored(tmp_path / "a", "train"), stored(tmp_path / "c", "train"))
    assert relabelled.fingerprint != first


@pytest.mark.parametrize("damage", ["cut", "edited", "other version"])
def test_a_damaged_index_is_named(source: Path, tmp_path: Path, damage: str) -> None:
    index: Index = pack(source, tmp_path / "pack", SIZE)
    path = tmp_path / "pack" / "index.json"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:50])
    elif damage == "edited":
        path.write_text(path.read_text().replace('"cat"', '"cow"'))
    else:
        path.write_text(json.dumps({**index.model_dump(mode="json"), "format": 2}))
    with pytest.raises(
        ValueError, match=r"index\.json is damaged .*delete .* and pack again|fingerprint does not match"
    ):
        read_index(tmp_path / "pack")
