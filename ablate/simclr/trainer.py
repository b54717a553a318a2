"""One trial from config to numbers: pretraining, then evaluation."""

from time import perf_counter

from ablate.simclr.config import Config
from ablate.simclr.context import Context
from ablate.simclr.data import images
from ablate.simclr.evaluate.linear import evaluate_linear
from ablate.simclr.precision import computes_bfloat16, keep_freed_memory
from ablate.simclr.pretrain import pretrain


def train(config: Config, context: Context) -> dict[str, float | str]:
    """Pretrain and evaluate.

    Returns top-1 in percent, the last epoch's loss, what both took in seconds, on which images, and in which
    number format.
    """
    keep_freed_memory()
    data = images.load(config.data, context.device)
    began = perf_counter()
    encoder, metrics = pretrain(config, data.train, context)
    trained = perf_counter()
    evaluation = evaluate_linear(config, encoder, data, context)
    return {
        **metrics,
        **evaluation,
        "pretrain_seconds": trained - began,
        "evaluate_seconds": perf_counter() - trained,
        "images": config.data.images,
        "precision": "bfloat16" if computes_bfloat16(config.precision, context.device) else "float32",
    }
