"""What looks wrong in a comparison of SimCLR trials: rules of the method, as data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Settings = dict[str, Any]


@dataclass(frozen=True)
class Unused:
    """A setting that changes nothing where a condition holds."""

    setting: str
    where: Callable[[Settings], bool]
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
            f"augment.{name}.",
            lambda s, name=name: name not in s["augment.transforms"],  # type: ignore[misc]
            f"augment.transforms does not have '{name}'",
        )
        for name in (
            "crop", "color", "blur", "cutout", "sobel", "noise", "rotate", "auto_augment", "equalize", "solarize",
            "motion_blur",
        )
    ),
    *(
        Unused(
            f"evaluate.{name}.",
            lambda s, name=name: name not in s["evaluate.parts"],  # type: ignore[misc]
            f"evaluate.parts does not have '{name}'",
        )
        for name in ("linear", "cached_linear", "knn", "finetune", "transfer", "transformation")
    ),
)  # fmt: skip


def advice(cells: list[Settings], axes: dict[str, str]) -> list[tuple[str, str]]:
    """Warnings about a comparison, each with the axis that it is about.

    cells: the settings of each cell by dotted path. axes: name of an axis -> the setting that it varies.
    """
    warnings = []
    for axis, setting in axes.items():
        for rule in UNUSED:
            if not (setting == rule.setting or (rule.setting.endswith(".") and setting.startswith(rule.setting))):
                continue
            unused = [cell for cell in cells if setting in cell and rule.where(cell)]
            if len({str(cell[setting]) for cell in unused}) > 1:
                where = "in any cell" if len(unused) == len(cells) else f"in {len(unused)} of {len(cells)} cells"
                told = f"{setting} changes nothing {where}: {rule.why}"
                warnings.append((axis, f"{told}; leave them out with `when` or `exclude`"))
        if setting == "batch_size" and _rate_stays(cells):
            told = "the learning rate stays the same at every batch size: optimizer.scaling is 'none'"
            warnings.append((axis, f"{told}. Set it to 'linear' or 'sqrt', or let optimizer.learning_rate vary along"))
    return warnings


def _rate_stays(cells: list[Settings]) -> bool:
    rates = {cell["optimizer.learning_rate"] for cell in cells}
    unscaled = any(cell["optimizer.scaling"] == "none" for cell in cells)
    return unscaled and len(rates) == 1 and len({cell["batch_size"] for cell in cells}) > 1
