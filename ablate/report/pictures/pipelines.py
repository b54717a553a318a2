"""Which augmentations a study's trials make their views with, and what to call them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.records.files import Results
from ablate.report.measured import Cell, Measured
from ablate.report.rows import Trial

if TYPE_CHECKING:
    from ablate.simclr.config import Augment, Config

SHOWN = 8
"""Pipelines that a page shows, but for the best and the worst cell's."""


@dataclass(frozen=True)
class Settings:
    """One trial of a cell with its settings."""

    cell: Cell
    pretrain_key: str
    config: "Config"


@dataclass(frozen=True)
class Pipeline:
    """One way to make views, and where it stands in the study."""

    name: str
    role: str
    """`best cell` or `worst cell`, where it is one of them."""
    settings: Settings

    @property
    def augment(self) -> dict[str, Any]:
        """The settings that its views depend on."""
        return used(self.settings.config.augment)


def read_settings(results: Results, measured: Measured) -> list[Settings]:
    """The settings of each cell's first trial that is done, or has begun; nothing of cells that have not begun.

    Raises ValueError where they are another version's of the trainer.
    """
    trials: dict[int, list[Trial]] = {}
    for trial in sorted(measured.trials, key=lambda trial: trial.value is None):
        trials.setdefault(trial.cell, []).append(trial)
    settings = []
    for number, cell in enumerate(measured.cells):
        records = (_record(results.trial(trial.key).trial) for trial in trials.get(number, []))
        if record := next(filter(None, records), None):
            settings.append(Settings(cell, str(record["pretrain_key"]), _read(record)))
    return settings


def _record(path: Path) -> dict[str, Any] | None:
    """What was to be run; None where it has not begun, or its file is damaged."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record


def _read(record: dict[str, Any]) -> "Config":
    from ablate.simclr.config import RECIPE_VERSION, Config

    if (recipe := record.get("recipe_version")) != RECIPE_VERSION:
        raise ValueError(f"the trials ran with version {recipe} of the trainer's recipe, and this is {RECIPE_VERSION}")
    try:
        return Config.model_validate(record["config"])
    except ValueError as error:
        raise ValueError("the trials' settings are not those of this version of the trainer") from error


def extremes(settings: Sequence[Settings], measured: Measured) -> dict[str, Settings]:
    """The cells of the grid with the highest and the lowest mean, by what they are; one where they do not differ."""
    done = [each for each in settings if each.cell.case is None and each.cell.mean is not None]
    if not done:
        return {}
    metric = str(measured.plan.get("metric") or "top1")
    good = metric.endswith(("top1", "top5", "accuracy"))
    names = ("best cell", "worst cell") if good else (f"cell of the highest {metric}", f"cell of the lowest {metric}")
    found = [choose(done, key=lambda each: each.cell.mean or 0.0) for choose in (max, min)]
    return dict(zip(names, found if found[0].cell.mean != found[1].cell.mean else found[:1], strict=False))


def pipelines(settings: Sequence[Settings], measured: Measured) -> tuple[list[Pipeline], int]:
    """The pipelines to show, in the order of the study, and how many more it has.

    All of them where they are few; else those of a single transformation, the best and the worst cell's.
    """
    roles: dict[str, str] = {}
    for role, each in extremes(settings, measured).items():
        roles.setdefault(_text(each), role)
    found: dict[str, Pipeline] = {}
    for each in settings:
        if each.config.epochs > 0:  # an untrained encoder sees no views
            text = _text(each)
            found.setdefault(text, Pipeline(_name(each, measured), roles.get(text, ""), each))
    if len(found) == 1:
        return [Pipeline(_transforms(each.settings), "", each.settings) for each in found.values()], 0
    if len(found) <= SHOWN:
        return list(found.values()), 0
    single = [each for each in found.values() if len(each.settings.config.augment.transforms) == 1]
    first = (single or list(found.values()))[:SHOWN]
    ends = [found[text] for text in roles if text in found and found[text] not in first]
    return first + ends, len(found) - len(first + ends)


def used(augment: "Augment") -> dict[str, Any]:
    """Of the settings of an augmentation, those that its views depend on."""
    names = {"transforms", "views", "base_crop", *augment.transforms, *(["crop"] if augment.base_crop else [])}
    return augment.model_dump(mode="json", include=names)


def _text(settings: Settings) -> str:
    return json.dumps(used(settings.config.augment), sort_keys=True)


def _name(settings: Settings, measured: Measured) -> str:
    """By the values of the axes that vary the augmentations, or by the transformations where these say which."""
    cell, labels = settings.cell, {case["name"]: case["label"] for case in measured.plan["cases"]}
    if cell.case is not None:
        return str(labels[cell.case])
    axes = [
        axis
        for axis in measured.plan["axes"]
        if str(axis.get("setting")).partition(".")[0] == "augment" and axis["name"] in cell.axes
    ]
    if all(axis["setting"].startswith("augment.transforms.") for axis in axes):
        return _transforms(settings)
    return ", ".join(f"{axis.get('label') or axis['name']}: {cell.axes[axis['name']]}" for axis in axes)


def _transforms(settings: Settings) -> str:
    names = settings.config.augment.transforms
    return ", then ".join(names) if len(names) != 1 else f"{names[0]} alone"
