"""Whether the images that a folder or a pack has suffice for a trial, and how many of them it reads.

Imports neither torch nor numpy, because plans are checked without them.
"""

from ablate.errors import visible
from ablate.simclr.config import Config, Data
from ablate.simclr.data.listing import Listing
from ablate.simclr.data.scan import omitted_text
from ablate.trainer.contract import SettingError

_WITHOUT_LABELS = frozenset({"transfer", "transformation", "contrastive", "spectrum", "geometry", "histograms"})
_WITHOUT_TEST = frozenset({"transfer", "spectrum"})


def fitting(config: Config, listing: Listing) -> Config:
    """The config, without an online probe if the images have no labels.

    Raises SettingError, with advice, if there are fewer images than the batch or the classes need, or an evaluation
    needs labels or test images that are missing.
    """
    data, where = config.data, visible(str(config.data.root))
    train, _ = read_images(data, listing)
    if config.batch_size > train:
        message = f"batch_size = {config.batch_size} is more than the {train} training images"
        raise SettingError(f"{message} in {where}", "batch_size")
    for name, count in (("train_images", data.train_images), ("test_images", data.test_images)):
        if count is not None and count < listing.classes:
            message = f"data.{name} = {count} is less than one image for each of the {listing.classes} classes"
            raise SettingError(f"{message} in {where}", f"data.{name}")
    if listing.stored and listing.side and listing.stored < min(data.image_size, listing.side):
        message = f"data.image_size = {data.image_size}, but the pack in {where} stores its images at {listing.stored}"
        help = f"pack them again: crops of fewer pixels lose detail, and {_pack_again(data)}"
        raise SettingError(f"{message} pixels, below their original size", "data.image_size", help)
    if not listing.classes:
        config = _without_labels(config, where)
    if not listing.test_images:
        _without_test(config, where)
    return config


def _without_labels(config: Config, where: str) -> Config:
    if config.method == "supervised":
        message = f"method = 'supervised' needs labels, but the images in {where} have none"
        raise SettingError(message, "method", _LABELS)
    if needing := [part for part in config.evaluate.parts if part not in _WITHOUT_LABELS]:
        message = f"evaluate.parts has '{needing[0]}', which needs labels, but the images in {where} have none"
        raise SettingError(message, "evaluate.parts", f"{_LABELS}, or choose from {', '.join(sorted(_WITHOUT_LABELS))}")
    return config.model_copy(update={"online_probe": False})


_LABELS = "put the images of each class into a folder of its own, or give a CSV list with path,label"


def _without_test(config: Config, where: str) -> None:
    help = "set data.split = 0.1 to draw test images, or add a folder test/"
    if needing := [part for part in config.evaluate.parts if part not in _WITHOUT_TEST]:
        message = f"evaluate.parts has '{needing[0]}', which needs test images, but {where} has none"
        raise SettingError(message, "evaluate.parts", help)
    if config.online_probe and config.method == "simclr":
        raise SettingError(f"online_probe = true needs test images, but {where} has none", "online_probe", help)


_AT, _KEPT = 224, ((256, 0.67), (384, 0.85), (512, 0.93), (576, 0.95))
"""Side of a pack's images -> share of the magnitude of v1's gradients that crops of 8 to 100 % of the area keep, at an
image size of _AT (docs/trainer.md)."""


def _pack_again(data: Data) -> str:
    side, share = _KEPT[-1]
    return f"ablate data pack with --size {-(-side * data.image_size // _AT)} keeps {share} of them"


def _lost(data: Data, listing: Listing) -> str | None:
    """What crops lose because a pack stores its images smaller than they were; None if they keep 0.95 or more."""
    if not (listing.stored and listing.side):
        return None
    kept = [share for side, share in _KEPT if listing.stored * _AT >= side * data.image_size]
    if listing.stored >= listing.side or len(kept) == len(_KEPT):
        return None
    least = f"at least {kept[-1]}" if kept else f"perhaps less than {_KEPT[0][1]}"
    text = f"stored at {listing.stored} pixels, below their original size: crops keep {least} of their detail"
    return f"{text} ({_pack_again(data)})"


def read_images(data: Data, listing: Listing) -> tuple[int, int]:
    """How many training and test images a trial reads: as many as asked for, equally many of each class."""
    asked = (data.train_images, listing.train_images, listing.train_classes)
    asked_test = (data.test_images, listing.test_images, listing.test_classes)
    train, test = (_read(*each) for each in (asked, asked_test))
    return train, test


def _read(asked: int | None, there: int, of_classes: tuple[int, ...]) -> int:
    if asked is None or asked >= there:
        return there
    if not of_classes:
        return asked
    share, more = divmod(asked, len(of_classes))
    return sum(min(count, share + (label < more)) for label, count in enumerate(of_classes))


def counts_text(data: Data, listing: Listing) -> str:
    """`41 of 61 training and 20 test images of 3 classes; data.train_images = 60 cannot be met; left out: 2 .heic`."""
    read = read_images(data, listing)
    there, asked = (listing.train_images, listing.test_images), (data.train_images, data.test_images)
    parts = [f"{now:,}" if now == all_ else f"{now:,} of {all_:,}" for now, all_ in zip(read, there, strict=True)]
    classes = f"of {listing.classes:,} classes" if listing.classes else "without labels"
    text = f"{parts[0]} training and {parts[1]} test images {classes}"
    for name, wanted, now, all_ in zip(("train_images", "test_images"), asked, read, there, strict=True):
        if wanted is not None and now < min(wanted, all_):
            text += f"; data.{name} = {wanted:,} cannot be met, because some classes have fewer images"
    if lost := _lost(data, listing):
        text += f"; {lost}"
    omitted = omitted_text(dict(listing.omitted))
    return f"{text}; left out: {omitted}" if omitted else text
