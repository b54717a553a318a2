"""Which pictures a page shows, with their words; what cannot be shown is told in a sentence."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.records.files import Results
from ablate.report.figure import Figure
from ablate.report.measured import Measured
from ablate.report.pictures.histograms import histogram_figure
from ablate.report.pictures.kept import Drawn, kept
from ablate.report.pictures.pipelines import Pipeline, Settings, extremes, pipelines, read_settings, used

if TYPE_CHECKING:
    from ablate.simclr.data.sample import Sample

TRAINER = "ablate.simclr.trainer:train"
"""As a plan calls the trainer that ships, whose images and views can be drawn."""
Images = Callable[[Any, int], "Sample"]
"""So many training images of a config's data."""


@dataclass(frozen=True)
class Strip:
    """Images with their views by one pipeline."""

    name: str
    note: str
    """Which cell's it is, and what is particular about it."""
    summary: str
    drawn: Drawn


@dataclass(frozen=True)
class Neighbours:
    """Query images with the test images nearest to them by the features of one cell."""

    name: str
    layer: str
    """Whose outputs are compared: `h`, `hidden` or `z`."""
    seed: int
    drawn: Drawn

    @property
    def count(self) -> str:
        """`21 of 30 neighbours are of the query's class`."""
        right = [each for row in self.drawn["right"] for each in row]
        return f"{sum(right)} of {len(right)} neighbours are of the query's class"


@dataclass(frozen=True)
class Pictures:
    """All pictures of a page."""

    strips: tuple[Strip, ...] = ()
    more: int = 0
    """Pipelines of the study that are not shown."""
    figures: tuple[Figure, ...] = ()
    neighbours: tuple[Neighbours, ...] = ()
    missing: tuple[str, ...] = ()
    """What cannot be shown, and why: a sentence each."""


def draw_pictures(results: Results, measured: Measured) -> Pictures:
    """The pictures of a study's page; what was drawn before of the same settings, data and weights is not again."""
    trainer = measured.plan.get("trainer") or TRAINER
    if trainer != TRAINER:
        return Pictures(missing=(f"Images and views can be shown of {TRAINER} only; this study's is {trainer}.",))
    try:
        settings = read_settings(results, measured)
    except ValueError as error:
        return Pictures(missing=(f"Pictures cannot be drawn: {error}.",))
    images, missing = _remembered(), dict[str, None]()
    shown, more = pipelines(settings, measured)
    strips = tuple(_strips(results, shown, images, missing))
    figures = tuple(_histograms(results, settings, images, missing))
    neighbours = tuple(_neighbours(results, extremes(settings, measured), missing))
    return Pictures(strips, more, figures, neighbours, tuple(missing))


def _strips(results: Results, shown: Sequence[Pipeline], images: Images, missing: dict[str, None]) -> Iterator[Strip]:
    for pipeline in shown:
        settings = pipeline.settings

        def draw(settings: Settings = settings) -> Drawn:
            from ablate.report.pictures.views import IMAGES, strip

            return strip(settings.config, images(settings.config.data, IMAGES))

        about = {"what": "strip", "augment": pipeline.augment, **_seen(settings)}
        with _told("Views cannot be shown", settings, missing):
            drawn = kept(results, about, draw)
            one = ["the second view not transformed"] if pipeline.augment["views"] == "one" else []
            note = ", ".join([pipeline.role] * bool(pipeline.role) + one)
            yield Strip(pipeline.name, note, _summary(drawn), drawn)


def _summary(drawn: Drawn) -> str:
    classes, steps = drawn["classes"], (drawn["columns"] - 1) // 2
    return (
        f"{len(classes)} training images ({', '.join(classes)}): left as they are, then {steps} pairs of views as the "
        "trainer draws them, which the network is to recognise as one image."
    )


def _histograms(
    results: Results, settings: Sequence[Settings], images: Images, missing: dict[str, None]
) -> Iterator[Figure]:
    """Fig. 6 with the strongest color distortion after a crop, where the study varies the distortion."""
    trained = [each for each in settings if each.config.epochs > 0]
    both = [each for each in trained if {"crop", "color"} <= set(each.config.augment.transforms)]
    if not both or len({json.dumps(used(each.config.augment).get("color")) for each in trained}) == 1:
        return
    strongest = max(both, key=lambda each: each.config.augment.color.strength)

    def draw() -> Drawn:
        from ablate.report.pictures.views import histograms

        return histograms(strongest.config, images(strongest.config.data, 2))

    augment = used(strongest.config.augment.model_copy(update={"transforms": ("crop", "color")}))
    with _told("Histograms cannot be shown", strongest, missing):
        yield histogram_figure(kept(results, {"what": "histograms", "augment": augment, **_seen(strongest)}, draw))


def _neighbours(results: Results, cells: dict[str, Settings], missing: dict[str, None]) -> Iterator[Neighbours]:
    roles: dict[str, list[str]] = {}  # two cells that differ in their evaluation have one set of features
    for role, each in cells.items():
        roles.setdefault(json.dumps([each.pretrain_key, _layer(each)]), []).append(role)
    for names in roles.values():
        settings = cells[names[0]]
        label = f"{' and '.join(names)}: {settings.cell.label}" if len(names) == 1 else " and ".join(names)
        what = f"Nearest neighbours of the {label} cannot be shown"
        checkpoint = _checkpoint(results, settings)
        if checkpoint is None:
            why = "its checkpoint is not here: `ablate gc` removed it, or it stayed on the machine that trained it"
            missing[f"{what}: {why}."] = None
            continue

        def draw(settings: Settings = settings, checkpoint: Path = checkpoint) -> Drawn:
            from ablate.report.pictures.neighbours import neighbours

            return neighbours(settings.config, checkpoint)

        about = {"what": "neighbours", "checkpoint": checkpoint.name, "layer": _layer(settings), **_seen(settings)}
        with _told(what, settings, missing):
            drawn = kept(results, about, draw)
            yield Neighbours(label, _layer(settings), settings.config.seed, drawn)


def _checkpoint(results: Results, settings: Settings) -> Path | None:
    """The end of a pretraining, as simclr.checkpoint names it: by its content."""
    return max(results.pretrained(settings.pretrain_key).glob("final-*.pt"), default=None)


def _layer(settings: Settings) -> str:
    return settings.config.evaluate.layer


def _seen(settings: Settings) -> dict[str, Any]:
    """The images that a trial saw, by what they hold; by where they lie only if that is all that is known of them."""
    from ablate.simclr.config import RECIPE_VERSION

    data = settings.config.data
    known = data.name == "textures" or data.fingerprint
    return {"data": data.model_dump(mode="json", exclude={"root"} if known else set()), "recipe": RECIPE_VERSION}


@contextmanager
def _told(what: str, settings: Settings, missing: dict[str, None]) -> Iterator[None]:
    """Make a sentence of what goes wrong within: the page is built without the picture."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, ImportError, MemoryError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        root = settings.config.data.root
        help = f" With the trials' images at {root}, `ablate report` shows them." if root else ""
        missing[f"{what}: {why}.{help}"] = None


def _remembered() -> Images:
    """Reads images once for all pictures of a page, and fails once."""
    known: dict[Any, Any] = {}

    def images(data: Any, count: int) -> "Sample":
        from ablate.simclr.data.sample import sample

        if (data, count) not in known:
            try:
                known[data, count] = sample(data, "train", count)
            except (OSError, ValueError) as error:
                known[data, count] = error
        if isinstance(found := known[data, count], Exception):
            raise found
        return found  # type: ignore[no-any-return]

    return images
