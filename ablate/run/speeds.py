"""How fast trials run: measured on trials that are done, or assumed where there are none."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ablate.errors import UserError, nearest
from ablate.records.attempt import environment_of
from ablate.records.files import Results
from ablate.records.metric import as_number
from ablate.records.reading import ResultRecord, read_object, result_if_any
from ablate.trainer.hooks import Sizes, Trainer

_MOST_READ = 300
"""The most done trials that are read; those of the same study come first."""


@dataclass(frozen=True)
class Sample:
    """What one done trial took."""

    likeness: str
    pretraining: float
    """Seconds of pretraining per unit of work."""
    evaluation: float
    """Seconds."""
    device: str
    work: float


class HookError(Exception):
    """A trainer's `work` or `likeness` failed; `hook` is its name."""

    def __init__(self, hook: str, message: str) -> None:
        super().__init__(message)
        self.hook = hook


def measured_speeds(trainer: Trainer, results: Results, keys: Iterable[str]) -> list[Sample]:
    """What done trials of this trainer took, in the order of the keys."""
    samples: list[Sample] = []
    for key in keys:
        if len(samples) == _MOST_READ:
            break
        folder = results.trial(key)
        if not (result := result_if_any(folder.result)):
            continue
        environment = environment_of(folder.attempts / str(result.attempt))
        spec = read_object(folder.trial) if environment else {}
        if spec.get("trainer") == trainer.name and (sample := _sample(trainer, spec, result, environment)):
            samples.append(sample)
    return samples


def _sample(trainer: Trainer, spec: Any, result: ResultRecord, environment: Any) -> Sample | None:
    try:
        config = trainer.config.model_validate(spec["config"])
        likeness, work = weighed(trainer, config)
    except Exception:  # also of a custom validator: the record may have the settings of an old version
        return None
    if not work or result.seconds is None:
        return None
    evaluation = as_number(result.metrics.get("evaluate_seconds")) or 0.0
    device = environment.get("device") or "cpu"
    shown = environment.get("processor") if device == "cpu" else device
    return Sample(likeness, max(result.seconds - evaluation, 0.0) / work, evaluation, str(shown or device), work)


def weighed(trainer: Trainer, config: Any) -> tuple[str, float | None]:
    """A config's likeness and its work. Raises HookError for whatever a custom trainer raises or returns."""

    def likeness(config: Any) -> str:
        if not isinstance(found := trainer.likeness(config), str):
            raise TypeError(f"it returned {found!r} instead of text")
        return found

    def work(config: Any) -> float | None:
        found = trainer.work(config)
        if found is not None and not 0 <= float(found) < math.inf:
            raise ValueError(f"it returned {found!r} instead of an amount of work")
        return None if found is None else float(found)

    return _call(trainer, "likeness", likeness, config), _call(trainer, "work", work, config)


def _call(trainer: Trainer, hook: str, function: Callable[[Any], Any], config: Any) -> Any:
    try:
        return function(config)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        message = f"{hook}() of trainer = '{trainer.name}' raised {type(error).__name__}: {error}"
        raise HookError(hook, message) from error


SPEEDS = {"v100": 1040.0, "a100": 2080.0}
"""GPU -> images per second that one of eight trains of ResNet-50 at 224 pixels in mixed precision.

8,322 and 16,621 of all eight: NVIDIA/DeepLearningExamples, PyTorch/Classification/ConvNets/resnet50v1.5/README.md at
291f0d0, container 21.03.
"""


@dataclass(frozen=True)
class Assumption:
    """The speed of one GPU, and the size of a data set that is not on this machine."""

    images_per_second: float
    """Images of ResNet-50 at 224 pixels, forward and backward; one view is one image."""
    gpu: str | None = None
    """A key of SPEEDS, if the GPU was given by name."""
    sizes: Sizes | None = None
    """The profile's `[assumed]`."""

    def gpu_hours(self, trainer: Trainer, config: Any) -> tuple[float, float] | None:
        """GPU-hours of a pretraining and of its evaluation; None if they cannot be counted."""
        images = trainer.compute_effort(config, self.sizes)
        each = 3600 * self.images_per_second
        return (images.pretraining / each, images.evaluation / each) if images else None

    def missing(self, trainer: Trainer, configs: Sequence[Any]) -> set[Sizes]:
        """The sizes of the data sets that these trials need and that are not on this machine."""
        needed = {trainer.dataset_sizes(config, self.sizes) for config in configs if not trainer.data_is_here(config)}
        return set(filter(None, needed))


Assumed = tuple[Assumption, Trainer, Sequence[Any]]
"""What is assumed of trials of one study: their trainer and configs."""


def assumptions_text(assumed: Sequence[Assumed]) -> str:
    """What is assumed of the trials of several studies, whose data sets differ."""
    first = assumed[0][0]
    kind = f" ({first.gpu.upper()})" if first.gpu else ""
    text = (
        f"assuming that one GPU{kind} trains ResNet-50 at 224 pixels at {first.images_per_second:,.6g} images per "
        "second, that time grows in proportion to multiply-adds, and that GPUs never wait for data"
    )
    missing = {sizes for assumption, trainer, configs in assumed for sizes in assumption.missing(trainer, configs)}
    if not missing:
        return text
    each = [
        f"{sizes.train:,} training and {sizes.test:,} test images"
        for sizes in sorted(missing, key=lambda sizes: (-sizes.train, sizes.test))
    ]
    return f"{text}. The data are not on this machine: {' and '.join(each)} are assumed"


def parse_assumption(given: str, sizes: Sizes | None) -> Assumption:
    """`2600` or `a100`. Raises UserError for an unknown GPU and for a number that cannot be a speed."""
    if given.lower() in SPEEDS:
        return Assumption(SPEEDS[given.lower()], given.lower(), sizes)
    try:
        speed = float(given)
    except ValueError as error:
        help = f"for example --assume 2600, or one of {', '.join(SPEEDS)}"
        near = nearest(given.lower(), SPEEDS)
        raise UserError(
            f"--assume {given}: expected images per second, or the name of a GPU{near}", help=help
        ) from error
    if not 0 < speed < float("inf"):
        raise UserError(f"--assume {given}: expected images per second", help="for example --assume 2600")
    return Assumption(speed, None, sizes)
