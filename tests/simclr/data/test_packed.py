import gc
import io
import json
import os
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ablate.simclr.data import pack as packing
from ablate.simclr.data.pack import pack, pack_items
from ablate.simclr.data.packed import Packed, feed

CPU = torch.device("cpu")
COUNT = 23


@pytest.fixture(params=[16, 80], ids=["small images, no threads", "large images, threads"])
def size(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def pixels(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (COUNT, size, size, 3), dtype=np.uint8)


@pytest.fixture
def root(tmp_path: Path, size: int, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack of 23 images, five a shard, one of which is missing from the second shard."""
    monkeypatch.setattr(packing, "SHARD_BYTES", 5 * 3 * size**2)
    pairs = [(Image.fromarray(image), index % 4) for index, image in enumerate(pixels)]
    broken = Image.open(io.BytesIO(b"P6 9 9 255 "))  # a header without pixels
    train = [*pairs[:7], (broken, 0), *pairs[7:]]
    pack_items({"train": train, "test": pairs[:6]}, tmp_path / "pack", size, "mine", "abcd", skip_corrupt=True)
    return tmp_path / "pack"


def test_images_are_taken_in_any_order_and_as_often_as_wanted(root: Path, pixels: np.ndarray) -> None:
    images = Packed(root, "train")
    assert len(images) == COUNT
    order = np.random.default_rng(1).integers(0, COUNT, 200)
    batch = images.take(order)
    assert batch.dtype == torch.uint8
    assert np.array_equal(batch.numpy(), pixels[order].transpose(0, 3, 1, 2))


def test_no_index_gives_an_empty_batch_and_one_out_of_range_is_an_error(root: Path, size: int) -> None:
    images = Packed(root, "train")
    assert images.take(np.array([], np.int64)).shape == (0, 3, size, size)
    for wrong in ([0, COUNT], [-1]):
        with pytest.raises(IndexError, match=f"of {COUNT} images"):
            images.take(np.array(wrong))


def test_labels_names_shapes_and_what_the_index_says_belong_to_the_images(root: Path, size: int) -> None:
    images = Packed(root, "train")
    assert images.labels.tolist() == [index % 4 for index in range(COUNT)]
    assert images.shapes.tolist() == [[size, size]] * COUNT
    assert images.names == tuple(f"mine/train/{index}" for index in range(COUNT + 1) if index != 7)
    assert (images.size, images.classes, images.metric) == (size, ("a", "b", "c", "d"), "top1")
    assert images.splits == ("train", "test")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [truncate, Path.unlink, lambda path: path.write_bytes(path.read_bytes() + b"x")])
def test_a_shard_of_another_length_is_named_when_the_pack_is_opened(
    root: Path, damage: Callable[[Path], object]
) -> None:
    damage(root / "train" / "shard-00002.bin")
    with pytest.raises(ValueError, match=r"train/shard-00002\.bin: the pack is damaged: .*pack again"):
        Packed(root, "train")


@pytest.mark.parametrize("name", ["labels.npy", "shapes.npy", "names.json"])
@pytest.mark.parametrize("damage", [truncate, Path.unlink, lambda path: path.write_bytes(b""), pipe, folder])
def test_a_damaged_file_beside_the_shards_is_named(root: Path, name: str, damage: Callable[[Path], object]) -> None:
    damage(root / "test" / name)
    with pytest.raises(ValueError, match=f"test/{name}: the pack is damaged") as caught:
        _ = Packed(root, "test").names
    assert str(caught.value).count("pack again") == 1


def test_names_that_are_no_list_are_damage(root: Path) -> None:
    (root / "test" / "names.json").write_text("5")
    with pytest.raises(ValueError, match=r"test/names\.json: the pack is damaged"):
        _ = Packed(root, "test").names


def test_labels_of_another_number_are_an_error(root: Path) -> None:
    np.save(root / "test" / "labels.npy", np.zeros(5, np.int64))
    with pytest.raises(ValueError, match="different numbers of images"):
        Packed(root, "test")


def test_a_missing_pack_or_split_is_told_with_what_to_do(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere is not a complete pack .*ablate data pack SRC"):
        Packed(tmp_path / "nowhere", "train")
    with pytest.raises(ValueError, match="has no split val; it has train, test"):
        Packed(root, "val")


@pytest.mark.parametrize("name", ["shard-00003.bin", "labels.npy", "shapes.npy", "names.json"])
def test_verifying_finds_one_changed_byte_in_any_file(root: Path, name: str) -> None:
    told: list[tuple[int, int]] = []
    Packed(root, "train").verify(lambda done, total: told.append((done, total)))
    assert (
        told[-1][0]
        == told[-1][1]
        == len(json.loads((root / "index.json").read_text())["splits"]["train"]["shards"]) + 3
    )
    content = bytearray((root / "train" / name).read_bytes())
    content[-3] ^= 1
    (root / "train" / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"train/{name}: the pack is damaged: its SHA-256"):
        Packed(root, "train").verify()


def orders(steps: int, batch: int = 6) -> list[np.ndarray]:
    generator = np.random.default_rng(2)
    return [generator.permutation(COUNT)[:batch] for _ in range(steps)]


@pytest.mark.parametrize("ahead", [0, 1, 2, 50])
def test_a_feed_yields_the_batch_of_every_order_in_turn(root: Path, pixels: np.ndarray, ahead: int) -> None:
    wanted = [*orders(9), np.arange(2)]  # the last one is smaller
    batches = list(feed(Packed(root, "train"), iter(wanted), CPU, ahead))
    assert len(batches) == len(wanted)
    for batch, order in zip(batches, wanted, strict=True):
        assert np.array_equal(batch.numpy(), pixels[order].transpose(0, 3, 1, 2))


def feeding() -> bool:
    return any(thread.name.startswith("feed") for thread in threading.enumerate())


@pytest.mark.parametrize("close", ["close", "forget"])
def test_a_feed_that_is_left_early_ends_its_thread(root: Path, close: str) -> None:
    batches = feed(Packed(root, "train"), orders(1000), CPU)
    next(batches)
    assert feeding()
    if close == "close":
        batches.close()  # type: ignore[attr-defined]
    del batches
    gc.collect()
    assert not feeding()


def test_a_feed_asks_for_no_more_orders_than_it_is_ahead(root: Path) -> None:
    asked = []

    def endless() -> Iterator[np.ndarray]:
        while True:
            asked.append(len(asked))
            yield np.arange(3)

    batches = feed(Packed(root, "train"), endless(), CPU, ahead=3)
    for taken in range(1, 6):
        next(batches)
        assert len(asked) == taken + 3
    batches.close()  # type: ignore[attr-defined]


def test_a_feed_gathers_while_its_user_computes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gathered: list[int] = []
    gather = Packed._gather

    def counted(images: Packed, indices: np.ndarray, pinned: bool) -> torch.Tensor:
        gathered.append(len(indices))
        return gather(images, indices, pinned)

    monkeypatch.setattr(Packed, "_gather", counted)
    batches = feed(Packed(root, "train"), orders(5), CPU, ahead=2)
    next(batches)
    patience = time.monotonic() + 10
    while len(gathered) < 3 and time.monotonic() < patience:
        time.sleep(0.01)  # the user computes
    assert len(gathered) == 3
    assert len(list(batches)) == 4


def test_what_goes_wrong_in_the_thread_is_raised_in_its_batch_s_place(root: Path) -> None:
    wanted = [np.arange(3), np.arange(4), np.array([COUNT]), np.arange(5)]
    batches = feed(Packed(root, "train"), wanted, CPU)
    assert [len(next(batches)) for _ in range(2)] == [3, 4]
    with pytest.raises(IndexError, match=f"of {COUNT} images"):
        next(batches)
    assert not feeding()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_feed_to_cuda_has_the_same_batches(root: Path, pixels: np.ndarray) -> None:
    wanted = orders(50)
    for batch, order in zip(feed(Packed(root, "train"), wanted, torch.device("cuda")), wanted, strict=True):
        assert batch.is_cuda
        assert np.array_equal(batch.cpu().numpy(), pixels[order].transpose(0, 3, 1, 2))


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """The ImageNet sample as train/ and val/."""
    archive = os.environ.get("ABLATE_IMAGENET_SAMPLE")
    if not archive:
        pytest.skip("ABLATE_IMAGENET_SAMPLE does not name an archive of images as train/<class>/*")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "sample", filter="data")
    (train,) = (tmp_path / "sample").glob("*/train")
    (train.parent / "val").symlink_to(train)
    return train.parent


def test_photographs_are_stored_as_pillow_squashes_them_with_their_sides(imagenet: Path, tmp_path: Path) -> None:
    pack(imagenet, tmp_path / "pack", 256)
    images = Packed(tmp_path / "pack", "train")
    images.verify()
    paths = sorted((imagenet / "train").glob("*/*"))
    assert len(images) == len(paths) == 200
    batch = images.take(np.arange(200)).numpy().transpose(0, 2, 3, 1).astype(int)
    for ours, path, shape in zip(batch, paths, images.shapes.tolist(), strict=True):
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            assert shape == [picture.height, picture.width]
            expected = np.asarray(picture.convert("RGB").resize((256, 256), Image.Resampling.BICUBIC))
        if min(shape) < 512:  # decoded whole: the same to the last bit
            assert np.array_equal(ours, expected)
        else:
            assert np.abs(ours - expected).mean() < 3
