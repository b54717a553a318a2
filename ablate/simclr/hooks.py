"""What ablate may know of SimCLR without running it: data, costs, parameters and pictures. Imports no torch."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from ablate.simclr.augment import AUGMENTATIONS
from ablate.simclr.config import RECIPE_VERSION as RECIPE_VERSION
from ablate.simclr.config import Config, Data
from ablate.simclr.config import fusion as fusion
from ablate.simclr.config.network import Encoder, parameters
from ablate.simclr.data.fit import counts_text, fitting, read_images
from ablate.simclr.data.listing import Listing, look
from ablate.simclr.effort import effort
from ablate.simclr.pictures import draw_pictures as draw_pictures
from ablate.trainer.contract import SettingError
from ablate.trainer.hooks import Effort, Sizes

SHARES_PARTS = True
SHARES_PROCESS = True  # tests/run/test_order.py trains trials in two orders, to the same bits
REMEDIES = {
    "diverged": "lower optimizer.learning_rate, lengthen warmup_epochs, or raise loss.temperature",
    "out_of_memory": "--set micro_batch=N encodes each batch in parts; ablate never changes the batch size itself, "
    "since a study may vary it",
}
_KINDS = {"packed": "a pack", "folder": "an image folder or a CSV list", "list": "a list of images"}
_HELP = {
    ("folder", "packed"): "pack it with `ablate data pack SRC DST`, or set data.name = 'folder'",
    ("packed", "folder"): "set data.name = 'packed'",
}
_PARTS_WITH_SETTINGS = ("linear", "cached_linear", "knn", "finetune", "transfer", "transformation")
_Settings = TypeVar("_Settings", bound=pydantic.BaseModel)
_look = cache(look)
"""Lists a folder once for all cells of a plan."""


def look_at(data: Data) -> Listing:
    """The listing of a setting's data. Raises DataError or OSError, with the path, if they are invalid."""
    assert data.root is not None
    return _look(data.root) if data.split is None else _look(data.root, data.split)


def forget_files() -> None:
    """Read folders anew in the next plan."""
    _look.cache_clear()


def prepare(config: Config, look: Callable[..., Listing] = _look) -> Config:
    """The config with the fingerprints of its data. `look` lists a folder, a pack or a file.

    Without labels there is no online probe. Raises SettingError if there is nothing at a path, or not what the setting
    needs, too few images, or no labels or test images for an evaluation that needs them.
    """
    evaluate, size = config.evaluate, config.data.image_size
    if config.encoder.torchvision is not None:
        from ablate.simclr.model.encoder import why_unfit  # torch, which plans of other networks do without

        if why := why_unfit(config.encoder.torchvision, size):
            raise SettingError(why, "encoder.torchvision", "choose another data.image_size or network")
    if config.data.name != "textures":
        listing = _listing("data.root", config.data.root, "data.name", config.data.name, look, config.data.split)
        config = fitting(config, listing)
        config = _changed(config, "data", fingerprint=listing.fingerprint)
    if "transfer" in evaluate.parts and not _transfers_to_textures(config):
        listing = _listing("evaluate.transfer.root", evaluate.transfer.root, "evaluate.parts", "packed", look)
        evaluate = _changed(evaluate, "transfer", fingerprint=listing.fingerprint)
    if "finetune" in evaluate.parts and evaluate.finetune.subset is not None:
        listing = _listing("evaluate.finetune.subset", evaluate.finetune.subset, "evaluate", "list", look)
        evaluate = _changed(evaluate, "finetune", subset_fingerprint=listing.fingerprint)
    return config if evaluate is config.evaluate else config.model_copy(update={"evaluate": evaluate})


def identify_by_path(config: Config) -> Config:
    """The config with paths as fingerprints: two data sets are two trials, but no trial that runs has such a key."""
    data, evaluate = config.data, config.evaluate
    transfer, finetune = evaluate.transfer, evaluate.finetune
    if data.root is not None and data.fingerprint is None:
        config = _changed(config, "data", fingerprint=str(data.root))
    if transfer.root is not None and transfer.fingerprint is None:
        evaluate = _changed(evaluate, "transfer", fingerprint=str(transfer.root))
    if finetune.subset is not None and finetune.subset_fingerprint is None:
        evaluate = _changed(evaluate, "finetune", subset_fingerprint=str(finetune.subset))
    return config if evaluate is config.evaluate else config.model_copy(update={"evaluate": evaluate})


def data_is_here(config: Config) -> bool:
    """Whether all data that a trial reads are on this machine."""
    evaluate = config.evaluate
    needed = [] if config.data.name == "textures" else [config.data.root]
    if "transfer" in evaluate.parts and not _transfers_to_textures(config):
        needed.append(evaluate.transfer.root)
    if "finetune" in evaluate.parts and evaluate.finetune.subset is not None:
        needed.append(evaluate.finetune.subset)
    return all(path is not None and path.exists() for path in needed)


def work(config: Config) -> float | None:
    """Images that pretraining encodes: two views of each, one if it is supervised; None if unknown.

    An untrained encoder passes over the images once, to set batch norm's statistics: forward only, which is a third
    of a step, and without a second view.
    """
    images = config.data.train_images
    if config.data.root is not None:
        try:
            there = read_images(config.data, look_at(config.data))[0]
        except (OSError, ValueError):
            return None
        images = there
    if images is None:
        return None
    views = 1 if config.method == "supervised" else 2
    return float(config.epochs * images * views) if config.epochs else images / 3


def likeness(config: Config) -> str:
    """Network, size of the images, precision and parts of the evaluation: what fixes the time per image."""
    network = [config.encoder.model_dump(), config.data.image_size, config.method, config.precision]
    compiled = ["compiled"] if config.compile else []  # the compiler's time is part of a trial's
    return json.dumps([*network, sorted(config.evaluate.parts), *compiled])


