"""Which pictures of a study a page shows: augmented views, their histograms, and nearest neighbours.

Imports no torch: a picture that was drawn before is shown without it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.simclr.augment import Augment
from ablate.simclr.config import RECIPE_VERSION, Config
from ablate.trainer.hooks import Picture, PicturedCell, PictureSet

if TYPE_CHECKING:
    from ablate.simclr.data.dataset import Sample

SHOWN = 8
"""Pipelines that a page shows besides those of the best and the worst cell."""
Images = Callable[[Any, int], "Sample"]
"""The first training images of a data set, by its settings and how many."""


def draw_pictures(cells: Sequence[PicturedCell], metric: str) -> PictureSet:
    """The pictures of a page: strips of views by pipeline, histograms like Fig. 6, neighbours by the best and worst."""
    images, ends = _remembered(), extremes(cells, metric)
    shown, more = pipelines(cells, ends)
    strips = [_strip(cell, name, role, images) for name, role, cell in shown]
    neighbours, missing = _neighbours(ends)
    return PictureSet((*strips, *_histograms(cells, images), *neighbours), more, missing)


def extremes(cells: Sequence[PicturedCell], metric: str) -> dict[str, PicturedCell]:
    """The cells of the grid with the highest and the lowest mean, by their role; one of them if all means are equal."""
    done = [(cell.mean, cell) for cell in cells if not cell.is_case and cell.mean is not None]
    if not done:
        return {}
    good = metric.endswith(("top1", "top5", "accuracy"))
    roles = ("best cell", "worst cell") if good else (f"cell of the highest {metric}", f"cell of the lowest {metric}")
    found = [choose(done, key=lambda each: each[0]) for choose in (max, min)]
    ends = found if found[0][0] != found[1][0] else found[:1]
    return {role: cell for role, (_, cell) in zip(roles, ends, strict=False)}


def pipelines(
    cells: Sequence[PicturedCell], ends: dict[str, PicturedCell]
) -> tuple[list[tuple[str, str, PicturedCell]], int]:
    """The pipelines to show as (name, role, cell), in the order of the study; and how many more the study has.

    Few are shown all. Of many, those of a single transformation, and those of the best and the worst cell.
    """
    roles: dict[str, str] = {}
    for role, cell in ends.items():
        roles.setdefault(_text(cell), role)
    found: dict[str, tuple[str, str, PicturedCell]] = {}
    for cell in cells:
        if cell.config.epochs > 0:  # an untrained encoder sees no views
            text = _text(cell)
            found.setdefault(text, (_name(cell), roles.get(text, ""), cell))
    if len(found) == 1:
        return [(_transforms(cell), "", cell) for _, _, cell in found.values()], 0
    if len(found) <= SHOWN:
        return list(found.values()), 0
    single = [each for each in found.values() if len(each[2].config.augment.transforms) == 1]
    first = (single or list(found.values()))[:SHOWN]
    last = [found[text] for text in roles if text in found and found[text] not in first]
    return first + last, len(found) - len(first + last)


def _strip(cell: PicturedCell, name: str, role: str, images: Images) -> Picture:
    """Training images, each with the views of some steps."""

    def draw(config: Config = cell.config) -> dict[str, Any]:
        from ablate.simclr.draw import IMAGES, strip

        return strip(config, images(config.data, IMAGES))

    augment = _used(cell.config.augment)
    one = ["the second view not transformed"] if augment["views"] == "one" else []
    note = ", ".join([role] * bool(role) + one)
    about = {"what": "strip", "augment": augment, **_data(cell.config)}
    return Picture("strip", name, about, draw, "Views cannot be shown", note, cell.config.data.root)


def _histograms(cells: Sequence[PicturedCell], images: Images) -> Iterator[Picture]:
    """Fig. 6 with the strongest color distortion after a crop, if the study varies the distortion."""
    configs: list[Config] = [cell.config for cell in cells if cell.config.epochs > 0]
    both = [config for config in configs if {"crop", "color"} <= set(config.augment.transforms)]
    if not both or len({json.dumps(_used(config.augment).get("color")) for config in configs}) == 1:
        return
    strongest = max(both, key=lambda config: config.augment.color.strength)

    def draw() -> dict[str, Any]:
        from ablate.simclr.draw import histograms

        return histograms(strongest, images(strongest.data, 2))

    augment = _used(strongest.augment.model_copy(update={"transforms": ("crop", "color")}))
    about = {"what": "histograms", "augment": augment, **_data(strongest)}
    failure = "Histograms cannot be shown"
    yield Picture("histograms", "histograms", about, draw, failure, data=strongest.data.root)


def _neighbours(ends: dict[str, PicturedCell]) -> tuple[list[Picture], tuple[str, ...]]:
    """Neighbours by the features of each cell, and what is missing for them."""
    roles: dict[str, list[str]] = {}  # two cells that differ in their evaluation have the same features
    for role, cell in ends.items():
        roles.setdefault(json.dumps([str(cell.checkpoints), cell.config.evaluate.layer]), []).append(role)
    found, missing = [], []
    for names in roles.values():
        cell = ends[names[0]]
        label = f"{names[0]}: {cell.label}" if len(names) == 1 else " and ".join(names)
        failure = f"Nearest neighbours of the {label} cannot be shown"
        checkpoint = max(cell.checkpoints.glob("final-*.pt"), default=None)
        if checkpoint is None:
            why = "its checkpoint is not here: ablate gc removed it, or it is on the machine that trained it"
            missing.append(f"{failure}: {why}.")
            continue
        layer = cell.config.evaluate.layer
        about = {"what": "neighbours", "checkpoint": checkpoint.name, "layer": layer, **_data(cell.config)}
        draw = partial(_draw_neighbours, cell.config, checkpoint)
        root, seed = cell.config.data.root, cell.config.seed
        found.append(Picture("neighbours", label, about, draw, failure, data=root, layer=layer, seed=seed))
    return found, tuple(missing)


def _draw_neighbours(config: Config, checkpoint: Path) -> dict[str, Any]:
    from ablate.simclr.draw import neighbours

    return neighbours(config, checkpoint)


def _used(augment: Augment) -> dict[str, Any]:
    """The settings of an augmentation that its views depend on."""
    names = {"transforms", "views", "base_crop", *augment.transforms, *(["crop"] if augment.base_crop else [])}
    return augment.model_dump(mode="json", include=names)


def _text(cell: PicturedCell) -> str:
    return json.dumps(_used(cell.config.augment), sort_keys=True)


def _name(cell: PicturedCell) -> str:
    """The values of the axes that vary the augmentation; the transformations, if the axes vary only these."""
    if cell.is_case:
        return cell.label
    axes = [axis for axis in cell.axes if axis.setting.partition(".")[0] == "augment"]
    if all(axis.setting.startswith("augment.transforms.") for axis in axes):
        return _transforms(cell)
    return ", ".join(axis.text for axis in axes)


def _transforms(cell: PicturedCell) -> str:
    names = cell.config.augment.transforms
    return ", then ".join(names) if len(names) != 1 else f"{names[0]} alone"


def _data(config: Config) -> dict[str, Any]:
    """The images that a trial saw: by their fingerprint, or by their folder if that is all that is known."""
    known = config.data.name == "textures" or config.data.fingerprint
    return {"data": config.data.model_dump(mode="json", exclude={"root"} if known else set()), "recipe": RECIPE_VERSION}


def _remembered() -> Images:
    """Reads images once for all pictures of a page, and fails once."""
    known: dict[Any, Any] = {}

    def images(data: Any, count: int) -> "Sample":
        from ablate.simclr.data.dataset import sample

        if (data, count) not in known:
            try:
                known[data, count] = sample(data, "train", count)
            except (OSError, ValueError) as error:
                known[data, count] = error
        if isinstance(found := known[data, count], Exception):
            raise found
        return found  # type: ignore[no-any-return]

    return images
