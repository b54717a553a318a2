"""The trials of a study: plain values."""

from collections.abc import Mapping
from dataclasses import dataclass

import pydantic

from ablate.study.schema import Axis, Resources
from ablate.study.trainer import Trainer
from ablate.study.values import Scalar


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell with one seed, every setting resolved."""

    axes: dict[str, Scalar]
    """The cell's value on each axis that it has; empty for a case."""
    case: str | None
    seed: int
    config: pydantic.BaseModel
    key: str
    pretrain_key: str

    @property
    def label(self) -> str:
        """What people call it: `first=crop second=color seed=0`."""
        return f"{self.cell_label} seed={self.seed}"

    @property
    def cell_label(self) -> str:
        """What people call its cell: `first=crop second=color`, or the name of a case."""
        return cell_label(self.axes, self.case)


def cell_label(axes: Mapping[str, Scalar], case: str | None) -> str:
    """What people call a cell: `first=crop second=color`, or the name of a case."""
    point = [f"{name}={value}" for name, value in axes.items()]
    return " ".join([case, *point] if case else point)


@dataclass(frozen=True)
class Expansion:
    """All trials of a study at a profile."""

    axes: dict[str, Axis]
    trials: tuple[Trial, ...]
    design: str
    """Digest of everything but seeds: trials of one design may stand in one table."""
    trainer: Trainer
    resources: Resources