def dataset_sizes(config: Config, assumed: Sizes | None) -> Sizes | None:
    """The sizes of the data set at `data.root`; those assumed if it is not on this machine."""
    data = config.data
    if data.name != "textures" and data.root is not None and data.root.exists():
        listing = look_at(data)
        return Sizes(listing.train_images, listing.test_images)
    if data.name != "textures" and assumed:
        return assumed
    return Sizes(data.train_images, data.test_images) if data.train_images and data.test_images else None


def compute_effort(config: Config, assumed: Sizes | None) -> Effort | None:
    """Images of a ResNet-50 at 224 pixels; None for networks of torchvision and data sets of unknown size."""
    sizes = dataset_sizes(config, assumed)
    return effort(config, sizes, _look) if sizes else None


def describe_data(config: Config) -> str | None:
    """`synthetic textures`, or the kind of the data, how many images are used, and what is left out."""
    data = config.data
    if data.name == "textures" or data.root is None or not data.root.exists():
        return data.images
    return f"{data.images}: {counts_text(data, look_at(data))}"


def count_parameters(settings: dict[str, Any]) -> int | None:
    """The parameters of a trial's encoder; None for the settings of another version."""
    try:
        return parameters(Encoder.model_validate(settings["encoder"]))
    except (KeyError, pydantic.ValidationError):
        return None


def pretraining_ended(checkpoints: Path) -> bool:
    """Whether the final checkpoint is there; `ablate gc` may have removed it."""
    return bool(list(checkpoints.glob("final-*.pt")))


def _transfers_to_textures(config: Config) -> bool:
    return config.data.name == "textures" and config.evaluate.transfer.root is None


def _listing(
    setting: str,
    path: Path | None,
    needed_by: str,
    kind: str,
    look: Callable[..., Listing],
    share: float | None = None,
) -> Listing:
    if path is None:
        raise SettingError(f"{setting} is not set: which folder?", needed_by, f"add --set {setting}=DIR")
    try:
        listing = look(path) if share is None else look(path, share)
    except (OSError, ValueError) as error:
        raise SettingError(f"{setting}: {error}", setting) from error
    if listing.kind != kind:
        message = f"{setting} must be {_KINDS[kind]}, but {path} is {_KINDS[listing.kind]}"
        raise SettingError(message, setting, _HELP.get((listing.kind, kind)))
    return listing


def _changed(settings: _Settings, part: str, **values: Any) -> _Settings:
    """Settings with some values of one part changed."""
    return settings.model_copy(update={part: getattr(settings, part).model_copy(update=values)})


@dataclass(frozen=True)
class Unused:
    """A setting that has no effect under a condition."""

    setting: str
    where: Callable[[dict[str, Any]], bool]
    why: str


UNUSED = (
    Unused("head.output_dimension", lambda s: s["head.name"] == "none", "without a head z is h"),
    Unused("head.hidden_layers", lambda s: s["head.name"] != "nonlinear", "only the nonlinear head has hidden layers"),
    Unused("head.batch_norm", lambda s: s["head.name"] == "none", "there is no head"),
    Unused("loss.temperature", lambda s: s["loss.name"] == "margin", "the margin loss has no temperature"),
    Unused("loss.margin", lambda s: s["loss.name"] != "margin", "only loss.name = 'margin' has a margin"),
    Unused("optimizer.momentum", lambda s: s["optimizer.name"] == "adamw", "AdamW has its own"),
    *(
        Unused(f"loss.{name}", lambda s: s["method"] == "supervised", "the supervised baseline has no contrastive loss")
        for name in ("name", "temperature", "margin", "semi_hard", "normalize", "negatives")
    ),
    *(
        Unused(
            f"{chosen.partition('.')[0]}.{name}.",
            lambda s, chosen=chosen, name=name: name not in s[chosen],  # type: ignore[misc]
            f"{chosen} does not have '{name}'",
        )
        for chosen, names in (("augment.transforms", tuple(AUGMENTATIONS)), ("evaluate.parts", _PARTS_WITH_SETTINGS))
        for name in names
    ),
)  # fmt: skip


def advice(cells: list[dict[str, Any]], axes: dict[str, str]) -> list[tuple[str, str]]:
    """Return warnings about a comparison, each with its axis.

    cells: the settings of each cell by dotted path. axes: axis -> the setting that it varies.
    """
    warnings = []
    for axis, setting in axes.items():
        for rule in UNUSED:
            if not (setting == rule.setting or (rule.setting.endswith(".") and setting.startswith(rule.setting))):
                continue
            unused = [cell for cell in cells if setting in cell and rule.where(cell)]
            if len({str(cell[setting]) for cell in unused}) > 1:
                where = "in any cell" if len(unused) == len(cells) else f"in {len(unused)} of {len(cells)} cells"
                message = f"{setting} changes nothing {where}: {rule.why}"
                warnings.append((axis, f"{message}; leave them out with `when` or `exclude`"))
        if setting == "batch_size" and _rate_is_the_same(cells):
            message = "the learning rate stays the same at every batch size: optimizer.scaling is 'none'"
            remedy = "Set it to 'linear' or 'sqrt', or let optimizer.learning_rate vary along"
            warnings.append((axis, f"{message}. {remedy}"))
    return warnings


def _rate_is_the_same(cells: list[dict[str, Any]]) -> bool:
    rates = {cell["optimizer.learning_rate"] for cell in cells}
    unscaled = any(cell["optimizer.scaling"] == "none" for cell in cells)
    return unscaled and len(rates) == 1 and len({cell["batch_size"] for cell in cells}) > 1
