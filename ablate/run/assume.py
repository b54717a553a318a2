"""What costs are told from where nothing was measured: so many images a second, and data sets of so many images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ablate.errors import UserError, nearest
from ablate.simclr.config import Config
from ablate.simclr.config.effort import Sizes, effort
from ablate.simclr.data.listing import look
from ablate.simclr.fingerprints import by_path
from ablate.study.trainer import SIMCLR, Trainer

SPEEDS = {"v100": 1040.0, "a100": 2080.0}
"""GPU -> images a second that one of eight trains of ResNet-50 at 224 pixels in mixed precision.

8,322 and 16,621 of all eight: NVIDIA/DeepLearningExamples, PyTorch/Classification/ConvNets/resnet50v1.5/README.md at
291f0d0, container 21.03.
"""
_look = cache(look)


@dataclass(frozen=True)
class Assumption:
    """How fast one GPU is, and how many images a data set has that is not on this machine."""

    images_per_second: float
    """Of ResNet-50 at 224 pixels, forward and backward; one view is one image."""
    gpu: str | None = None
    """Of SPEEDS, where it was named."""
    sizes: Sizes | None = None
    """The profile's `[assumed]`."""

    def gpu_hours(self, trainer: Trainer, config: Any) -> tuple[float, float] | None:
        """GPU-hours of a pretraining and of its evaluation; None where they cannot be counted."""
        if trainer.name != SIMCLR or (sizes := self._sizes(config)) is None:
            return None
        images = effort(config, sizes, _look)
        each = 3600 * self.images_per_second
        return (images.pretraining / each, images.evaluation / each) if images else None

    def told(self, configs: Sequence[Any]) -> str:
        """What is assumed of these trials, in words."""
        return in_words([(self, configs)])

    def absent(self, configs: Sequence[Any]) -> set[Sizes]:
        """The sizes of data sets that these trials need and that are not on this machine."""
        needed = {self._sizes(config) for config in configs if isinstance(config, Config) and not _is_here(config)}
        return set(filter(None, needed))

    def _sizes(self, config: Config) -> Sizes | None:
        data = config.data
        if data.name != "textures" and data.root is not None and data.root.exists():
            listing = _look(data.root)
            return Sizes(listing.train_images, listing.test_images)
        if data.name != "textures" and self.sizes:
            return self.sizes
        return Sizes(data.train_images, data.test_images) if data.train_images and data.test_images else None


def in_words(assumed: Sequence[tuple[Assumption, Sequence[Any]]]) -> str:
    """What is assumed of trials at several profiles, whose data sets differ; each with the settings of its trials."""
    first = assumed[0][0]
    kind = f" ({first.gpu.upper()})" if first.gpu else ""
    said = (
        f"assuming that a GPU{kind} trains {first.images_per_second:,.6g} images a second of ResNet-50 at 224 pixels, "
        "that others take time in proportion to their multiply-adds, and that no GPU waits for data"
    )
    absent = {sizes for assumption, configs in assumed for sizes in assumption.absent(configs)}
    if not absent:
        return said
    each = [
        f"the {sizes.train:,} training and {sizes.test:,} test images"
        for sizes in sorted(absent, key=lambda sizes: (-sizes.train, sizes.test))
    ]
    return f"{said}; as if {' and '.join(each)}, which are not here, were"


def parse_assumption(given: str, sizes: Sizes | None) -> Assumption:
    """`2600` or `a100`. Raises UserError for a GPU that is not known and a number that is no speed."""
    if given.lower() in SPEEDS:
        return Assumption(SPEEDS[given.lower()], given.lower(), sizes)
    try:
        speed = float(given)
    except ValueError as error:
        help = f"for example --assume 2600, or one of {', '.join(SPEEDS)}"
        told = f"--assume {given}: expected images a second, or a GPU{nearest(given.lower(), SPEEDS)}"
        raise UserError(told, help=help) from error
    if not 0 < speed < float("inf"):
        raise UserError(f"--assume {given}: expected images a second", help="for example --assume 2600")
    return Assumption(speed, None, sizes)


def without_data(trainer: Trainer) -> Trainer:
    """The trainer for a plan that nothing runs from: data that are not on this machine are known by their paths.

    Its key is not the one that it has with its data.
    """
    if trainer.name != SIMCLR:
        return trainer
    return replace(trainer, prepare=lambda config: trainer.prepare(config) if _is_here(config) else by_path(config))


def _is_here(config: Config) -> bool:
    """Whether all that a trial reads lies on this machine."""
    evaluate, drawn = config.evaluate, config.data.name == "textures"
    needed: list[Path | None] = [] if drawn else [config.data.root]
    if "transfer" in evaluate.parts and not (drawn and evaluate.transfer.root is None):
        needed.append(evaluate.transfer.root)
    if "finetune" in evaluate.parts and evaluate.finetune.subset is not None:
        needed.append(evaluate.finetune.subset)
    return all(path is not None and path.exists() for path in needed)
