"""One trial, from its config to its results: the pretraining, then each part of the evaluation."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import no_grad

from ablate.simclr.base.checkpoint import require_finite
from ablate.simclr.base.device import arithmetic, keep_freed_memory
from ablate.simclr.config import Config, Part
from ablate.simclr.data.dataset import load
from ablate.simclr.evaluate.frozen import Frozen
from ablate.simclr.evaluate.geometry import contrastive, geometry, spectrum
from ablate.simclr.evaluate.histograms import histograms
from ablate.simclr.evaluate.linear import cached_linear, classifier, knn, linear
from ablate.simclr.evaluate.scores import top_k
from ablate.simclr.evaluate.transfer import finetune, transfer
from ablate.simclr.evaluate.transformation import transformation
from ablate.simclr.pretrain import pretrain
from ablate.trainer.contract import Context, Diverged

PARTS: dict[Part, Callable[[Frozen], dict[str, float]]] = {
    "linear": linear,
    "cached_linear": cached_linear,
    "knn": knn,
    "classifier": classifier,
    "finetune": finetune,
    "transfer": transfer,
    "transformation": transformation,
    "contrastive": contrastive,
    "spectrum": spectrum,
    "geometry": geometry,
    "histograms": histograms,
}
"""Part of the evaluation -> its function of the pretrained model."""


def train(config: Config, context: Context) -> dict[str, float | str]:
    """Pretrain and evaluate.

    Returns top-1 in percent and the evaluation's other metrics, those of the last epoch, the seconds that both took,
    what the images are, and the number format.
    """
    keep_freed_memory()
    with arithmetic(config.precision, config.deterministic, context.device), _overflow_named():
        data = load(config.data, context.device)
        for note in data.notes:
            context.say(note)
        model, metrics = pretrain(config, data, context)
        began = time.monotonic()
        evaluation = evaluate(Frozen(config, model, data, context))
    return {**metrics, **evaluation, "evaluate_seconds": time.monotonic() - began, "images": config.data.images}


@contextmanager
def _overflow_named() -> Iterator[None]:
    """Raise Diverged where torch refuses a factor, such as a learning rate of 1e300, that its numbers cannot hold."""
    try:
        yield
    except RuntimeError as error:
        if "without overflow" not in str(error):
            raise
        help = "lower the learning rate, weight decay or loss.scale, or raise the temperature"
        raise Diverged(f"a factor exceeds the range of the number format ({error}): {help}") from error


def evaluate(frozen: Frozen) -> dict[str, float]:
    """Run the config's parts in order; `top1` comes from the first part that has one.

    Logs a row per part. After both linear evaluations, their difference is reported too.
    """
    found: dict[str, float] = {}
    for name in frozen.config.evaluate.parts:
        frozen.go_on()
        require_finite(frozen.model, f"before evaluate.parts '{name}'")
        began = time.monotonic()
        metrics = PARTS[name](frozen)
        if odd := next((each for each, value in metrics.items() if not math.isfinite(value)), None):
            raise Diverged(f"{name}: {odd} is {metrics[odd]}")
        frozen.context.log({"phase": name, **metrics, "seconds": time.monotonic() - began})
        found |= metrics
    first = next((name for name in found if name.endswith("_top1")), None)
    if first in frozen.correct:
        frozen.context.keep_correct("top1", frozen.correct[first].tolist())
    if frozen.config.online_probe and frozen.config.method == "simclr" and frozen.config.epochs:
        found["online_test_top1"] = _online(frozen)
    if {"linear_top1", "cached_linear_top1"} <= set(found):
        found["linear_minus_cached"] = found["linear_top1"] - found["cached_linear_top1"]
    return found if first is None else {"top1": found[first], **found}


@no_grad()
def _online(frozen: Frozen) -> float:
    """Return top-1 in percent of the classifier trained during the pretraining (App. B.9)."""
    probe = frozen.model.probe
    logits = probe(frozen.features("test", "h").to(probe.weight.dtype))
    return top_k(logits, frozen.data.test.labels, 1)
