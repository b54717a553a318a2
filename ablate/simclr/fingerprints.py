"""What a config's folders and files hold, filled in when a study is planned: part of a trial's identity."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from ablate.simclr.config import Config
from ablate.simclr.data.listing import Listing, look

_KINDS = {"packed": "a pack", "folder": "an image folder", "list": "a list of images"}
_HELP = {
    ("folder", "packed"): "pack it with `ablate data pack SRC DST`, or set data.name = 'folder'",
    ("packed", "folder"): "set data.name = 'packed'",
}
_Settings = TypeVar("_Settings", bound=pydantic.BaseModel)


class SettingError(ValueError):
    """A setting that does not fit what lies on the disk: `setting` is its dotted path."""

    def __init__(self, message: str, setting: str, help: str | None = None) -> None:
        super().__init__(message)
        self.setting = setting
        self.help = help


def fingerprinted(config: Config, look: Callable[[Path], Listing] = look) -> Config:
    """The config with its fingerprints. `look` lists a folder, a pack or a file.

    Raises SettingError where nothing lies at a path, or something else than the setting needs, or too little.
    """
    evaluate = config.evaluate
    if config.data.name != "textures":
        listing = _listing("data.root", config.data.root, "data.name", config.data.name, look)
        if config.batch_size > listing.train_images:
            told = f"batch_size = {config.batch_size} is more than the {listing.train_images} training images"
            raise SettingError(f"{told} in {config.data.root}", "batch_size")
        config = _changed(config, "data", fingerprint=listing.fingerprint)
    to_textures = config.data.name == "textures" and evaluate.transfer.root is None
    if "transfer" in evaluate.parts and not to_textures:
        listing = _listing("evaluate.transfer.root", evaluate.transfer.root, "evaluate.parts", "packed", look)
        evaluate = _changed(evaluate, "transfer", fingerprint=listing.fingerprint)
    if "finetune" in evaluate.parts and evaluate.finetune.subset is not None:
        listing = _listing("evaluate.finetune.subset", evaluate.finetune.subset, "evaluate", "list", look)
        evaluate = _changed(evaluate, "finetune", subset_fingerprint=listing.fingerprint)
    return config if evaluate is config.evaluate else config.model_copy(update={"evaluate": evaluate})


def by_path(config: Config) -> Config:
    """The config with the paths themselves as fingerprints, for plans whose data are not here.

    Two data sets are two trials also then; no trial that runs has such a key.
    """
    data, evaluate = config.data, config.evaluate
    transfer, finetune = evaluate.transfer, evaluate.finetune
    if data.root is not None and data.fingerprint is None:
        config = _changed(config, "data", fingerprint=str(data.root))
    if transfer.root is not None and transfer.fingerprint is None:
        evaluate = _changed(evaluate, "transfer", fingerprint=str(transfer.root))
    if finetune.subset is not None and finetune.subset_fingerprint is None:
        evaluate = _changed(evaluate, "finetune", subset_fingerprint=str(finetune.subset))
    return config if evaluate is config.evaluate else config.model_copy(update={"evaluate": evaluate})


def _listing(setting: str, path: Path | None, needed_by: str, kind: str, look: Callable[[Path], Listing]) -> Listing:
    if path is None:
        raise SettingError(f"{setting} is not set: which folder?", needed_by, f"add --set {setting}=DIR")
    try:
        listing = look(path)
    except (OSError, ValueError) as error:
        raise SettingError(f"{setting}: {error}", setting) from error
    if listing.kind != kind:
        told = f"{setting}: {path} is {_KINDS[listing.kind]}, and {_KINDS[kind]} is needed"
        raise SettingError(told, setting, _HELP.get((listing.kind, kind)))
    return listing


def _changed(settings: _Settings, part: str, **values: Any) -> _Settings:
    """Settings with some values of one part changed."""
    return settings.model_copy(update={part: getattr(settings, part).model_copy(update=values)})
