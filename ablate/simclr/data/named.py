"""torchvision's data sets by name, for transfer as in App. B.8: their splits and metrics.

Metrics are top-1, mean per-class accuracy (FGVC Aircraft, Pets, Caltech-101, Flowers) or 11-point mean average
precision (VOC 2007). FGVC Aircraft, VOC 2007, DTD and Flowers have validation sets; for the others the paper held out
a part of the training set, which is not done here. DTD uses its first split.

Two data sets have no split in torchvision and get one from a fixed seed: Caltech-101 (30 images per class for training,
the rest for testing, as in the paper; torchvision omits the background class, so 101 remain) and SUN397 (50 and 50
images per class, the sizes of its authors' first split, but other images, because torchvision lacks their lists).
Birdsnap, the paper's twelfth data set, is not in torchvision; STL-10 is added.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ablate.simclr.data.listing import Index, Metric, is_pack, read_index
from ablate.simclr.data.pack import Progress, pack_items
from ablate.simclr.data.shard import Label

NOT_COUNTED = -1
"""A target of VOC 2007 (0 absent, 1 present) for a class whose objects in the image are all marked difficult: as in the
challenge, the image is excluded from that class's precision."""

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


@dataclass(frozen=True)
class Named:
    """How to obtain a data set from torchvision."""

    dataset: str
    """Name of its class in torchvision."""
    splits: Mapping[str, Mapping[str, Any]]
    """Split -> arguments of the class; `all` if the split is `drawn`."""
    metric: Metric = "top1"
    size: int = 256
    """Default side of stored images, in pixels: the original size if all images are small."""
    drawn: tuple[int, int | None] | None = None
    """Training and test images per class (None: the rest), for data sets without a split."""
    downloads: bool = True
    """Whether torchvision can still download it."""


def _by(argument: str, *splits: str, **others: Any) -> dict[str, dict[str, Any]]:
    return {"train" if split == "trainval" else split: {argument: split, **others} for split in splits}


_UNSPLIT: dict[str, dict[str, Any]] = {"all": {}}
_CIFAR = {"train": {"train": True}, "test": {"train": False}}

NAMED: Mapping[str, Named] = {
    "cifar10": Named("CIFAR10", _CIFAR, size=32),
    "cifar100": Named("CIFAR100", _CIFAR, size=32),
    "stl10": Named("STL10", _by("split", "train", "test"), size=96),
    "food101": Named("Food101", _by("split", "train", "test")),
    "sun397": Named("SUN397", _UNSPLIT, drawn=(50, 50)),
    "stanford_cars": Named("StanfordCars", _by("split", "train", "test"), downloads=False),
    "fgvc_aircraft": Named("FGVCAircraft", _by("split", "train", "val", "test"), "mean_per_class"),
    "voc2007": Named("VOCDetection", _by("image_set", "train", "val", "test", year="2007"), "map11"),
    "dtd": Named("DTD", _by("split", "train", "val", "test", partition=1)),
    "oxford_iiit_pet": Named("OxfordIIITPet", _by("split", "trainval", "test"), "mean_per_class"),
    "caltech101": Named("Caltech101", _UNSPLIT, "mean_per_class", drawn=(30, None)),
    "flowers102": Named("Flowers102", _by("split", "train", "val", "test"), "mean_per_class"),
}


def get(
    name: str,
    destination: Path,
    size: int | None = None,
    download: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
    skip_corrupt: bool = False,
) -> Index:
    """Download a data set of `NAMED` into `destination`/download and pack it into `destination`.

    Does nothing if it is already packed. `size` defaults to the data set's own. Labels are class indices, int64 (N,);
    for VOC 2007 int8 (N, 20): 0, 1 or `NOT_COUNTED`.

    Raises KeyError for an unknown name; ValueError, with advice, if the data set is unavailable, `destination` contains
    something else or, unless `skip_corrupt`, images are unreadable; OSError if the network or the disk fails.
    """
    named = NAMED[name]
    size = size or named.size
    if is_pack(destination):
        found = read_index(destination)
        if (found.name, found.size) == (name, size):
            return found
        raise ValueError(f"{destination} holds {found.name} at {found.size} pixels; choose another folder or delete it")
    splits, classes = _open(name, named, destination / "download", download and named.downloads)
    return pack_items(splits, destination, size, name, classes, named.metric, workers, progress, skip_corrupt)


