"""What planning, costs and pages may know of a trainer without running it.

Each field of `Trainer` below is an attribute of the trainer's module of the same name; all of them are optional.
SimCLR sets them in simclr/hooks.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pydantic


@dataclass(frozen=True)
class Sizes:
    """Numbers of images in a data set."""

    train: int
    test: int


@dataclass(frozen=True)
class Effort:
    """What a trial computes, in images that a ResNet-50 at 224 pixels trains on (forward and backward)."""

    pretraining: float
    evaluation: float


@dataclass(frozen=True)
class Varied:
    """One axis of a cell: the setting that it varies, and the cell's value as names of cells have it."""

    setting: str
    text: str


@dataclass(frozen=True)
class PicturedCell:
    """A cell for the trainer that draws pictures of it: one of its trials, and the mean over all."""

    label: str
    is_case: bool
    axes: tuple[Varied, ...]
    mean: float | None
    """Mean of the study's metric; None before a trial is done."""
    config: Any
    checkpoints: Path
    """The checkpoint folder of the trial."""


@dataclass(frozen=True)
class Picture:
    """A picture that a page can show; `draw` is called only if the picture was not drawn before.

    `draw` returns plain JSON and arrays of images (rows, columns, 3, S, S) in [0, 1]. By `kind`:

    strip        `uri`: images, a row for each image with its views; `rows`, `columns`, `side`, `classes` of the rows
    histograms   `shares` (without and with distortion, images, crops, bins); `classes`, `strength`, `probability`
    neighbours   `queries`, `near`: images; `side`, `classes` of the queries, `gallery`, `gallery_classes`; for each
                 neighbour `found` (its class), `right`, `similarity`
    """

    kind: Literal["strip", "histograms", "neighbours"]
    name: str
    """What the picture shows: a way to make views, or a cell."""
    about: dict[str, Any]
    """Everything that the picture depends on, as plain JSON: it identifies the picture."""
    draw: Callable[[], dict[str, Any]]
    failure: str
    """The beginning of the sentence that says why it cannot be shown."""
    note: str = ""
    data: Path | None = None
    """The folder that must have the trial's images."""
    layer: str = ""
    """The layer whose outputs are compared, for neighbours."""
    seed: int = 0


@dataclass(frozen=True)
class PictureSet:
    """The pictures of a study's page."""

    pictures: tuple[Picture, ...] = ()
    more: int = 0
    """Ways to make views that the study has and the page does not show."""
    missing: tuple[str, ...] = ()
    """Sentences that say what cannot be shown, and why."""


@dataclass(frozen=True)
class Trainer:
    """A trainer's settings and hooks."""

    name: str
    """package.module:function."""
    config: type[pydantic.BaseModel]
    """The model of its settings; one of them is `seed`."""
    files: tuple[str, ...] = ()
    """Files of the working folder, relative to it, that trials run with besides the trainer's module."""
    recipe_version: int = 1
    """RECIPE_VERSION: part of every key. Raise it when the trainer's arithmetic changes."""
    shares_parts: bool = False
    """SHARES_PARTS: configs may share nested models, because these are frozen and no validator changes them."""
    shares_process: bool = False
    """SHARES_PROCESS: one process may train trial after trial, because none leaves anything that changes the next."""
    prepare: Callable[[Any], Any] = lambda config: config
    """Fills in what the config's files contain, as a hash or a count. Raises ValueError or SettingError."""
    identify_by_path: Callable[[Any], Any] = lambda config: config
    """Like `prepare`, but without reading files: for plans that are printed and not run."""
    data_is_here: Callable[[Any], bool] = lambda config: True
    """Whether all files that a trial reads are on this machine."""
    forget_files: Callable[[], None] = lambda: None
    """Called when planning starts: drops what `prepare` and `work` remember of files."""
    work: Callable[[Any], float | None] = lambda config: 1.0
    """A number proportional to a trial's time, to predict costs from trials that are done; None if unknown."""
    likeness: Callable[[Any], str] = lambda config: ""
    """Trials with the same text take time in proportion to their work."""
    fusion: Callable[[Any], tuple[str, int] | None] = lambda config: None
    """What trials that may be pretrained together have in common, and how many they may be; None for one that trains
    alone. Asked by the pool, which does not import modules of users: of trainers of this package only."""
    dataset_sizes: Callable[[Any, Sizes | None], Sizes | None] = lambda config, assumed: assumed
    """The sizes of a trial's data set; those assumed if the data are not on this machine."""
    compute_effort: Callable[[Any, Sizes | None], Effort | None] = lambda config, assumed: None
    """What a trial computes, for costs from an assumed speed; None if it cannot be counted."""
    advice: Callable[[list[dict[str, Any]], dict[str, str]], list[tuple[str, str]]] = lambda cells, axes: []
    """Warnings about a comparison, as (axis, warning); takes the settings of all cells, and axis -> setting."""
    remedies: Mapping[str, str] = field(default_factory=dict)
    """REMEDIES: cause of a failure (diverged, metric, out_of_memory, exception) -> what helps, for `ablate why`."""
    describe_data: Callable[[Any], str | None] = lambda config: None
    """A few words about the data, for the first line of a plan."""
    count_parameters: Callable[[dict[str, Any]], int | None] | None = None
    """The model's parameters from the plain settings of a trial: makes `x = "parameters"` a chart's axis."""
    pretraining_ended: Callable[[Path], bool] | None = None
    """Whether a checkpoint folder has the end of a pretraining. Without it, any file of a finished trial counts."""
    draw_pictures: Callable[[Sequence[PicturedCell], str], PictureSet] | None = None
    """The pictures of a page, from its cells and the name of the study's metric."""
