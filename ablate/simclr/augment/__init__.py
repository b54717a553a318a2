"""The augmentations, one file each: settings, what is drawn at random, and how it is applied to a batch.

To add one, write `<name>.py` in this folder with these three, here for `motion_blur`; no other file names it.

    class MotionBlur(Settings)                         its settings, `augment.motion_blur.*`
    draw(settings, shapes, random, views) -> Draws     everything random, by numpy on the CPU
    apply(images, draws, settings) -> Tensor           by torch on the images' device

`shapes` (views x N, 2) are height and width, those of all first views before those of the second. Of the arrays drawn
the first axis is the image; a boolean `applied` among them selects the images that `apply` is given. Images are
floats (B, 3, H, W) in [0, 1]. Planning reads these files, so they import numpy and torch inside functions only.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, create_model

from ablate.simclr.base import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Draws = dict[str, np.ndarray]
    Shapes = NDArray[np.int64]

_PAPER = ("crop", "color", "blur", "cutout", "sobel", "noise", "rotate")
_APPENDIX = ("auto_augment", "equalize", "solarize", "motion_blur")


@dataclass(frozen=True)
class Augmentation:
    """The three things that a file defines."""

    settings: type[Settings]
    draw: Callable[[Any, Shapes, np.random.Generator, int], Draws]
    apply: Callable[[Tensor, Draws, Any], Tensor]


def _read(name: str) -> Augmentation:
    module = importlib.import_module(f"{__name__}.{name}")
    return Augmentation(getattr(module, name.title().replace("_", "")), module.draw, module.apply)


_files = sorted(module.name for module in pkgutil.iter_modules(__path__))
AUGMENTATIONS = {name: _read(name) for name in dict.fromkeys((*_PAPER, *_APPENDIX, *_files))}
"""The paper's augmentations in its order, then all others by name."""

if TYPE_CHECKING:
    Transform = str
else:
    Transform = Literal[tuple(AUGMENTATIONS)]


def _each_once(transforms: tuple[Transform, ...]) -> tuple[Transform, ...]:
    """Apply a transformation named twice once, as on the diagonal of Fig. 5."""
    return tuple(dict.fromkeys(transforms))


def _with_settings_of_each(model: type[Augment]) -> type[Augment]:
    """Add to the model a field for each augmentation's settings."""
    fields: dict[str, Any] = {name: (each.settings, each.settings()) for name, each in AUGMENTATIONS.items()}
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, __module__=model.__module__, **fields)


@_with_settings_of_each
class Augment(Settings):
    """How two views of an image are made (section 3, App. A)."""

    transforms: Annotated[tuple[Transform, ...], AfterValidator(_each_once)] = ("crop", "color", "blur")
    """Applied in this order; a repeated name is applied once."""
    views: Literal["both", "one"] = "both"
    """Transform both views, or only one, as in Fig. 5."""
    base_crop: bool = False
    """Crop and resize every image, without flip, before making its two views, as in section 3.1."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """The settings of an augmentation."""
