"""The learning rate of a step (section 2.3, App. B.1)."""

import math

from ablate.simclr import config


def peak_learning_rate(settings: config.Optimizer, batch_size: int) -> float:
    """The learning rate at the end of warm-up (App. B.1)."""
    factor = {"none": 1.0, "linear": batch_size / 256, "sqrt": math.sqrt(batch_size)}[settings.scaling]
    return settings.learning_rate * factor


def warmup_steps(epochs: float, images: int, batch_size: int) -> int:
    """Steps of warm-up, as the authors' code rounds them."""
    return round(epochs * images // batch_size)


def learning_rate(step: int, steps: int, warmup_steps: int, peak: float) -> float:
    """Linear from 0 at step 0 to `peak` at `warmup_steps`, then a cosine towards 0 at `steps`."""
    if step < warmup_steps:
        return peak * step / warmup_steps
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))
