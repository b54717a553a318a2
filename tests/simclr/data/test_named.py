import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from ablate.simclr.base.vision import torchvision
from ablate.simclr.data.listing import read_index
from ablate.simclr.data.named import NAMED, NOT_COUNTED, VOC_CLASSES, draw, get, voc_targets
from ablate.simclr.data.packed import Packed
from ablate.simclr.evaluate.scores import eleven_point_map

B8 = {  # SimCLR App. B.8, and STL-10: the metric, and whether its authors gave a validation set
    "food101": ("top1", False),
    "cifar10": ("top1", False),
    "cifar100": ("top1", False),
    "sun397": ("top1", False),
    "stanford_cars": ("top1", False),
    "dtd": ("top1", True),
    "stl10": ("top1", False),
    "fgvc_aircraft": ("mean_per_class", True),
    "oxford_iiit_pet": ("mean_per_class", False),
    "caltech101": ("mean_per_class", False),
    "flowers102": ("mean_per_class", True),
    "voc2007": ("map11", True),
}
SPLIT_OF_PETS = {"trainval": 12, "train": 12, "val": 5, "test": 7}


class Fake:
    """Stands for a torchvision data set; its gray values count the images of all splits."""

    classes = ("a", "b", "c")
    made: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, root: Path, download: bool = False, **wanted: Any) -> None:
        Fake.made.append({"root": root, "download": download, **wanted})
        split = wanted.get("split") or wanted.get("image_set") or ("train" if wanted.get("train", True) else "test")
        self.first, self.count = {"train": 0, "trainval": 0, "val": 50, "test": 100}[split], SPLIT_OF_PETS[split]

    def __len__(self) -> int:
        return self.count

    def label(self, index: int) -> Any:
        return np.int64(index % 3)

    def __getitem__(self, index: int) -> tuple[Image.Image, Any]:
        return Image.new("RGB", (12, 9), (self.first + index,) * 3), self.label(index)


class FakeVoc(Fake):
    def label(self, index: int) -> Any:
        things = [{"name": "dog", "difficult": str(index % 2)}, {"name": "cat", "difficult": "0"}]
        return {"annotation": {"object": things}}


class FakeSun(Fake):
    """Lists its files in no order, as a file system does."""

    seed = 0

    def __init__(self, root: Path, download: bool = False) -> None:
        files = [(label, f"sun_{number:03}.jpg") for label in range(3) for number in range(102 + label)]
        files = [files[index] for index in np.random.default_rng(FakeSun.seed).permutation(len(files))]
        self._labels = [label for label, _ in files]
        self._image_files = [root / "SUN397" / "abc"[label] / name for label, name in files]

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Image.Image, Any]:
        number = int(self._image_files[index].stem[4:])
        return Image.new("RGB", (8, 8), (number, 0, 0)), self._labels[index]


class FakeCaltech(Fake):
    classes = ()
    categories = ("ant", "bee")

    def __init__(self, root: Path, download: bool = False) -> None:
        self.y = [0] * 33 + [1] * 45

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Image.Image, Any]:
        return Image.new("L", (8, 8), index), self.y[index]


FAKES = {"voc2007": FakeVoc, "sun397": FakeSun, "caltech101": FakeCaltech}


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake.made = []
    for name, named in NAMED.items():
        assert isinstance(getattr(torchvision.datasets, named.dataset), type)  # there is such a class
        monkeypatch.setattr(torchvision.datasets, named.dataset, FAKES.get(name, Fake))


def test_the_sets_are_those_of_the_paper_but_birdsnap_and_stl10_besides() -> None:
    assert set(NAMED) == set(B8)


@pytest.mark.parametrize("name", sorted(B8))
def test_a_set_has_the_papers_metric_and_a_validation_split_only_where_its_authors_gave_one(
    name: str, tmp_path: Path
) -> None:
    index = get(name, tmp_path, size=8)
    metric, has_validation = B8[name]
    assert read_index(tmp_path) == index
    assert (index.name, index.metric, index.size) == (name, metric, 8)
    assert set(index.splits) == ({"train", "val", "test"} if has_validation else {"train", "test"})


@pytest.mark.parametrize("name", ["food101", "dtd", "oxford_iiit_pet", "cifar100", "flowers102"])
def test_every_split_has_its_own_images_and_labels(name: str, tmp_path: Path) -> None:
    index = get(name, tmp_path, size=8)
    for split, (first, count) in {"train": (0, 12), "val": (50, 5), "test": (100, 7)}.items():
        if split not in index.splits:
            continue
        images = Packed(tmp_path, split)
        assert images.take(np.arange(count))[:, 0, 0, 0].tolist() == [first + number for number in range(count)]
        assert images.labels.tolist() == [number % 3 for number in range(count)]
        assert images.labels.dtype == np.int64
        assert images.classes == ("a", "b", "c")


def test_the_pets_train_on_all_that_is_not_for_testing_and_dtd_on_its_first_split(tmp_path: Path) -> None:
    get("oxford_iiit_pet", tmp_path / "pets", size=8)
    assert [made["split"] for made in Fake.made] == ["trainval", "test"]
    Fake.made = []
    get("dtd", tmp_path / "dtd", size=8)
    assert [(made["split"], made["partition"]) for made in Fake.made] == [("train", 1), ("val", 1), ("test", 1)]
    assert {(made["root"], made["download"]) for made in Fake.made} == {(tmp_path / "dtd" / "download", True)}


