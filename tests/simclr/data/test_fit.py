"""What a trial needs of its images, refused at plan; and what the plan says of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ablate.simclr.config import Config
from ablate.simclr.data.fit import counts_text, fitting, read_images
from ablate.simclr.data.listing import Listing, look
from ablate.simclr.data.pack import pack
from ablate.simclr.hooks import describe_data, forget_files, prepare, work
from ablate.simclr.trainer import train
from ablate.trainer.contract import SettingError
from tests.simclr.conftest import Listener


def config(root: Path | str = "photos", **changes: Any) -> Config:
    data = {"name": "folder", "root": str(root), "image_size": 16} | changes.pop("data", {})
    return Config.model_validate({"batch_size": 4, "data": data} | changes)


def listing(train: tuple[int, ...], test: tuple[int, ...] = (5, 5), classes: int = 2, **more: Any) -> Listing:
    return Listing("", sum(train), sum(test), "folder", classes, train, test, **more)


def test_too_few_images_for_the_classes_are_refused() -> None:
    with pytest.raises(
        SettingError, match=r"data\.train_images = 10 is less than one image for each of the 11"
    ) as told:
        fitting(config(data={"train_images": 10}), listing((3,) * 11, (3,) * 11, 11))
    assert told.value.setting == "data.train_images"


def test_images_of_small_classes_are_counted_as_they_will_be_read() -> None:
    data = config(data={"train_images": 60}).data
    uneven = listing((30, 30, 1), (20, 20, 20), 3, omitted=((".heic", 12), ("hidden", 1)))
    assert read_images(data, uneven) == (41, 60)
    assert counts_text(data, uneven) == (
        "41 of 61 training and 60 test images of 3 classes; data.train_images = 60 cannot be met, because some classes "
        "have fewer images; left out: 12 .heic, 1 hidden"
    )
    assert counts_text(config().data, uneven).startswith("61 training and 60 test images of 3 classes; left out")
    with pytest.raises(SettingError, match="batch_size = 50 is more than the 41 training images"):
        fitting(config(batch_size=50, data={"train_images": 60}), uneven)


@pytest.mark.parametrize("part", ["linear", "cached_linear", "knn", "finetune"])
def test_without_labels_evaluations_that_need_them_are_refused(part: str) -> None:
    flat = listing((20,), (5,), 0)
    with pytest.raises(SettingError, match=f"'{part}', which needs labels, but the images in photos have none") as told:
        fitting(config(evaluate={"parts": ["contrastive", part]}), flat)
    assert told.value.setting == "evaluate.parts"
    with pytest.raises(SettingError, match="method = 'supervised' needs labels"):
        fitting(config(method="supervised"), flat)


def test_without_labels_there_is_no_online_probe() -> None:
    parts = {"parts": ["contrastive", "transformation", "geometry"]}
    assert not fitting(config(evaluate=parts), listing((20,), (5,), 0)).online_probe
    assert fitting(config(), listing((10, 10))).online_probe


def test_without_test_images_evaluations_that_need_them_are_refused() -> None:
    for changes in ({}, {"evaluate": {"parts": ["geometry"]}}, {"evaluate": {"parts": []}}):
        with pytest.raises(SettingError, match="needs test images") as told:
            fitting(config(**changes), listing((10, 10), ()))
        assert told.value.help is not None
        assert "data.split = 0.1" in told.value.help
    fitting(config(evaluate={"parts": []}), listing((20,), (), 0))


def test_images_without_labels_are_trained_on_and_evaluated_or_not_evaluated_at_all(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(24):
        Image.fromarray(random.integers(0, 256, (18, 16, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"")
    forget_files()
    small = {"encoder": {"name": "resnet8", "stem": "strided"}, "epochs": 1, "warmup_epochs": 0}
    for more, parts in (({"split": 0.25}, ["contrastive", "geometry"]), ({}, [])):
        data = {"skip_corrupt": True, **more}
        planned = prepare(config(tmp_path, data=data, evaluate={"parts": parts}, **small))
        listener = Listener()
        result = train(planned, listener)
        assert [row["phase"] for row in listener.rows] == ["pretrain", *parts]
        assert not any("top1" in name for name in result)
        assert listener.said[0].startswith("unreadable images left out of train: 1 (")


def test_a_flat_folder_is_planned_with_a_drawn_split_and_told(tmp_path: Path) -> None:
    for number in range(20):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("")
    forget_files()
    parts = {"parts": ["contrastive"]}
    planned = prepare(config(tmp_path, data={"split": 0.25}, evaluate=parts, epochs=2, warmup_epochs=1))
    assert planned.data.fingerprint is not None
    assert not planned.online_probe
    assert work(planned) == 2 * 15 * 2
    expected = "images of a folder: 15 training and 5 test images without labels; left out: 1 .txt"
    assert describe_data(planned) == expected
    with pytest.raises(SettingError, match="needs test images"):
        prepare(config(tmp_path, evaluate=parts))


def packed(stored: int, side: int) -> Listing:
    return Listing("", 40, 10, "packed", 2, stored=stored, side=side)


@pytest.mark.parametrize(
    ("stored", "side", "size", "said"),
    [
        (256, 375, 224, "crops keep at least 0.67 of their detail (ablate data pack with --size 576 keeps 0.95"),
        (512, 900, 224, "crops keep at least 0.93 of their detail"),
        (128, 375, 112, "at least 0.67 of their detail (ablate data pack with --size 288 keeps"),
        (240, 375, 224, "crops keep perhaps less than 0.67"),
        (576, 900, 224, None),
        (640, 900, 224, None),
        (256, 256, 224, None),  # nothing was lost
        (32, 32, 224, None),  # CIFAR-10, enlarged for a network of torchvision
    ],
)
def test_a_plan_says_what_crops_of_a_pack_lose_and_at_which_size_they_would_not(
    stored: int, side: int, size: int, said: str | None
) -> None:
    wanted = config(data={"name": "packed", "image_size": size})
    text = counts_text(wanted.data, packed(stored, side))
    assert said in text if said else text == "40 training and 10 test images of 2 classes"
    assert fitting(wanted, packed(stored, side))


def test_a_pack_stored_smaller_than_both_its_images_and_the_input_is_refused() -> None:
    with pytest.raises(
        SettingError, match="image_size = 224, but the pack in photos stores its images at 64 pixels"
    ) as told:
        fitting(config(data={"name": "packed", "image_size": 224}), packed(64, 300))
    assert told.value.help is not None
    assert "--size 576" in told.value.help
    assert told.value.setting == "data.image_size"


def test_the_size_of_a_pack_and_of_its_images_is_read_without_numpy(tmp_path: Path) -> None:
    sides = [(40, 30), (50, 90), (20, 25), (70, 60)]  # height and width: shorter sides 30, 50, 20, 60
    for number, (height, width) in enumerate(sides):
        for split in ("train", "test"):
            path = tmp_path / "photos" / split / f"class{number % 2}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((height, width, 3), 50 * number, np.uint8)).save(path)
    pack(tmp_path / "photos", tmp_path / "pack", size=16)
    listed = look(tmp_path / "pack")
    assert (listed.stored, listed.side) == (16, 30)
    (tmp_path / "pack" / "train" / "shapes.npy").write_bytes(b"damaged")
    assert look(tmp_path / "pack").side is None