@dataclass(frozen=True)
class Pairs(Sequence[tuple[Image.Image, Label]]):
    """Some images of a torchvision data set, with labels in the form that packing needs."""

    dataset: Any
    indices: Sequence[int]
    label: Callable[[Any], Label]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        image, target = self.dataset[self.indices[index]]
        return image, self.label(target)


def _open(name: str, named: Named, folder: Path, download: bool) -> tuple[dict[str, Pairs], list[str]]:
    """The splits of a data set and the names of its classes."""
    from ablate.simclr.base.vision import torchvision  # seconds, and torch

    folder.mkdir(parents=True, exist_ok=True)
    kind = getattr(torchvision.datasets, named.dataset)
    try:
        datasets = {split: kind(folder, download=download, **wanted) for split, wanted in named.splits.items()}
    except (RuntimeError, FileNotFoundError) as error:
        raise ValueError(_missing(name, named, folder, str(error))) from error
    if named.drawn is None:
        label = voc_targets if name == "voc2007" else int
        splits = {split: Pairs(dataset, range(len(dataset)), label) for split, dataset in datasets.items()}
    else:
        drawn = draw(*_in_order(datasets["all"]), *named.drawn)
        splits = {split: Pairs(datasets["all"], indices, int) for split, indices in drawn.items()}
    first = next(iter(datasets.values()))
    classes = VOC_CLASSES if name == "voc2007" else getattr(first, "classes", None) or first.categories
    return splits, list(classes)


def _missing(name: str, named: Named, folder: Path, why: str) -> str:
    if named.downloads:
        return f"{name}: {why}; if a download was cut off, delete {folder} and try again"
    return (
        f"{name}: its first source is gone, and torchvision no longer downloads it; put cars_train, cars_test, "
        f"devkit and cars_test_annos_withlabels.mat into {folder / 'stanford_cars'}, then try again"
    )


def voc_targets(annotation: Mapping[str, Any]) -> tuple[int, ...]:
    """One number for each of `VOC_CLASSES` from the parsed XML of an image: 1, 0 or `NOT_COUNTED`.

    1 if an object of the class is not marked difficult, `NOT_COUNTED` if all of them are, otherwise 0.
    """
    things = annotation["annotation"]["object"]
    easy = {thing["name"] for thing in things if thing.get("difficult") != "1"}
    difficult = {thing["name"] for thing in things} - easy
    return tuple(1 if name in easy else NOT_COUNTED if name in difficult else 0 for name in VOC_CLASSES)


def _in_order(dataset: Any) -> tuple[list[int], list[int]]:
    """All indices of a data set, in the same order on every machine, and their labels."""
    if hasattr(dataset, "_image_files"):  # SUN397 lists its files in the order of the file system
        files, labels = dataset._image_files, dataset._labels
        indices = sorted(range(len(files)), key=lambda index: Path(files[index]))
        return indices, [labels[index] for index in indices]
    return list(range(len(dataset))), list(dataset.y)


def draw(indices: Sequence[int], labels: Sequence[int], train: int, test: int | None) -> dict[str, list[int]]:
    """Draws `train` and `test` images of every class (None: the rest), always the same for the same input.

    `indices` and `labels` (N,) correspond; the drawn indices are grouped by class, in the order of classes.
    """
    drawn: dict[str, list[int]] = {"train": [], "test": []}
    of, all_labels = np.array(indices), np.array(labels)
    for label in np.unique(all_labels):
        of_class = of[all_labels == label]
        shuffled = np.random.default_rng([0, int(label)]).permutation(len(of_class))
        stop = len(of_class) if test is None else train + test
        drawn["train"] += of_class[np.sort(shuffled[:train])].tolist()
        drawn["test"] += of_class[np.sort(shuffled[train:stop])].tolist()
    return drawn
