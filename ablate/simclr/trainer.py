"""One trial from config to numbers: pretraining, then the parts of the evaluation by their names."""

import time
from collections.abc import Callable

from torch import no_grad

from ablate.simclr.config import Config, Part
from ablate.simclr.context import Context
from ablate.simclr.data import images
from ablate.simclr.evaluate.finetune import finetune
from ablate.simclr.evaluate.frozen import Frozen
from ablate.simclr.evaluate.linear import cached_linear, classifier, knn, linear
from ablate.simclr.evaluate.metrics import top_k
from ablate.simclr.evaluate.structure import contrastive, geometry, spectrum, transformation
from ablate.simclr.evaluate.transfer import transfer
from ablate.simclr.precision import keep_freed_memory
from ablate.simclr.pretrain import pretrain

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
}
"""Each is a function of a frozen checkpoint."""


def train(config: Config, context: Context) -> dict[str, float | str]:
    """Pretrain and evaluate.

    Returns top-1 in percent and whatever else the evaluation measured, the last epoch's metrics, what both took
    in seconds, on which images, and in which number format.
    """
    keep_freed_memory()
    data = images.load(config.data, context.device)
    model, metrics = pretrain(config, data, context)
    began = time.monotonic()
    evaluation = evaluate(Frozen(config, model, data, context))
    return {
        **metrics,
        **evaluation,
        "evaluate_seconds": time.monotonic() - began,
        "images": config.data.images,
    }


def evaluate(frozen: Frozen) -> dict[str, float]:
    """All parts that the config asks for, one after another; `top1` is that of the first which has one.

    Logs a row for each. Where both linear evaluations were asked for, says by how much they differ.
    """
    found: dict[str, float] = {}
    for name in frozen.config.evaluate.parts:
        frozen.go_on()
        began = time.monotonic()
        metrics = PARTS[name](frozen)
        frozen.context.log({"phase": name, **metrics, "seconds": time.monotonic() - began})
        found |= metrics
    first = next((value for name, value in found.items() if name.endswith("_top1")), None)
    if frozen.config.online_probe and frozen.config.method == "simclr" and frozen.config.epochs:
        found["online_test_top1"] = _online(frozen)
    if {"linear_top1", "cached_linear_top1"} <= set(found):
        found["linear_minus_cached"] = found["linear_top1"] - found["cached_linear_top1"]
    return found if first is None else {"top1": first, **found}


@no_grad()
def _online(frozen: Frozen) -> float:
    """Top-1 in percent of the classifier that was trained beside the pretraining (App. B.9)."""
    probe = frozen.model.probe
    logits = probe(frozen.features("test", "h").to(probe.weight.dtype))
    return top_k(logits, frozen.data.test.labels, 1)
