import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablate.simclr.config import Data
from ablate.simclr.data import folder
from ablate.simclr.data.dataset import load
from ablate.simclr.data.listing import look
from ablate.simclr.data.pack import pack


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, ten training and two test images each; every image is one gray value."""
    for split, count in (("train", 10), ("test", 2)):
        for label, name in enumerate(("cat", "dog")):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (40, 30), (100 * label + number,) * 3).save(folder / f"{number}.png")
    return tmp_path / "data"


def read(data: Data, split: str) -> tuple[np.ndarray, np.ndarray]:
    decoded, labels = folder.read(data, split)
    return decoded.pixels, labels


def data(root: Path, **settings: object) -> Data:
    return Data.model_validate({"name": "folder", "root": root, "image_size": 16, **settings})


def test_all_images_are_read_with_the_label_of_their_folder(root: Path) -> None:
    images, labels = read(data(root), "train")
    assert images.shape == (20, 3, 16, 16)
    assert labels.tolist() == [0] * 10 + [1] * 10
    assert images[:, 0, 0, 0].tolist() == [*range(10), *range(100, 110)]


def test_a_smaller_number_is_the_same_share_of_every_class_and_always_the_same_files(root: Path) -> None:
    images, labels = read(data(root, train_images=11), "train")
    assert np.bincount(labels).tolist() == [6, 5]
    assert np.array_equal(images, read(data(root, train_images=11), "train")[0])
    assert len(set(images[:, 0, 0, 0].tolist())) == 11


def test_an_image_is_resized_by_its_shorter_side_and_cut_to_its_centre(root: Path) -> None:
    picture = Image.new("RGB", (48, 16), (255, 0, 0))
    picture.paste((0, 0, 255), (16, 0, 32, 16))  # a blue square in the middle of a red banner
    picture.save(root / "train" / "cat" / "0.png")
    assert (read(data(root), "train")[0][0].reshape(3, -1) == np.array([[0], [0], [255]])).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_an_image_of_another_mode_becomes_rgb(root: Path, mode: str) -> None:
    Image.new("RGB", (20, 20), (255, 255, 255)).convert(mode).save(root / "train" / "cat" / "0.png")
    assert (read(data(root), "train")[0][0] == 255).all()


def test_a_file_that_is_no_image_is_named(root: Path) -> None:
    (root / "train" / "dog" / "3.png").write_text("no image")
    with pytest.raises(ValueError, match=r"dog/3\.png cannot be read as an image"):
        read(data(root), "train")


def test_splits_of_different_classes_are_told_apart(root: Path) -> None:
    (root / "test" / "dog").rename(root / "test" / "wolf")
    with pytest.raises(ValueError, match="differ in the classes dog, wolf"):
        look(root)


def test_a_class_without_images_is_named(root: Path) -> None:
    shutil.rmtree(root / "test" / "dog")
    (root / "test" / "dog").mkdir()
    with pytest.raises(ValueError, match="test/dog contains no images"):
        look(root)


def test_the_fingerprint_follows_the_files_and_not_the_folder(root: Path) -> None:
    first = look(root)
    assert (first.train_images, first.test_images) == (20, 4)
    moved = root.rename(root.with_name("elsewhere"))
    assert look(moved) == first
    (moved / "train" / "cat" / "0.png").rename(moved / "train" / "cat" / "00.png")
    renamed = look(moved)
    with (moved / "train" / "cat" / "00.png").open("ab") as file:
        file.write(b"x")
    assert len({first.fingerprint, renamed.fingerprint, look(moved).fingerprint}) == 3


def test_a_folder_that_changed_since_the_plan_is_not_trained_on(root: Path) -> None:
    planned = data(root, fingerprint=look(root).fingerprint)
    assert load(planned, torch.device("cpu")).classes == 2
    load.cache_clear()
    (root / "train" / "cat" / "0.png").unlink()
    with pytest.raises(ValueError, match="has changed since the run was planned"):
        load(planned, torch.device("cpu"))


def test_classes_are_in_the_order_of_their_names_and_not_of_their_making(root: Path) -> None:
    for split in ("train", "test"):
        (root / split / "ant").mkdir()
        Image.new("RGB", (9, 9), (250, 250, 250)).save(root / split / "ant" / "late.jpg")
    images, labels = read(data(root), "train")
    assert labels.tolist() == [0] + [1] * 10 + [2] * 10
    assert (images[0] == 250).all()


@pytest.mark.parametrize(("width", "height"), [(48, 16), (16, 48), (21, 16), (100, 60)])
def test_a_resized_image_is_its_centre_square_as_pillow_resizes_it(root: Path, width: int, height: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / "train" / "cat" / "0.png")
    side, left, top = min(width, height), (width - min(width, height)) / 2, (height - min(width, height)) / 2
    box = (left, top, left + side, top + side)
    expected = np.asarray(Image.fromarray(pixels).resize((16, 16), Image.Resampling.BICUBIC, box))
    ours = read(data(root), "train")[0][0].transpose(1, 2, 0)
    assert np.abs(ours.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_gray_image_has_its_gray_in_all_three_channels(root: Path, suffix: str) -> None:
    (root / "train" / "cat" / "0.png").unlink()
    Image.new("L", (20, 20), 90).save(root / "train" / "cat" / f"0.{suffix}")
    assert (read(data(root), "train")[0][0] == 90).all()


def test_a_gray_image_of_16_bits_keeps_its_gray_and_is_not_white(root: Path) -> None:
    gray = np.full((20, 20), 90 * 257, np.uint16)  # 90 of 255, as 16 bits say it
    Image.fromarray(gray).save(root / "train" / "cat" / "0.png")
    image = read(data(root), "train")[0][0].astype(int)
    assert np.abs(image - 90).max() <= 1


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_file_that_ends_too_early_is_named(root: Path, suffix: str, share: float) -> None:
    path = root / "train" / "dog" / f"cut.{suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=rf"dog/cut\.{suffix} cannot be read as an image"):
        read(data(root), "train")


def test_a_file_that_claims_more_pixels_than_pillow_opens_is_named(root: Path) -> None:
    size = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", size), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        content += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    (root / "train" / "dog" / "3.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"dog/3\.png cannot be read as an image"):
        read(data(root), "train")


def test_the_fingerprint_changes_with_a_file_more_in_either_split(root: Path) -> None:
    seen = [look(root).fingerprint]
    for split in ("train", "test"):
        shutil.copy(root / "train" / "cat" / "1.png", root / split / "cat" / "new.png")
        seen.append(look(root).fingerprint)
    (root / "train" / "cat" / "notes.txt").write_text("no image, not counted")
    assert look(root).fingerprint == seen[-1]
    assert len(set(seen)) == 3


def test_all_images_that_cannot_be_read_are_named_and_counted(root: Path) -> None:
    broken = sorted((root / "train").rglob("*.png"))[3:5]
    for path in broken:
        path.write_bytes(b"no image")
    with pytest.raises(ValueError, match="2 of 20 images: ") as caught:
        read(data(root), "train")
    assert all(str(path) in str(caught.value) for path in broken)


def test_fewer_images_than_asked_for_are_told_of_a_pack(root: Path) -> None:
    (root / "train" / "ant").mkdir()
    (root / "test" / "ant").mkdir()
    for split in ("train", "test"):
        shutil.copy(root / "train" / "cat" / "0.png", root / split / "ant")
    pack(root, root.parent / "pack", 8)
    packed = Data.model_validate({"name": "packed", "root": root.parent / "pack", "train_images": 18})
    made = load(packed, torch.device("cpu"))
    assert len(made.train.images) == 6 + 6 + 1
    assert made.notes == ("train: 13 of the 18 images asked for; some classes have fewer images",)
