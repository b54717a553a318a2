from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablate.simclr.config import Data
from ablate.simclr.data import folder
from ablate.simclr.data.look import contact_sheet, look_into, report
from ablate.simclr.data.pack import pack
from ablate.simclr.data.reader import Conversion


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of three images, of which one is turned, one transparent, one broken and one in test too."""
    for split in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for number in range(3):
                color = (100 * label, 10 * number, len(split))
                Image.new("RGB", (20, 20), color).save(tmp_path / "data" / split / name / f"{number}.png")
    train = tmp_path / "data" / "train"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 20), "red").save(train / "cat" / "1.png", exif=exif)
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(train / "dog" / "1.png")
    (train / "dog" / "2.png").write_bytes(b"")
    (train / "cat" / "x.heic").write_bytes(b"")
    (tmp_path / "data/test/cat/0.png").write_bytes((train / "cat" / "0.png").read_bytes())
    return tmp_path / "data"


def test_what_would_be_read_and_what_not_is_told_with_the_reasons(root: Path) -> None:
    steps: list[tuple[int, int]] = []
    looked = look_into(root, None, Conversion(), lambda done, total: steps.append((done, total)))
    assert steps[-1] == (12, 12)
    assert list(report(looked)) == [
        "train: 5 images of 2 classes (3 each): cat, dog",
        "  1 transparent: laid on data.background",
        "  1 turned by EXIF: shown upright",
        "  1 wholly transparent: only data.background is visible",
        "test: 6 images of 2 classes (3 each): cat, dog",
        "unreadable in train: 1; data.skip_corrupt = true leaves them out",
        f"  {root}/train/dog/2.png cannot be read as an image: not an image",
        "left out: 1",
        "  1 .heic: train/cat/x.heic",
        "in test with the same content as in train: 1",
        "  test/cat/0.png = train/cat/0.png",
    ]


def test_the_contact_sheet_has_a_row_for_each_class_as_training_sees_it(root: Path) -> None:
    looked = look_into(root, None, Conversion("#00ff00"), lambda done, total: None)
    sheet = np.asarray(contact_sheet(looked, Conversion("#00ff00")))
    rows, columns = (116 * np.arange(2) + 60)[:, None], 100 * np.arange(3) + 50
    assert sheet[rows, columns].tolist() == [
        [[0, 0, 5], [255, 0, 0], [0, 20, 5]],
        [[100, 0, 5], [0, 255, 0], [255, 255, 255]],
    ]


def test_unreadable_images_stop_training_until_they_are_left_out(root: Path) -> None:
    (root / "train" / "cat" / "9.png").symlink_to("nowhere")
    data = {"name": "folder", "root": root, "image_size": 16}
    with pytest.raises(ValueError, match=r"2 of 7 images: .*9\.png cannot be read as an image: a link to nothing; .*"):
        folder.read(Data.model_validate(data), "train")
    decoded, labels = folder.read(Data.model_validate(data | {"skip_corrupt": True}), "train")
    assert len(decoded.pixels) == 5
    assert labels.tolist() == [0, 0, 0, 1, 1]
    assert decoded.pixels[:, 0, 8, 8].tolist() == [0, 255, 0, 100, 255]
    assert len(decoded.mistakes) == 2
    with pytest.raises(ValueError, match="2 images cannot be read"):
        pack(root, root.parent / "pack", 16)
    assert len(pack(root, root.parent / "pack", 16, skip_corrupt=True).splits["train"].skipped) == 2


def test_a_file_that_vanished_is_not_taken_for_a_damaged_image(root: Path) -> None:
    paths = [root / "train" / "cat" / "0.png"]
    paths[0].unlink()
    with pytest.raises(FileNotFoundError, match=r"0\.png"):
        folder.decode(paths, 16, Conversion())