def test_voc_has_a_target_a_class_and_does_not_count_what_is_only_difficult(tmp_path: Path) -> None:
    get("voc2007", tmp_path, size=8)
    assert {made["year"] for made in Fake.made} == {"2007"}
    labels = Packed(tmp_path, "train").labels
    assert (labels.shape, labels.dtype) == ((12, 20), np.int8)
    dog, cat = VOC_CLASSES.index("dog"), VOC_CLASSES.index("cat")
    assert labels[:, dog].tolist() == [1, NOT_COUNTED] * 6
    assert labels[:, cat].tolist() == [1] * 12
    assert not np.delete(labels, [dog, cat], axis=1).any()


def test_an_object_that_is_not_difficult_outweighs_one_that_is() -> None:
    things = [{"name": "car", "difficult": "1"}, {"name": "car", "difficult": "0"}, {"name": "car", "difficult": "1"}]
    targets = voc_targets({"annotation": {"object": things}})
    assert targets[VOC_CLASSES.index("car")] == 1
    assert sum(targets) == 1


def test_the_twenty_classes_of_voc_are_in_the_order_of_the_alphabet() -> None:
    assert len(set(VOC_CLASSES)) == 20
    assert list(VOC_CLASSES) == sorted(VOC_CLASSES)


def test_caltech_trains_on_30_images_a_class_and_tests_on_the_rest(tmp_path: Path) -> None:
    get("caltech101", tmp_path, size=8)
    train, test = Packed(tmp_path, "train"), Packed(tmp_path, "test")
    assert np.bincount(train.labels).tolist() == [30, 30]
    assert np.bincount(test.labels).tolist() == [3, 15]
    values = [images.take(np.arange(len(images)))[:, 0, 0, 0].tolist() for images in (train, test)]
    assert sorted(values[0] + values[1]) == list(range(78))
    assert train.classes == ("ant", "bee")


def test_sun397_draws_50_and_50_a_class_however_the_file_system_lists_them(tmp_path: Path) -> None:
    packs = []
    for seed in (0, 1):
        FakeSun.seed = seed
        get("sun397", tmp_path / str(seed), size=8)
        packs.append([Packed(tmp_path / str(seed), split) for split in ("train", "test")])
    for images, again in zip(*packs, strict=True):
        assert np.bincount(images.labels).tolist() == [50, 50, 50]
        assert np.array_equal(images.take(np.arange(150)), again.take(np.arange(150)))
    train, test = (images.take(np.arange(150))[:, 0, 0, 0].reshape(3, 50).tolist() for images in packs[0])
    assert all(not set(a) & set(b) for a, b in zip(train, test, strict=True))


def test_a_draw_is_not_the_first_images_of_a_class() -> None:
    drawn = draw(range(100), [0] * 100, 50, 50)
    assert drawn["train"] != list(range(50))
    assert sorted(drawn["train"] + drawn["test"]) == list(range(100))


def test_small_images_keep_their_own_size_by_default(tmp_path: Path) -> None:
    assert get("cifar10", tmp_path / "cifar10").size == 32
    assert NAMED["stl10"].size == 96
    assert {NAMED[name].size for name in B8 if name not in ("cifar10", "cifar100", "stl10")} == {256}


def test_what_is_packed_already_is_not_downloaded_again(tmp_path: Path) -> None:
    first = get("dtd", tmp_path, size=8)
    Fake.made = []
    assert get("dtd", tmp_path, size=8) == first
    assert Fake.made == []
    with pytest.raises(ValueError, match="holds dtd at 8 pixels; choose another folder"):
        get("food101", tmp_path, size=8)


def test_cars_are_never_downloaded_and_their_absence_tells_where_they_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get("stanford_cars", tmp_path / "here", size=8)
    assert {made["download"] for made in Fake.made} == {False}

    def absent(root: Path, **wanted: Any) -> None:
        raise RuntimeError("Dataset not found.")

    monkeypatch.setattr(torchvision.datasets, "StanfordCars", absent)
    with pytest.raises(ValueError, match=r"put cars_train, .* into .*download/stanford_cars, then try again"):
        get("stanford_cars", tmp_path / "there", size=8)


def test_a_broken_download_tells_what_to_delete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(root: Path, **wanted: Any) -> None:
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(torchvision.datasets, "DTD", broken)
    with pytest.raises(ValueError, match=r"dtd: File not found or corrupted\.; .*delete .*download and try again"):
        get("dtd", tmp_path, size=8)


def test_images_that_cannot_be_read_can_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Fake):
        def __getitem__(self, index: int) -> tuple[Image.Image, Any]:
            if index == 2:
                raise OSError("image file is truncated")
            return super().__getitem__(index)

    monkeypatch.setattr(torchvision.datasets, "DTD", Broken)
    with pytest.raises(ValueError, match=r"^3 images cannot be read"):
        get("dtd", tmp_path, size=8)
    index = get("dtd", tmp_path, size=8, skip_corrupt=True)
    assert index.splits["val"].skipped == ("dtd/val/2",)
    assert index.splits["val"].count == 4


def test_the_module_is_imported_without_torch() -> None:
    code = "import sys, ablate.simclr.data.named; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_an_image_whose_dogs_are_all_difficult_leaves_the_precision_of_dogs_alone(tmp_path: Path) -> None:
    get("voc2007", tmp_path, size=8)
    labels = torch.from_numpy(Packed(tmp_path, "test").labels)
    dog = VOC_CLASSES.index("dog")
    scores = torch.zeros(labels.shape)
    scores[:, dog] = (labels[:, dog] == NOT_COUNTED).float()  # they come first, and count for nothing
    scores[:, VOC_CLASSES.index("cat")] = 1
    assert eleven_point_map(scores, labels) == pytest.approx(100)
