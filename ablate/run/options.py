"""The options of a plan and of a run, shared by the commands, the Python API, workflows and Slurm."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError

if TYPE_CHECKING:
    from ablate.run.cluster import Cluster


@dataclass(frozen=True)
class PlanOptions:
    """Which trials of a study are planned."""

    profile: str = "embedded"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings to change, by dotted path."""
    seeds: Sequence[int] | None = None
    """Seeds of every cell; None for those of the study."""
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Axis -> the values to keep; several may be in one text, separated by commas."""
    assume: str | None = None
    """A speed for trials that have no measured cost. Such a plan cannot run."""


@dataclass(frozen=True)
class RunOptions:
    """How trials are executed. None of this is part of a trial's identity."""

    workers: int | None = None
    """Trials at once; None for one per core or GPU."""
    device: str = "auto"
    inline: bool = False
    """Whether to train in this process."""
    stop_at_first_failure: bool = False
    budget: str | None = None
    """Start nothing if the run may take more hours than this: `200h`."""
    cluster: "Cluster | None" = None
    """The cluster to train on, instead of this machine."""
    wait: bool = False
    """Whether to stay until the cluster has trained everything."""
    reports: Path | None = None
    """The folder of the pages."""
    log: Sequence[str] | None = None
    """Trackers that receive copies of the rows; None for those of ablate.toml."""


def parse_only(options: Iterable[str]) -> dict[str, list[str]]:
    """["first=crop,color"] -> {"first": ["crop,color"]}, split where the axis's values are known; options add up."""
    chosen: dict[str, list[str]] = {}
    for option in options:
        name, equals, values = option.partition("=")
        if not equals or not values:
            raise UserError(f"--only {option}: expected AXIS=VALUE,VALUE", help="for example --only first=crop,color")
        chosen.setdefault(name.strip(), []).append(values.strip())
    return chosen


def parse_settings(options: Iterable[str]) -> dict[str, Any]:
    """["loss.temperature=0.5"] -> {"loss.temperature": 0.5}; a value that is not TOML is text."""
    settings: dict[str, Any] = {}
    for option in options:
        path, equals, value = option.partition("=")
        if not equals or not all(path.strip().split(".")):
            raise UserError(f"--set {option}: expected KEY=VALUE", help="for example --set loss.temperature=0.5")
        if (key := path.strip()) in settings:
            raise UserError(f"--set {option}: {key} is set twice", help="set it once; an axis has several values")
        try:
            settings[key] = tomllib.loads(f"value = {value}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError, ValueError):
            settings[key] = value
    return settings
