"""The pictures of a page: what the trainer offers, drawn once and kept; what cannot be shown becomes a sentence."""

import base64
import io
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError
from ablate.judge.evidence import CellTrial, Evidence
from ablate.records.files import Results
from ablate.records.reading import Damaged, TrialRecord, read_trial
from ablate.report.render.figure import Figure
from ablate.report.render.kept import Drawn, KeptFigure, kept, kept_charts
from ablate.study.cells.cell import described
from ablate.trainer.find import DEFAULT_TRAINER, find_trainer
from ablate.trainer.hooks import Picture, PicturedCell, Trainer, Varied

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BYTES = {"uri": 14_000, "queries": 3_700, "near": 22_000}
"""The most that an image takes in a page, by its name in what was drawn."""
LARGEST = 64
"""The largest side of a tile in pixels; larger images are shrunk."""
_QUALITIES = (90, 80, 65, 50)


@dataclass(frozen=True)
class Strip:
    """Images with their views by one pipeline."""

    name: str
    note: str
    """The cell that it belongs to, and what is particular about it."""
    drawn: Drawn

    @property
    def summary(self) -> str:
        """What the rows and columns are."""
        classes, steps = self.drawn["classes"], (self.drawn["columns"] - 1) // 2
        return (
            f"{len(classes)} training images ({', '.join(classes)}): unchanged, then {steps} pairs of views as the "
            "trainer draws them. The network learns to recognise a pair as one image."
        )


@dataclass(frozen=True)
class Neighbours:
    """Query images with the test images nearest to them by the features of one cell."""

    name: str
    layer: str
    """The layer whose outputs are compared: `h`, `hidden` or `z`."""
    seed: int
    drawn: Drawn

    @property
    def count(self) -> str:
        """`21 of 30 neighbours are of the query's class`."""
        right = [each for row in self.drawn["right"] for each in row]
        return f"{sum(right)} of {len(right)} neighbours are of the query's class"


@dataclass
class Pictures:
    """All pictures of a page."""

    strips: list[Strip] = field(default_factory=list)
    more: int = 0
    """Pipelines of the study that are not shown."""
    figures: list[Figure | KeptFigure] = field(default_factory=list)
    neighbours: list[Neighbours] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """What cannot be shown, and why: one sentence each."""


def draw_pictures(results: Results, measured: Evidence, keep_charts: bool = False) -> Pictures:
    """The pictures of a study's page. Those that were drawn before of the same settings, data and weights are kept.

    keep_charts: take charts from their files, too, if they were drawn before; they have no PDF then.
    """
    name = measured.plan.trainer or DEFAULT_TRAINER
    try:
        trainer = find_trainer(name)
        if trainer.draw_pictures is None:
            return Pictures()
        offered = trainer.draw_pictures(_cells(results, measured, trainer), measured.plan.metric)
    except (ValueError, UserError) as error:
        return Pictures(missing=[f"Pictures cannot be drawn: {error}."])
    found = Pictures(more=offered.more)
    missing = dict[str, None]()
    for picture in offered.pictures:
        try:
            drawn = kept(results, picture.about, partial(_with_sprites, picture))
            _add(found, picture, drawn, results if keep_charts else None)
        except (OSError, ValueError, RuntimeError, ImportError, MemoryError) as error:
            missing[_why_missing(picture, error)] = None
    found.missing += [*missing, *offered.missing]
    return found


def _cells(results: Results, measured: Evidence, trainer: Trainer) -> list[PicturedCell]:
    """Each cell with its first trial that is done, or has started; cells that have not started are left out.

    Raises ValueError if the settings are those of another version of the trainer.
    """
    axes = {axis.name: axis for axis in measured.plan.axes}
    trials: dict[int, list[CellTrial]] = {}
    for trial in sorted(measured.trials, key=lambda trial: trial.value is None):
        trials.setdefault(trial.cell, []).append(trial)
    found = []
    for number, cell in enumerate(measured.cells):
        records = (_trial(results, trial.key) for trial in trials.get(number, []))
        if record := next(filter(None, records), None):
            varied = tuple(
                Varied(str(axes[name].setting), described(axes[name].label or name, value))
                for name, value in cell.axes.items()
                if name in axes
            )
            checkpoints = results.pretrained(record.pretrain_key)
            config = _config(record, trainer)
            found.append(PicturedCell(cell.title, cell.case is not None, varied, cell.mean, config, checkpoints))
    return found


def _trial(results: Results, key: str) -> TrialRecord | None:
    with suppress(OSError, Damaged):
        return read_trial(results.trial(key).trial)
    return None


def _config(record: TrialRecord, trainer: Trainer) -> Any:
    if (recipe := record.recipe_version) != trainer.recipe_version:
        now = trainer.recipe_version
        raise ValueError(f"the trials ran with version {recipe} of the trainer's recipe; the current version is {now}")
    try:
        return trainer.config.model_validate(record.config)
    except ValueError as error:
        raise ValueError("this version of the trainer rejects the trials' settings") from error


def _with_sprites(picture: Picture) -> Drawn:
    return {name: sprite(each, _BYTES[name]) if name in _BYTES else each for name, each in picture.draw().items()}


def sprite(tiles: "NDArray[np.floating]", most: int) -> str:
    """A grid of images (rows, columns, 3, S, S) in [0, 1] as a data URI of at most about `most` bytes.

    WebP takes a quarter of the bytes of a PNG for grainy images of 32 pixels, and looks the same.
    """
    import numpy as np
    from PIL import Image

    rows, columns, _, side, _ = tiles.shape
    pixels = (tiles.transpose(0, 3, 1, 4, 2).reshape(rows * side, columns * side, 3) * 255).round().astype(np.uint8)
    image = Image.fromarray(pixels)
    if side > LARGEST:
        image = image.resize((columns * LARGEST, rows * LARGEST), Image.Resampling.BOX)
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=6)
        if len(buffer.getvalue()) <= most:
            break
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _add(pictures: Pictures, picture: Picture, drawn: Drawn, charts: Results | None) -> None:
    """Add what was drawn. charts: the results folder in which charts are kept, if they are."""
    if picture.kind == "strip":
        pictures.strips.append(Strip(picture.name, picture.note, drawn))
    elif picture.kind == "histograms":
        draw = partial(_histograms, drawn)
        pictures.figures += kept_charts(charts, {"histograms": drawn}, draw) if charts else draw()
    else:
        pictures.neighbours.append(Neighbours(picture.name, picture.layer, picture.seed, drawn))


def _histograms(drawn: Drawn) -> list[Figure]:
    from ablate.report.pictures.histograms import histogram_figure  # imports altair, which is slow

    return [histogram_figure(drawn)]


def _why_missing(picture: Picture, error: Exception) -> str:
    why = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    help = f" With the trials' images at {picture.data}, `ablate report` shows them." if picture.data else ""
    return f"{picture.failure}: {why}.{help}"
